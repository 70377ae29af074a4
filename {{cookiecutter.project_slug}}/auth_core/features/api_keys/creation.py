"""Makes API keys: for a session that proved just now whose it is, so many and no more."""

from datetime import timedelta
from uuid import uuid4

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ValidationError

from auth_core.audit.log import record
from auth_core.mail import outbox
from auth_core.sessions.models import AuthSession
from auth_core.sessions.services import lock_owner

from . import keys
from .models import ApiKey
from .services import Event

MAX_KEYS: int = settings.API_KEYS_PER_USER  # type: ignore[misc] # of a feature: mypy reads the kernel's


def create(
    session: AuthSession, name: str, scopes: list[str], days: int, request: HttpRequest
) -> tuple[ApiKey, str]:
    """Make a key for the user of a session; return it and its text, which nobody can show again.

    Raises ValidationError (400) with the code too_many_keys, AuthenticationFailed with session_revoked.
    """
    now, key_id = timezone.now(), uuid4()
    text, secret_hash = keys.make(key_id)
    with transaction.atomic():
        user = lock_owner(session)
        if ApiKey.objects.live().filter(user=user).count() >= MAX_KEYS:
            reason = _("There are %d API keys already, and may be no more: revoke one first.")
            raise ValidationError({"non_field_errors": [reason % MAX_KEYS]}, code="too_many_keys")
        key = ApiKey.objects.create(
            id=key_id,
            user=user,
            name=name,
            secret_hash=secret_hash,
            scopes=scopes,
            created_at=now,
            expires_at=now + timedelta(days=days),
        )
        record(
            Event.KEY_CREATED,
            request,
            user_id=user.pk,
            session_id=session.pk,
            api_key=str(key.pk),
            scopes=" ".join(scopes),
            days=days,
        )
        # Not the name: whoever holds the session chose it.
        outbox.notify(
            user,
            request,
            "account/email/api_key_created",
            prefix=key.prefix,
            scopes=", ".join(scopes),
            days=str(days),
        )
    return key, text
