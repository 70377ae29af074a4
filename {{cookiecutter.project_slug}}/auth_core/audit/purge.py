"""Deletes the events that are older than the policy keeps them."""

from datetime import datetime, timedelta

from auth_core import policy

from .models import AuditEvent

BATCH = 1000


def purge(now: datetime) -> int:
    old = AuditEvent.objects.filter(time__lt=now - timedelta(days=policy.AUDIT_RETENTION_DAYS))
    purged = 0
    while batch := list(old.order_by().values_list("pk", flat=True)[:BATCH]):
        purged += AuditEvent.objects.filter(pk__in=batch).purge()
    return purged
