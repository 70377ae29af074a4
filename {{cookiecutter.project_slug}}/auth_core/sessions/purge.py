"""Deletes sessions that ended long ago; refreshes go on meanwhile."""

from datetime import datetime, timedelta

from django.db.models import Q

from auth_core.batches import delete_in_batches

from .models import AuthSession

# How long a session that ended can still be looked at in the admin.
KEPT = timedelta(days=7)


def purge(now: datetime) -> int:
    before = now - KEPT
    dead = AuthSession.objects.filter(
        Q(revoked_at__lt=before) | Q(idle_expires_at__lt=before) | Q(absolute_expires_at__lt=before)
    )
    return delete_in_batches(dead)
