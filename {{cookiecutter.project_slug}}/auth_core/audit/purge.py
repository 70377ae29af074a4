"""Deletes the events that are older than the policy keeps them."""

from datetime import datetime, timedelta

from auth_core import policy
from auth_core.batches import delete_in_batches

from .models import AuditEvent, AuditEventQuerySet


def purge(now: datetime) -> int:
    old = AuditEvent.objects.filter(time__lt=now - timedelta(days=policy.AUDIT_RETENTION_DAYS))
    return delete_in_batches(old, AuditEventQuerySet.purge)
