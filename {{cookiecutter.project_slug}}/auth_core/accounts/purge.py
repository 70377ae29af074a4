"""Deletes registrations that nobody finished, where the policy has addresses verified."""

from datetime import datetime, timedelta
from typing import Any

from allauth.account.models import EmailAddress
from django.contrib.auth import get_user_model
from django.db import transaction

from auth_core import policy
from auth_core.audit.log import Event, record

from . import addresses

BATCH = 100


def purge(now: datetime) -> int:
    """Delete accounts whose address was never verified and who never logged in; staff stays."""
    if policy.EMAIL_VERIFICATION != "mandatory":
        return 0
    unfinished = EmailAddress.objects.filter(
        user__date_joined__lt=now - timedelta(days=policy.UNVERIFIED_RETENTION_DAYS),
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
