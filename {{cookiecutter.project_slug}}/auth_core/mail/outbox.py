"""The one way a mail leaves: a job that runs after the commit, builds the message and sends it."""

from collections.abc import Callable
from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.models import EmailAddress
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
    transaction.on_commit(lambda: job(**arguments), robust=True)


def notify(
    user: Any, request: HttpRequest, template: str, *, email: str | None = None, **context: str
) -> None:
    """Tell a user by mail of a change to the account: when it happened and from where.

    It goes to `email`, an address that the account no longer has, or else to all that it has.
    """
    timestamp = timezone.now().isoformat(" ", "seconds")
    context = {**context_of(request), "timestamp": timestamp, **context}
    defer(send_notice, user_id=str(user.pk), template=template, context=context, email=email)


def send_notice(
    user_id: str, template: str, context: dict[str, str], email: str | None = None
) -> None:
    user = get_user_model().objects.filter(pk=user_id).first()
    for address in [email] if email else addresses_of(user):
        get_adapter().send_mail(template, address, {"user": user, **context})


def addresses_of(user: Any | None) -> list[str]:
    """Return the address of a user, and every other one that was verified (NIST SP 800-63B-4, 4.2.3)."""
    if user is None:
        return []
    verified = EmailAddress.objects.filter(user=user, verified=True).values_list("email", flat=True)
    return sorted({*verified, *filter(None, [user.email])})
