"""Changes a password: once, whatever races, and ending the sessions that began with the old one."""

from itertools import chain
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model, hashers
from django.contrib.auth.password_validation import (
    get_default_password_validators,
    password_validators_help_texts,
    validate_password,
)
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from rest_framework import serializers

from auth_core import policy
from auth_core.sessions.models import AuthSession, RevocationReason
from auth_core.sessions.services import auth_hashes, lock_owner
from auth_core.throttling.limits import throttled
from auth_core.throttling.passwords import attempt_confirmation

from .password_policy import MAX_LENGTH, nfc


class PasswordField(serializers.CharField):
    """A password as it was typed, not trimmed, in Unicode's NFC (NIST SP 800-63B-4, 3.1.1.2)."""

    def __init__(self, **kwargs: Any) -> None:
        style = {"input_type": "password"}
        super().__init__(
            **{
                "write_only": True,
                "trim_whitespace": False,
                "max_length": MAX_LENGTH,
                "style": style,
                **kwargs,
            }
        )

    def to_internal_value(self, data: Any) -> str:
        password = super().to_internal_value(data)
        # NFC joins up to four code points into one. More is refused as too long, and costs seconds to join.
        return nfc(password) if len(password) <= 4 * MAX_LENGTH else password


class PasswordPolicySerializer(serializers.Serializer):
    """{"min_length", "max_length", "breached_check", "advice": [...]}; lengths in code points in NFC."""

    min_length = serializers.IntegerField()
    max_length = serializers.IntegerField()
    breached_check = serializers.BooleanField()
    advice = serializers.ListField(child=serializers.CharField())


def password_policy() -> dict[str, Any]:
    return {
        "min_length": policy.PASSWORD_MIN_LENGTH,
        "max_length": MAX_LENGTH,
        "breached_check": settings.CHECK_BREACHED_PASSWORDS,
        "advice": password_validators_help_texts(),
    }


def check_password(user: Any, password: str) -> bool:
    """Compare; a hash of outdated parameters is renewed, and the sessions bound to it follow."""
    stored, bound = user.password, auth_hashes(user)
    overtaken = False

    def renew(password: str) -> None:
        nonlocal overtaken
        user.password = hashers.make_password(password)  # slow, so before the transaction
        with transaction.atomic():
            if _swap_password(user, stored):
                AuthSession.objects.filter(user=user, auth_hash__in=bound).update(
                    auth_hash=user.get_session_auth_hash()
                )
            else:
                overtaken = True
                user.refresh_from_db(fields=["password"])

    matches = hashers.check_password(password, stored, renew)
    return check_password(user, password) if overtaken else matches


def confirm_password(user: Any, password: str, request: HttpRequest) -> bool:
    """Compare the password of a user who is logged in: a stolen session must not serve to guess it.

    Wrong ones make the user wait as at a login, but counted apart; raises Throttled (429). Call it
    outside of a transaction, or what the request rolls back was never counted.
    """
    with throttled(request, user.pk):
        attempt = attempt_confirmation(user)
    with attempt:
        if not check_password(user, password):
            return False
        attempt.succeed()
    return True


def _swap_password(user: Any, before: str) -> bool:
    """Store the user's hash unless the stored one is no longer the one that was read."""
    users = get_user_model().objects.filter(pk=user.pk, password=before)
    return bool(users.update(password=user.password))


def new_password_codes() -> list[str]:
    """List what a new password is refused with: validators tell it in an attribute `codes`."""
    told = [getattr(it, "codes", ()) for it in get_default_password_validators()]
    return sorted({"password_mismatch", *chain(*told)})


def check_new_password(field: str, password: str, repeated: str, user: Any) -> None:
    """Refuse a password that was mistyped or that the policy does not allow, naming the body's field."""
    if password != repeated:
        raise serializers.ValidationError(
            {field: ["The two password fields didn't match."]}, code="password_mismatch"
        )
    try:
        validate_password(password, user)
    except DjangoValidationError as error:
        details = [
            serializers.ErrorDetail(e.messages[0], code=e.code or "invalid")
            for e in error.error_list
        ]
        raise serializers.ValidationError({field: details}) from error


def replace_password(
    user: Any, password: str, *, keep: AuthSession | None = None, spend: QuerySet[Any] | None = None
) -> bool:
    """Store a new password and end the user's sessions but `keep`; False if another change came first.

    Raises AuthenticationFailed (401) with `session_revoked` where `keep` has ended meanwhile.

    `spend` selects the row that stands for the right to do so: it is deleted, by one caller only.
    """
    before = user.password
    user.set_password(password)  # slow, so before the transaction
    with transaction.atomic():
        if keep is not None:
            lock_owner(keep)
        if spend is not None and not spend.delete()[0]:
            return False
        if not _swap_password(user, before):
            return False
        others = AuthSession.objects.filter(user=user)
        if keep is not None:
            others = others.exclude(pk=keep.pk)
            keep.auth_hash = user.get_session_auth_hash()
            keep.save(update_fields=["auth_hash"])
        others.end(RevocationReason.PASSWORD)
    return True
