"""Sends the mails of the outbox until SIGTERM: `manage.py mailworker`, as many at once as are wanted."""

import logging
import time
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error, connections
from django.utils import timezone
from django_tasks_db.compat import TaskResultStatus
from django_tasks_db.management.commands import db_worker
from django_tasks_db.models import DBTaskResult

from auth_core.mail import outbox

logger = logging.getLogger(__name__)

# The longest pause between two attempts to reach the database.
MAX_PAUSE_SECONDS = 30


class Worker(db_worker.Worker):
    """django-tasks-db's worker, with further attempts at what failed and patience with the database."""

    def run_forever(self) -> None:
        """Work until told to end; a task that has begun is finished first."""
        pause, look_again = self.interval, 0.0
        while self.running:
            try:
                if time.monotonic() >= look_again:
                    take_up_again()
                    look_again = time.monotonic() + settings.MAIL_LEASE_SECONDS / 10
                self.run()  # in batch mode: until no task is due
                pause = self.interval
            except Error as error:
                pause = min(2 * pause, MAX_PAUSE_SECONDS)
                name = type(error).__name__
                logger.error("The database failed (%s); trying again in %d s.", name, pause)
                connections.close_all()
            if self.running:
                time.sleep(pause)

    def run_task(self, db_task_result: DBTaskResult) -> None:
        # How the base class records a failure: replaced, so that a kill comes before or after, never between.
        db_task_result.set_failed = partial(postpone, db_task_result)
        super().run_task(db_task_result)


def take_up_again() -> None:
    """Make ready again what was begun by a worker that died: no job takes as long as the lease."""
    begun_before = timezone.now() - timedelta(seconds=settings.MAIL_LEASE_SECONDS)
    left = DBTaskResult.objects.running().filter(
        queue_name=outbox.QUEUE, started_at__lt=begun_before
    )
    if count := left.update(status=TaskResultStatus.READY):
        logger.error("%d mail tasks of a worker that died are taken up again.", count)


def postpone(row: DBTaskResult, error: BaseException) -> None:
    """Give a task that failed another attempt later; after the last one it stays, as failed."""
    attempts = len(row.worker_ids)
    summary = getattr(error, "summary", type(error).__qualname__)
    where = (row.id, attempts, settings.MAIL_ATTEMPTS, summary)
    if attempts >= settings.MAIL_ATTEMPTS:
        logger.error("Mail task %s failed for good, attempt %d of %d: %s", *where)
        DBTaskResult.set_failed(row, error)
        return
    logger.error("Mail task %s failed, attempt %d of %d: %s", *where)
    row.status = TaskResultStatus.READY
    row.run_after = timezone.now() + delay_after(attempts)
    row.save(update_fields=["status", "run_after"])


def delay_after(attempts: int) -> timedelta:
    """How long after so many failed attempts the next one follows: doubled each time, up to a limit."""
    seconds = settings.MAIL_RETRY_SECONDS * 2 ** (attempts - 1)
    return timedelta(seconds=min(seconds, settings.MAIL_RETRY_MAX_SECONDS))


class Command(BaseCommand):
    help = "Send the mails of the outbox until SIGTERM. Run at least one beside the server in production."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--interval", type=float, default=1.0, help="Seconds between looks (1)."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not outbox.is_transactional():
            raise CommandError("TASKS has no outbox here: mails are sent by whoever causes them.")
        # One line for each look would fill the log.
        logging.getLogger("django_tasks_db").setLevel(logging.WARNING)
        worker = Worker(
            queue_names=[outbox.QUEUE],
            excluded_queue_names=[],
            interval=options["interval"],
            batch=True,
            backend_name=outbox.run_job.backend,
            startup_delay=False,
            max_tasks=None,
            worker_id=uuid4().hex,
        )
        worker.configure_signals()
        worker.run_forever()
