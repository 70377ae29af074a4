"""An operator's change of an address: a recovery, which ends all that was begun or bound before."""

from typing import Any

from allauth.account import signals
from allauth.account.models import EmailAddress
from django.contrib.auth import get_user_model
from django.db import transaction
from django.http import HttpRequest

from auth_core import policy
from auth_core.audit.log import Event, record
from auth_core.mail import outbox
from auth_core.sessions.models import AuthSession, RevocationReason
from auth_core.sessions.services import end_sessions

from . import mails, registrations
from .models import EmailChange, PasswordResetNonce
from .signals import account_recovered


@transaction.atomic
def correct_address(user: Any, email: str | None, request: HttpRequest) -> None:
    """Replace the address of a user by another one, which is not verified, or by none.

    The former one is verified for nothing any more; no link that was mailed before works, nor does any
    that takes a change back; sessions of both kinds end, and what receivers of `account_recovered` end.
    Both addresses are told, and the new one is mailed a link to verify it. The password stays: who does not
    know whose it is voids it, too (`manage.py resetpasswords`).
    """
    registrations.drop(email, request)
    PasswordResetNonce.objects.filter(user=user.pk).delete()
    user = get_user_model()._base_manager.select_for_update().get(pk=user.pk)
    former, unclaimed = user.email, registrations.is_unclaimed(user)
    row = EmailAddress.objects.filter(user=user, email=former).first()
    EmailChange.objects.filter(user=user).delete()
    EmailAddress.objects.filter(user=user).delete()
    user.email = email
    user.save(update_fields=["email"])
    every = AuthSession.objects.filter(user=user)
    end_sessions(every, RevocationReason.ADMIN, request, user_id=user.pk)
    registrations.claim(user)
    account_recovered.send(
        sender=type(user),
        request=request,
        user=user,
        email=None,
        since=None,
        unclaimed=unclaimed,
    )
    signals.email_changed.send(
        sender=EmailAddress,
        request=request,
        user=user,
        from_email_address=row,
        to_email_address=EmailAddress(user=user, email=email, primary=True) if email else None,
    )
    record(Event.EMAIL_CHANGED, request, user_id=user.pk, reason="admin")
    for address in filter(None, (former, email)):
        # Not from where: that is the administrator's business.
        outbox.defer(
            outbox.send_notice,
            email=address,
            user_id=str(user.pk),
            template="account/email/email_corrected",
            context={},
        )
    if email and policy.EMAIL_VERIFICATION != "none":
        outbox.defer(mails.send_verification, email=email)
