"""Honours, revokes and purges API keys."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NoReturn

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import AuthenticationFailed

from auth_core.audit.log import record
from auth_core.sessions.services import record_failed_login
from auth_core.throttling.limits import count_use

from . import keys
from .models import ApiKey

# Of a feature: mypy reads the kernel's.
PRECISION = timedelta(minutes=settings.API_KEY_LAST_USED_MINUTES)  # type: ignore[misc]
# How long a key that ended can still be looked at in the admin.
KEPT = timedelta(days=7)

MESSAGES = {
    "key_not_valid": _("The API key is not valid."),
    "key_expired": _("The API key has expired."),
    "key_revoked": _("The API key was revoked."),
}


class Event(StrEnum):
    KEY_CREATED = "authn_key_created"
    KEY_REVOKED = "authn_key_revoked"


def live_key(text: str, request: HttpRequest) -> ApiKey:
    """Return the key that was sent, its user loaded: one query.

    Raises AuthenticationFailed with the code key_not_valid, key_expired or key_revoked, each counted
    and recorded, and Throttled (429) after too many of them from one network. A good key is never
    refused for the bad ones beside it: 256 bits are not guessed.
    """
    sent = keys.parse(text)
    key = sent and ApiKey.objects.select_related("user").filter(pk=sent.id).first()
    if not sent or not key or not constant_time_compare(sent.secret_hash, key.secret_hash):
        _refuse("key_not_valid", request)
    if key.revoked_at is not None or not key.user.is_active:
        _refuse("key_revoked", request, key)
    if key.expires_at <= timezone.now():
        _refuse("key_expired", request, key)
    return key


def _refuse(code: str, request: HttpRequest, key: ApiKey | None = None) -> NoReturn:
    count_use("api_key_failed", request)
    detail = {"api_key": str(key.pk)} if key else {}
    record_failed_login(code, request, key and key.user_id, **detail)
    raise AuthenticationFailed(MESSAGES[code], code=code)


def note_use(key: ApiKey) -> None:
    """Remember that a key was used: one UPDATE in so many minutes, however many requests race."""
    now = timezone.now()
    if key.last_used_at is None or key.last_used_at <= now - PRECISION:
        is_stale = Q(last_used_at=None) | Q(last_used_at__lte=now - PRECISION)
        ApiKey.objects.filter(is_stale, pk=key.pk).update(last_used_at=now)


@transaction.atomic
def revoke(chosen: Any, reason: str, request: HttpRequest | None = None) -> int:
    """End the keys of a query set that were not revoked, each an event; return how many."""
    revoked = 0
    for pk, user_id in list(chosen.unrevoked().values_list("pk", "user_id")):
        if ApiKey.objects.unrevoked().filter(pk=pk).update(revoked_at=timezone.now()):
            record(Event.KEY_REVOKED, request, user_id=user_id, api_key=str(pk), reason=reason)
            revoked += 1
    return revoked


def end_of_deactivated(users: QuerySet[Any], **kwargs: Any) -> None:
    """End the keys of deactivated users for good: reactivation revives none (ASVS 7.4.2)."""
    revoke(ApiKey.objects.live().filter(user__in=users.values("pk")), "deactivated")


def end_of_recovered(user: Any, request: HttpRequest | None, **kwargs: Any) -> None:
    """End the keys of an account that its owner took back: a thief may have made one."""
    revoke(ApiKey.objects.live().filter(user=user.pk), "recovered", request)


def purge(now: datetime) -> int:
    """Delete keys some days after they ended."""
    before = now - KEPT
    ended = ApiKey.objects.filter(Q(revoked_at__lt=before) | Q(expires_at__lt=before))
    return ended.delete()[0]
