"""The first second factor of an account: told to every address that it had, each of which can take it back.

No older factor was asked for it, so a thief's session can add one, which a new password does not remove
(NIST SP 800-63B-4, 4.1.2). The link proves a mailbox: it removes a factor that was added in the last
FACTOR_UNDO_HOURS without the proof of an older one, and the password with it.
"""

from datetime import datetime, timedelta
from typing import Any

from allauth.account.adapter import get_adapter
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.core import signing
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from auth_core import policy
from auth_core.accounts.adapter import frontend_link
from auth_core.accounts.email_change import addresses_had, invalid_key
from auth_core.accounts.models import PasswordResetNonce
from auth_core.accounts.signals import account_recovered
from auth_core.audit.log import context_of, record
from auth_core.digests import digest
from auth_core.mail import outbox
from auth_core.sessions.lookup import locked_user

from .events import Event
from .models import FirstFactor

_signer = signing.Signer(salt=__name__)


def _lifetime() -> timedelta:
    hours: int = settings.FACTOR_UNDO_HOURS  # type: ignore[misc] # of a feature: mypy reads the kernel's
    return timedelta(hours=hours)


def _named_by(first: FirstFactor, email: str) -> str:
    """Return what a key of this address says: nothing that a fragment of a URL should not."""
    return f"{first.pk}-{digest(email)[:16]}"


def tell(user: Any, request: HttpRequest) -> None:
    """Remember that a user got a first factor, and mail that to every address that the account had."""
    first = FirstFactor.objects.create(user=user, added_at=timezone.now())
    user.refresh_from_db(fields=["email"])  # it was read before the lock
    context = context_of(request)
    for email in addresses_had(user):
        outbox.defer(send_notice, first=first.pk, email=email, context=context)


def send_notice(first: int, email: str, context: dict[str, str]) -> None:
    """Mail one address a link to take the factor back: a job. Nobody, once it was taken back."""
    found = FirstFactor.objects.filter(pk=first).select_related("user").first()
    if found is None:
        return
    hours = _lifetime() // timedelta(hours=1)
    key = _signer.sign(_named_by(found, email))
    link = frontend_link("undo-factor", key=key) if hours else ""
    about = {"user": found.user, "undo_url": link, "hours": str(hours)}
    get_adapter().send_mail("account/email/first_factor_added", email, {**about, **context})


def undo(key: str, request: HttpRequest) -> None:
    """Remove a first factor and what was added since, void the password, and end all that a recovery ends.

    Raises ValidationError (400) with the code `invalid_key`, also for an address that the account no
    longer had when an older one was proved.
    """
    try:
        said = _signer.unsign(key)
    except signing.BadSignature as error:
        raise invalid_key() from error
    rows = FirstFactor.objects.filter(
        pk=said.partition("-")[0], added_at__gt=timezone.now() - _lifetime()
    )
    with transaction.atomic():
        user_id = rows.values_list("user", flat=True).first()
        PasswordResetNonce.objects.filter(user=user_id).delete()
        user: Any = locked_user(user_id)
        first = rows.first()  # behind the lock: it works once
        if user is None or first is None:
            raise invalid_key()
        emails = addresses_had(user)
        proved = next((it for it in emails if _named_by(first, it) == said), None)
        if proved is None:
            raise invalid_key()
        user.set_unusable_password()
        user.save(update_fields=["password"])
        record(Event.DISOWNED, request, user_id=user.pk)
        account_recovered.send(
            sender=type(user), request=request, user=user, email=proved, since=first.added_at
        )
        link = frontend_link("forgot-password")
        for email in emails:
            outbox.notify(
                user,
                request,
                "account/email/first_factor_removed",
                email=email,
                password_reset_url=link,
            )


def remove_of_recovered(
    user: Any,
    request: HttpRequest | None,
    since: datetime | None = None,
    unclaimed: bool = False,
    **kwargs: Any,
) -> None:
    """Remove all factors, passkeys too, where a stranger may have bound the first of them.

    That is so if it was added since what an account's recovery has undone, and if nobody has shown mailbox
    and password together before. One that was added with the proof of an older one stays, and so does any
    at a mere reset of the password.
    """
    added = FirstFactor.objects.filter(user=user.pk)
    is_undone = since is not None and added.filter(added_at__gte=since).exists()
    if not (is_undone or unclaimed):
        return
    added.delete()
    if Authenticator.objects.filter(user=user.pk).delete()[0]:
        reason = "unclaimed" if unclaimed else "recovered"
        record(Event.DISABLED, request, user_id=user.pk, reason=reason)


def purge(now: datetime) -> int:
    """Forget first factors that neither their link nor an undone change of address can remove any more."""
    kept = max(_lifetime(), timedelta(days=policy.EMAIL_UNDO_DAYS))
    return FirstFactor.objects.filter(added_at__lt=now - kept).delete()[0]
