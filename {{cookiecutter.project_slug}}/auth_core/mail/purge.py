"""Deletes the mail tasks that are done: they name addresses, and are of no use any more."""

from datetime import datetime, timedelta

from django_tasks_db.models import DBTaskResult

from .outbox import QUEUE

# How long a mail that was sent, or given up, can still be looked at in the admin.
KEPT = timedelta(days=7)
BATCH = 1000


def purge(now: datetime) -> int:
    done = DBTaskResult.objects.finished().filter(queue_name=QUEUE, finished_at__lt=now - KEPT)
    purged = 0
    while batch := list(done.order_by().values_list("pk", flat=True)[:BATCH]):
        purged += DBTaskResult.objects.filter(pk__in=batch).delete()[0]
    return purged
