"""Deletes registrations that nobody finished."""

from datetime import datetime, timedelta
from typing import Any

from allauth.account.models import EmailAddress
from django.contrib.auth import get_user_model
from django.db import transaction

from auth_core import policy
from auth_core.audit.log import Event, record

from . import addresses, registrations
from .models import Registration

BATCH = 100


def purge(now: datetime) -> int:
    """Delete pending registrations, and accounts that were never verified and never logged in; staff stays."""
    before = now - timedelta(days=policy.UNVERIFIED_RETENTION_DAYS)
    old = Registration.objects.filter(requested_at__lt=before)
    # Of an account that nobody has claimed it counts that there is a row.
    old.exclude(activated_at=None).exclude(ip=None).update(ip=None, user_agent="")
    pending = old.filter(activated_at=None)
    purged = 0
    while deleted := _delete_pending(pending):
        purged += deleted
    return purged + _purge_accounts(before)


@transaction.atomic
def _delete_pending(pending: Any) -> int:
    some = list(pending.select_for_update(of=("self",)).select_related("user")[:BATCH])
    for each in some:
        registrations.delete(each, None, reason="never_verified")
    return len(some)


def _purge_accounts(before: datetime) -> int:
    """Delete accounts whose address was never verified, where the policy has that done, and who never logged in."""
    if policy.EMAIL_VERIFICATION != "mandatory":
        return 0
    unfinished = EmailAddress.objects.filter(
        user__date_joined__lt=before,
        user__last_login=None,
        user__is_staff=False,
    ).exclude(user__in=addresses.counting().values("user"))
    purged = 0
    while deleted := _delete_some(unfinished):
        purged += deleted
    return purged


@transaction.atomic
def _delete_some(unfinished: Any) -> int:
    # The lock makes a verification wait, or this one see it.
    users = set(unfinished.select_for_update().values_list("user", flat=True)[:BATCH])
    get_user_model().objects.filter(pk__in=users).delete()
    for user_id in users:
        record(Event.USER_DELETED, user_id=user_id, reason="never_verified")
    return len(users)
