"""Who may do what changes or reveals an account: somebody who proved just now who they are."""

from datetime import timedelta
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request

from auth_core import policy

from .models import AuthSession

RECENT = timedelta(minutes=policy.REAUTHENTICATION_MINUTES)


class RecentlyAuthenticated(IsAuthenticated):
    """The session began, or its user gave the password to `reauthenticate/`, in the last minutes.

    As many as REAUTHENTICATION_MINUTES of the policy (ASVS 7.5.1, 7.5.3). Each session counts for
    itself, and a refresh renews nothing. Refused with 403 and the code `reauthentication_required`.
    """

    message = _("Confirm your password first.")
    code = "reauthentication_required"

    def has_permission(self, request: Request, view: Any) -> bool:
        session = request.auth
        if not super().has_permission(request, view) or not isinstance(session, AuthSession):
            return False
        return timezone.now() - session.auth_time <= RECENT
