"""Binds what an authenticator signs to the client that asked for it: once, for one purpose, for some minutes.

The challenge reaches the server with the answer; the flow token besides says that whoever brings the answer is
who asked.
"""

import secrets
from datetime import datetime, timedelta
from enum import StrEnum

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ValidationError

from auth_core.digests import digest

from .models import Ceremony


class Purpose(StrEnum):
    REGISTER = "register"
    LOGIN = "login"
    VERIFY = "verify"
    REAUTHENTICATE = "reauthenticate"


def begin(purpose: Purpose, challenge: str, bound_to: str = "") -> str:
    """Have a challenge wait for its answer; return the flow token."""
    seconds: int = settings.PASSKEY_CEREMONY_SECONDS  # type: ignore[misc] # of a feature: mypy reads the kernel's
    token = secrets.token_urlsafe(32)
    Ceremony.objects.create(
        digest=digest(token),
        purpose=purpose,
        bound_to=bound_to,
        challenge=challenge,
        expires_at=timezone.now() + timedelta(seconds=seconds),
    )
    return token


def take(purpose: Purpose, token: str, bound_to: str = "") -> str:
    """Use a ceremony up, whatever comes of it; return its challenge.

    Raises ValidationError (400) with the code `invalid_flow` unless all of it fits.
    """
    found = Ceremony.objects.filter(digest=digest(token)).first()
    # Of those who race each other one deletes it.
    if found is None or not Ceremony.objects.filter(pk=found.pk).delete()[0]:
        raise invalid_flow()
    of_it = (found.purpose, found.bound_to)
    if of_it != (purpose, bound_to) or found.expires_at <= timezone.now():
        raise invalid_flow()
    return found.challenge


def invalid_flow() -> ValidationError:
    """One answer for what is unknown, used, expired, of another purpose, session or login."""
    message = _("This was not begun here, was finished before, or took too long; begin it again.")
    return ValidationError({"flow_token": [message]}, code="invalid_flow")


def purge(now: datetime) -> int:
    """Delete ceremonies that nobody finished."""
    return Ceremony.objects.filter(expires_at__lt=now).delete()[0]
