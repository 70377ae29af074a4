"""Deletes the mail tasks that are done: they name addresses, and are of no use any more."""

from datetime import datetime, timedelta

from django_tasks_db.models import DBTaskResult

from auth_core.batches import delete_in_batches

from .outbox import QUEUE

# How long a mail that was sent, or given up, can still be looked at in the admin.
KEPT = timedelta(days=7)


def purge(now: datetime) -> int:
    done = DBTaskResult.objects.finished().filter(queue_name=QUEUE, finished_at__lt=now - KEPT)
    return delete_in_batches(done)
