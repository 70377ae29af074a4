"""Codes: which one is right, once, and how they are stored.

Rows are allauth's: a TOTP secret is encrypted by its adapter, and beside it stands the last time step
that was used; of recovery codes there are only hashes. allauth's own check remembers used codes in the
cache, of which each process may have its own, and its recovery codes can be read again. Its functions
for HOTP (RFC 4226) are not documented: the range of django-allauth in pyproject.toml pins the minor version.
"""

import base64
import logging
import secrets
import time
from typing import Any

from allauth.mfa import app_settings
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, generate_totp_secret, hotp_value
from allauth.mfa.utils import decrypt, encrypt
from django.db.models import QuerySet, UUIDField
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from auth_core.compiled import CompiledQuery, Parameter
from auth_core.digests import digest, normalized

from .encryption import DecryptionError

__all__ = ["generate_totp_secret"]

logger = logging.getLogger(__name__)

RECOVERY_CODES = 10
# 26 letters and digits.
RECOVERY_CODE_BYTES = 16
# A code of the step before is taken, too: somebody had to type it (RFC 6238, 5.2).
STEPS_BACK = 1


def factors_of(user_id: Any) -> QuerySet[Authenticator]:
    """Select what makes a login ask for a code; recovery codes alone do not."""
    every = Authenticator.objects.filter(user=user_id)
    return every.exclude(type=Authenticator.Type.RECOVERY_CODES)


_owner = CompiledQuery(lambda: factors_of(Parameter("user", UUIDField())).values("user").distinct())


def has_factor(user_id: Any) -> bool:
    return _owner.row(user=user_id) is not None


def has_totp(user_id: Any) -> bool:
    return factors_of(user_id).filter(type=Authenticator.Type.TOTP).exists()


def types_of(user_id: Any) -> list[str]:
    """Name the kinds of factors that a user has, in allauth's words."""
    return sorted({*factors_of(user_id).values_list("type", flat=True)})


def matching_step(secret: str, code: str) -> int | None:
    """Return the time step that a code is right for: the current one or the one before."""
    now = int(time.time()) // app_settings.TOTP_PERIOD
    for step in range(now, now - STEPS_BACK - 1, -1):
        if constant_time_compare(format_hotp_value(hotp_value(secret, step)), code):
            return step
    return None


def use_code(user: Any, code: str) -> Authenticator | None:
    """Use up a TOTP or recovery code: return whose it was, or None for a wrong or used one.

    The caller holds the lock of the user's row.
    """
    code = normalized(code)
    for row in Authenticator.objects.filter(user=user.pk):
        use = {"totp": _use_totp_code, "recovery_codes": _use_recovery_code}.get(row.type)
        if use is not None and use(row.data, code):
            row.last_used_at = timezone.now()
            row.save(update_fields=["data", "last_used_at"])
            return row
    return None


def _use_totp_code(data: dict[str, Any], code: str) -> bool:
    try:
        secret = decrypt(data["secret"])
    except DecryptionError:
        logger.error("A second factor was encrypted with a key that MFA_ENCRYPTION_KEYS lacks.")
        return False
    step = matching_step(secret, code)
    if step is None or step <= data["last_step"]:
        return False
    data["last_step"] = step
    return True


def _use_recovery_code(data: dict[str, Any], code: str) -> bool:
    hashed = digest(code)
    if hashed not in data["digests"]:
        return False
    data["digests"].remove(hashed)
    return True


def add_totp(user: Any, secret: str, step: int) -> None:
    """Store a secret, of which the code of `step` has been used."""
    data = {"secret": encrypt(secret), "last_step": step}
    Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data=data)


def recovery_codes_of(user_id: Any) -> QuerySet[Authenticator]:
    return Authenticator.objects.filter(user=user_id, type=Authenticator.Type.RECOVERY_CODES)


def renew_recovery_codes(user: Any) -> list[str]:
    """Replace the recovery codes by new ones and return them, for the only time."""
    codes = [_new_recovery_code() for _ in range(RECOVERY_CODES)]
    recovery_codes_of(user.pk).delete()
    data = {"digests": [digest(normalized(code)) for code in codes]}
    Authenticator.objects.create(user=user, type=Authenticator.Type.RECOVERY_CODES, data=data)
    return codes


def _new_recovery_code() -> str:
    text = base64.b32encode(secrets.token_bytes(RECOVERY_CODE_BYTES)).decode().rstrip("=").lower()
    return "-".join(text[at : at + 4] for at in range(0, len(text), 4))
