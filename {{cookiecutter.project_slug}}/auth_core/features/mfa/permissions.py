"""Who may do what needs more than a password."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request

from auth_core.sessions.models import AuthSession


class SecondFactor(IsAuthenticated):
    """The session began, or was confirmed, with a second factor.

    Refused with 403 and the code `mfa_required`. Add RecentlyAuthenticated for one of the last minutes:
    `reauthenticate/` asks for the second factor, too, where the user has one.
    """

    message = _("Log in with a second factor first.")
    code = "mfa_required"

    def has_permission(self, request: Request, view: Any) -> bool:
        session = request.auth
        if not super().has_permission(request, view) or not isinstance(session, AuthSession):
            return False
        return session.acr == "aal2"
