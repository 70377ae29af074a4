"""Sends, renews, withdraws and purges invitations."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from allauth.account.adapter import get_adapter
from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import F
from django.http import HttpRequest
from django.utils import timezone

from auth_core import policy
from auth_core.accounts.adapter import frontend_link
from auth_core.audit.log import record
from auth_core.mail import outbox

from .models import Invitation


class Event(StrEnum):
    INVITATION_SENT = "user_invitation_sent"
    INVITATION_REVOKED = "user_invitation_revoked"
    INVITATION_ACCEPTED = "user_invitation_accepted"


@transaction.atomic
def invite(email: str, request: HttpRequest) -> Invitation:
    """Invite an address, whether it has an account or not; a pending invitation gets a new link."""
    inviter: Any = request.user
    invitation, _created = Invitation.objects.update_or_create(
        email=email,
        accepted_at=None,
        revoked_at=None,
        defaults={"invited_by": inviter, **Invitation.fresh_link()},
    )
    _send(invitation.pk, request)
    return invitation


@transaction.atomic
def renew(invitations: Any, request: HttpRequest) -> int:
    """Mail a new link for each pending invitation of a query set; the one before ends."""
    pending = list(invitations.pending().values_list("pk", flat=True))
    renewed = [pk for pk in pending if _change(pk, **Invitation.fresh_link())]
    for pk in renewed:
        _send(pk, request)
    return len(renewed)


@transaction.atomic
def revoke(invitations: Any, request: HttpRequest) -> int:
    """Withdraw the pending invitations of a query set: their links end."""
    pending = list(invitations.pending().values_list("pk", flat=True))
    revoked = [pk for pk in pending if _change(pk, revoked_at=timezone.now())]
    for pk in revoked:
        _record(Event.INVITATION_REVOKED, pk, request)
    return len(revoked)


def _change(pk: Any, **values: Any) -> int:
    """Change an invitation unless it was accepted or revoked meanwhile."""
    return Invitation.objects.pending().filter(pk=pk).update(**values)


def _send(pk: Any, request: HttpRequest) -> None:
    _record(Event.INVITATION_SENT, pk, request)
    outbox.defer(send_invitation, invitation_id=str(pk))


def _record(event: Event, pk: Any, request: HttpRequest) -> None:
    record(event, request, user_id=request.user.pk, invitation=str(pk))


def send_invitation(invitation_id: str) -> None:
    """Mail the link; to somebody who has an account already, that there is one."""
    invitation = Invitation.objects.valid().filter(pk=invitation_id).first()
    if invitation is None:
        return
    adapter, email = get_adapter(), invitation.email
    if get_user_model().objects.filter(email=email).exists():
        adapter.send_account_already_exists_mail(email)
    else:
        link = frontend_link("accept-invitation", invitation=invitation.key)
        context = {"invitation_url": link, "expires_at": invitation.expires_at}
        adapter.send_mail("account/email/invitation", email, context)
    Invitation.objects.filter(pk=invitation.pk).update(sent=F("sent") + 1)


def purge(now: datetime) -> int:
    """Delete invitations that nobody accepted, some days after they ended: they hold addresses."""
    before = now - timedelta(days=policy.UNVERIFIED_RETENTION_DAYS)
    unaccepted = Invitation.objects.filter(accepted_at=None)
    ended = unaccepted.filter(expires_at__lt=before) | unaccepted.filter(revoked_at__lt=before)
    return ended.delete()[0]
