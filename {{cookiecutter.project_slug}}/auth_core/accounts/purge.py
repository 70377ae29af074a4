"""Deletes registrations that nobody finished."""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from auth_core import policy

from . import registrations
from .models import Registration

BATCH = 100


def purge(now: datetime) -> int:
    """Delete registrations whose link nobody followed.

    An account that an operator made or corrected is none, and stays until its address is verified.
    """
    before = now - timedelta(days=policy.UNVERIFIED_RETENTION_DAYS)
    old = Registration.objects.filter(requested_at__lt=before)
    # Of an account that nobody has claimed it counts that there is a row.
    old.exclude(activated_at=None).exclude(ip=None).update(ip=None, user_agent="")
    pending = old.filter(activated_at=None)
    purged = 0
    while deleted := _delete_pending(pending):
        purged += deleted
    return purged


@transaction.atomic
def _delete_pending(pending: Any) -> int:
    some = list(pending.select_for_update(of=("self",)).select_related("user")[:BATCH])
    for each in some:
        registrations.delete(each, None, reason="never_verified")
    return len(some)
