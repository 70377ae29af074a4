"""Deletes sessions that ended long ago, in small batches: refreshes go on meanwhile."""

from datetime import datetime, timedelta

from django.db.models import Q

from .models import AuthSession

# How long a session that ended can still be looked at in the admin.
KEPT = timedelta(days=7)
BATCH = 1000


def purge(now: datetime) -> int:
    before = now - KEPT
    dead = AuthSession.objects.filter(
        Q(revoked_at__lt=before) | Q(idle_expires_at__lt=before) | Q(absolute_expires_at__lt=before)
    ).order_by()
    purged = 0
    while batch := list(dead.values_list("pk", flat=True)[:BATCH]):
        purged += AuthSession.objects.filter(pk__in=batch).delete()[0]
    return purged
