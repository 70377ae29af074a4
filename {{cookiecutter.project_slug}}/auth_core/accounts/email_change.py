"""Changes an e-mail address: the new one must be verified first, the old one's owner can take it back.

(ASVS 6.3.7, 7.5.1; OWASP Authentication Cheat Sheet, "Change A User's Registered Email Address".)
"""

from datetime import datetime, timedelta
from typing import Any

from allauth.account import signals
from allauth.account.adapter import get_adapter
from allauth.account.models import EmailAddress
from django.contrib.auth import get_user_model
from django.core import signing
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError, RestrictedError
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from auth_core import policy
from auth_core.audit.log import Event, context_of, record
from auth_core.http.schema import Detail, codes
from auth_core.http.views import PublicEndpoint, RateLimited
from auth_core.mail import outbox
from auth_core.sessions.lookup import locked_user
from auth_core.sessions.models import AuthSession, RevocationReason
from auth_core.sessions.permissions import RecentlyAuthenticated
from auth_core.sessions.services import end_sessions, has_session

from . import addresses, registrations
from .adapter import frontend_link
from .fields import NewAddressField
from .models import EmailChange, PasswordResetNonce
from .signals import account_recovered

CONFIRM = timedelta(hours=policy.EMAIL_VERIFICATION_HOURS)
UNDO = timedelta(days=policy.EMAIL_UNDO_DAYS)


def _pending(now: datetime) -> Any:
    return EmailChange.objects.filter(applied_at=None, requested_at__gt=now - CONFIRM)


def _revocable(now: datetime) -> Any:
    return EmailChange.objects.filter(old_email__isnull=False, applied_at__gt=now - UNDO)


def history_of(user: Any) -> list[EmailChange]:
    """Return the recorded changes that lead to the user's address without a gap, the first one first.

    A write past this module leaves a gap: what was changed before it cannot be taken back.
    """
    history: list[EmailChange] = []
    email = user.email
    applied = EmailChange.objects.filter(user=user.pk, applied_at__isnull=False)
    for change in applied.order_by("-pk"):
        if change.new_email != email:
            break
        history.insert(0, change)
        email = change.old_email
    return history


def addresses_had(user: Any) -> list[str]:
    """Return every address that the user has, or had within EMAIL_UNDO_DAYS and since without a gap."""
    since = timezone.now() - UNDO
    had = [it.old_email for it in history_of(user) if it.applied_at and it.applied_at > since]
    return [*dict.fromkeys(email for email in (user.email, *had) if email)]


def end_of_recovered(user: Any, email: str | None = None, **kwargs: Any) -> None:
    """Void what a thief may have left: pending changes, and the undo links of addresses since the proved one.

    Those are the addresses that the account took after it first had `email`. Links of the ones before
    stay, or a thief who proves his own address would void the owner's.
    """
    EmailChange.objects.filter(user=user.pk, applied_at=None).delete()
    history = history_of(user)
    path = [*(change.old_email for change in history), user.email]
    if not email or email not in path:
        return
    later = history[path.index(email) :]
    if email != user.email:
        # It keeps its own link, whose history goes on without the addresses between.
        own = later.pop(0)
        EmailChange.objects.filter(pk=own.pk).update(new_email=user.email)
    EmailChange.objects.filter(pk__in=[change.pk for change in later]).delete()


def purge(now: datetime) -> int:
    """Delete the changes that can be neither confirmed nor taken back any more; return how many."""
    kept = _pending(now) | _revocable(now)
    deleted: int = EmailChange.objects.exclude(pk__in=kept.values("pk")).delete()[0]
    return deleted


def _signer(purpose: str) -> signing.Signer:
    return signing.Signer(salt=f"{__name__}.{purpose}")


def _find(purpose: str, key: str, changes: Any) -> Any:
    """Return the one of these changes that a mailed key names."""
    try:
        change = changes.filter(pk=_signer(purpose).unsign(key)).first()
    except signing.BadSignature:
        change = None
    if change is None:
        raise invalid_key()
    return change


def invalid_key() -> serializers.ValidationError:
    """One answer for a key that is wrong, used, expired or overtaken, and an address that is taken."""
    return serializers.ValidationError({"key": [_("Invalid or expired key.")]}, code="invalid_key")


# --- Jobs: they make the links when they run -----------------------------------------------


def send_confirmation_mail(user_id: str, session_id: str, email: str) -> None:
    """Mail the new address a link, or tell its owner where it has one already.

    Nobody is mailed once the session that asked has ended.
    """
    send_mail = get_adapter().send_mail
    with transaction.atomic():
        # One at a time, or each of several requests at once would leave a link that works.
        user = locked_user(user_id)
        if user is None or user.email == email or not has_session(user, session_id):
            return
        is_taken = addresses.owner_of(email) is not None
        if not is_taken:
            EmailChange.objects.filter(user=user, applied_at=None).delete()
            change = EmailChange.objects.create(
                user=user,
                session_id=session_id,
                old_email=user.email,
                new_email=email,
                requested_at=timezone.now(),
            )
    if is_taken:
        link = frontend_link("forgot-password")
        send_mail("account/email/email_change_taken", email, {"password_reset_url": link})
        return
    link = frontend_link("change-email", key=_signer("confirm").sign(str(change.pk)))
    send_mail("account/email/email_change_confirm", email, {"user": user, "activate_url": link})


def send_undo_mail(change_id: str, context: dict[str, str]) -> None:
    """Tell the old address of the change, with a link to take it back."""
    change = EmailChange.objects.filter(pk=change_id).select_related("user").first()
    if change is not None and change.old_email:
        link = frontend_link("restore-email", key=_signer("undo").sign(str(change.pk)))
        context = {**context, "undo_url": link}
        get_adapter().send_mail(
            "account/email/email_change_notice", change.old_email, {"user": change.user, **context}
        )


# --- What the links do ---------------------------------------------------------------------


def apply_change(key: str, request: HttpRequest) -> None:
    """Give the account its new address; once, while the session that asked for it lives.

    So a password reset, or whatever else ends a thief's session, voids what he asked for, too.
    Raises ValidationError (400) with the code invalid_key.
    """
    now = timezone.now()
    change = _find("confirm", key, _pending(now))
    try:
        with transaction.atomic():
            user = _open_account(change)
            pending = EmailChange.objects.filter(pk=change.pk, applied_at=None)
            if (
                user.email != change.old_email
                or not has_session(user, change.session_id)
                or not pending.update(applied_at=now)
            ):
                raise invalid_key()
            registrations.drop(change.new_email, request)
            _take_from_strangers(user, change.new_email, request)
            _move(user, change.new_email, request)
            others = AuthSession.objects.filter(user=user).exclude(pk=change.session_id)
            end_sessions(others, RevocationReason.REVOKED, request, user_id=user.pk)
            record(Event.EMAIL_CHANGED, request, user_id=user.pk, session_id=change.session_id)
            context = context_of(request)
            outbox.defer(send_undo_mail, change_id=str(change.pk), context=context)
    except IntegrityError as error:  # somebody else took the address meanwhile
        raise invalid_key() from error


def undo_change(key: str, request: HttpRequest) -> None:
    """Give the account its old address back, whatever it was changed to since; it counts as recovered.

    Only where recorded changes lead from there to the present address without a gap. Later changes
    cannot be taken back any more: their old addresses may be a thief's.
    Raises ValidationError (400) with the code invalid_key.
    """
    change = _find("undo", key, _revocable(timezone.now()))
    try:
        with transaction.atomic():
            user = _open_account(change)
            history = history_of(user)
            if change not in history:
                raise invalid_key()
            undone = [it.pk for it in history[history.index(change) :]]
            EmailChange.objects.filter(pk__in=undone).delete()
            removed = user.email
            _take_from_strangers(user, change.old_email, request)
            _move(user, change.old_email, request)
            record(Event.EMAIL_RESTORED, request, user_id=user.pk)
            account_recovered.send(
                sender=type(user),
                request=request,
                user=user,
                email=user.email,
                since=change.applied_at,
            )
            link = frontend_link("forgot-password")
            for email in {removed, user.email}:
                outbox.notify(
                    user,
                    request,
                    "account/email/email_restored",
                    email=email,
                    password_reset_url=link,
                )
    except IntegrityError as error:  # somebody else has verified the address meanwhile
        raise invalid_key() from error


def _open_account(change: EmailChange) -> Any:
    """Void the links that would set a password, and lock the user."""
    PasswordResetNonce.objects.filter(user=change.user_id).delete()
    user = locked_user(change.user_id)
    if user is None:
        raise invalid_key()
    return user


def _move(user: Any, email: str | None, request: HttpRequest) -> None:
    former = EmailAddress.objects.filter(user=user, email=user.email).first()
    user.email = email
    user.save(update_fields=["email"])
    signals.email_changed.send(
        sender=EmailAddress,
        request=request,
        user=user,
        from_email_address=former,
        to_email_address=addresses.settle(user),
    )


def _take_from_strangers(user: Any, email: str, request: HttpRequest) -> None:
    """Take a proved address from accounts that never verified it, or nobody could ever take it back.

    Each is recorded, and told there, the only place. Nothing is left to log in with where it has no
    user name: it is deleted, but not if somebody has used it or protected rows belong to it.
    """
    for stranger in addresses.others_with(email, user).select_for_update():
        pk = stranger.pk
        outbox.notify(stranger, request, "account/email/address_taken", email=email)
        is_used = stranger.username is not None or stranger.last_login is not None
        if not is_used and _is_deleted(stranger):
            record(Event.USER_DELETED, request, user_id=pk, reason="address_taken")
        else:
            get_user_model().objects.filter(pk=pk).update(email=None)
            record(Event.EMAIL_TAKEN, request, user_id=pk)


def _is_deleted(user: Any) -> bool:
    """Delete a user unless something protects it; say whether that was done."""
    try:
        with transaction.atomic():
            user.delete()
    except (ProtectedError, RestrictedError):
        return False
    return True


# --- Endpoints -----------------------------------------------------------------------------


class EmailChangeSerializer(serializers.Serializer):
    """{"email"}, the new address; the answer is the same whether it is free or taken."""

    email = NewAddressField(max_length=254)


class EmailChangeKeySerializer(serializers.Serializer):
    """{"key"} from the mailed link."""

    key = serializers.CharField()


class EmailChangeView(RateLimited, GenericAPIView):
    """Ask for another address: it is mailed a link; always 200. Until that is followed nothing changes."""

    permission_classes = (RecentlyAuthenticated,)
    serializer_class = EmailChangeSerializer
    rate_limit = "change_email"

    @extend_schema(operation_id="email_change", responses={200: Detail})
    def post(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        user_id, session_id = request.user.pk, request.auth.pk
        with transaction.atomic():
            outbox.defer(
                send_confirmation_mail,
                user_id=str(user_id),
                session_id=str(session_id),
                email=serializer.validated_data["email"],
            )
            record(
                Event.EMAIL_CHANGE_REQUESTED,
                request._request,
                user_id=user_id,
                session_id=session_id,
            )
        return Response({"detail": _("A link was mailed to the new address.")})


class EmailChangeConfirmView(PublicEndpoint, GenericAPIView):
    """Change the address with the key mailed to the new one; ends the user's other sessions."""

    serializer_class = EmailChangeKeySerializer
    rate_limit = "reset_password_from_key"

    @extend_schema(
        operation_id="email_change_confirm", responses={200: Detail, 400: codes("invalid_key")}
    )
    def post(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        apply_change(serializer.validated_data["key"], request._request)
        return Response({"detail": _("The e-mail address was changed.")})


class EmailChangeUndoView(PublicEndpoint, GenericAPIView):
    """Take a change back with the key mailed to the old address; ends every session."""

    serializer_class = EmailChangeKeySerializer
    rate_limit = "reset_password_from_key"

    @extend_schema(
        operation_id="email_change_undo", responses={200: Detail, 400: codes("invalid_key")}
    )
    def post(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        undo_change(serializer.validated_data["key"], request._request)
        return Response({"detail": _("The e-mail address was restored.")})
