"""The one way a mail leaves: a job that runs after the commit, builds the message and sends it."""

from collections.abc import Callable
from functools import partial
from typing import Any

from allauth.account.adapter import get_adapter
from django.contrib.auth import get_user_model
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from auth_core.audit.log import context_of


def defer(job: Callable[..., None], **arguments: Any) -> None:
    """Have `job(**arguments)` run once this transaction is committed.

    A job is a function of a module; its arguments are JSON without any secret: it makes links and
    looks up addresses itself, so that a known and an unknown address cost the request the same.
    """
    transaction.on_commit(partial(job, **arguments), robust=True)


def notify(user: Any, request: HttpRequest, template: str, **context: str) -> None:
    """Tell a user by mail of a change to the account: when it happened and from where."""
    context = {**context_of(request), "time": timezone.now().isoformat(), **context}
    defer(send_notice, user_id=str(user.pk), template=template, context=context)


def send_notice(user_id: str, template: str, context: dict[str, str]) -> None:
    user = get_user_model().objects.filter(pk=user_id).first()
    if user is not None and user.email:
        get_adapter().send_mail(template, user.email, {"user": user, **context})
