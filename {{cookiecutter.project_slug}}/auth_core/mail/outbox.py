"""The one way a mail leaves: a task that is enqueued with the change it tells of, and run afterwards.

In production a task is a row, written in the transaction of the request and worked off by
`manage.py mailworker`: rolled back with the request, or else done at least once. In development
(Django's immediate backend) it is run after the commit.
"""

from collections.abc import Callable
from contextvars import ContextVar
from traceback import format_tb
from typing import Any

from allauth.account.adapter import get_adapter
from allauth.core.context import request_context
from django import VERSION
from django.contrib.auth import get_user_model
from django.db import transaction
from django.http import HttpRequest
from django.utils import translation
from django.utils.module_loading import import_string
from django_tasks_db import DatabaseBackend

from auth_core.audit.log import context_of

# Django 5.2 has them in a package of their own.
task = import_string("django.tasks.task" if VERSION >= (6, 0) else "django_tasks.task")

QUEUE = "mail"
# The task that runs, for who builds its mails.
current_task: ContextVar[Any] = ContextVar("current_task")


class JobError(Exception):
    """Says which job failed, with what kind of error and where, but not its text: that may hold a link."""

    def __init__(self, job: str, error: Exception) -> None:
        code = getattr(error, "smtp_code", getattr(error, "errno", None)) or ""
        self.summary = f"{job}: {type(error).__qualname__} {code}".strip()
        # Lines of source, without values.
        super().__init__("\n".join([self.summary, *format_tb(error.__traceback__)]))


def defer(job: Callable[..., None], **arguments: Any) -> None:
    """Have `job(**arguments)` run once this transaction is committed, in the language of now.

    A job is a function of a module; its arguments are JSON without any secret: it makes links and
    looks up addresses itself, so that a known and an unknown address cost the request the same.
    It may run again after a failure, so let it send one mail.
    """
    path, language = f"{job.__module__}.{job.__qualname__}", translation.get_language()

    def enqueue() -> None:
        run_job.enqueue(path, arguments, language)

    if is_transactional():
        enqueue()
    else:
        transaction.on_commit(enqueue, robust=True)


def is_transactional() -> bool:
    """Say whether a task is a row of the database, committed and rolled back like any other."""
    return isinstance(run_job.get_backend(), DatabaseBackend)


@task(queue_name=QUEUE, takes_context=True)
def run_job(context: Any, job: str, arguments: dict[str, Any], language: str | None) -> None:
    """Run a job as a worker would: without a request, in the language of who asked."""
    running = current_task.set(context.task_result)
    try:
        with translation.override(language), request_context(None):
            import_string(job)(**arguments)
    except Exception as error:
        raise JobError(job, error) from None
    finally:
        current_task.reset(running)


def notify(
    user: Any, request: HttpRequest, template: str, *, email: str | None = None, **context: str
) -> None:
    """Tell a user by mail of a change to the account: when it happened and from where.

    It goes to `email`, an address that the account no longer has, or else to all that it has; each
    mail is a task of its own, so that no address waits for another or gets a mail again because of it.
    """
    context = {**context_of(request), **context}
    for address in [email] if email else addresses_of(user):
        defer(send_notice, email=address, user_id=str(user.pk), template=template, context=context)


def addresses_of(user: Any) -> list[str]:
    """Return the address of a user, if there is one (NIST SP 800-63B-4, 4.2.3)."""
    return [user.email] if user.email else []


def send_notice(email: str, user_id: str, template: str, context: dict[str, str]) -> None:
    user = get_user_model().objects.filter(pk=user_id).first()
    get_adapter().send_mail(template, email, {"user": user, **context})
