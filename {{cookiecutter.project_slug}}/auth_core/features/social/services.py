"""Finds, makes, links and unlinks the account of this project for an identity at a provider.

An identity is the provider and its stable id of the user, never an address or a name (ASVS 6.8.1).
"""

from enum import StrEnum
from typing import Any

from allauth.account import signals
from allauth.account.adapter import get_adapter as get_account_adapter
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.models import SocialAccount, SocialLogin
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from rest_framework import status
from rest_framework.exceptions import APIException, PermissionDenied, ValidationError

from auth_core.accounts import addresses, registrations
from auth_core.accounts.serializers import HAS_USERNAMES
from auth_core.accounts.signals import credential_removed
from auth_core.audit.log import Event as KernelEvent
from auth_core.audit.log import record
from auth_core.mail import outbox
from auth_core.sessions.lookup import locked_user
from auth_core.sessions.models import AuthSession, RevocationReason
from auth_core.sessions.services import (
    ProofWithdrawnError,
    end_sessions,
    lock_owner,
    with_login_facts,
)

from .models import Flow, Unlinked
from .providers import known_as

NEEDS_EMAIL = "email*" in settings.ACCOUNT_SIGNUP_FIELDS


class Event(StrEnum):
    SOCIAL_LINKED = "user_social_linked"
    SOCIAL_UNLINKED = "user_social_unlinked"


class Conflict(APIException):
    status_code = status.HTTP_409_CONFLICT


def user_of(login: SocialLogin, name: str, request: HttpRequest) -> Any:
    """Return the user of an identity; where there is none, link it by address or register it.

    Raises Conflict (409) with the code `account_exists`, PermissionDenied (403) with
    `registration_closed`, ValidationError (400) with `email_not_verified`.
    """
    try:
        return _user_of(login, name, request)
    except (IntegrityError, Conflict):
        # Another request of the same person was faster, perhaps between two of the questions here.
        return _user_of(login, name, request)


@transaction.atomic
def _user_of(login: SocialLogin, name: str, request: HttpRequest) -> Any:
    account = _accounts_of(login).first()
    if account is not None:
        _accounts_of(login).update(last_login=timezone.now())
        return _user_by(account, request)
    email = _verified_email(login)
    owner = _owner_of(email) if email else None
    if owner is None:
        return _user_by(_register(login, email, name, request), request)
    # A deactivated one is refused where sessions begin.
    if not owner.is_active:
        return owner
    locked = locked_user(owner.pk)
    if locked is None or locked.email != owner.email or _unlinked(owner, login).exists():
        raise _account_exists()
    return _user_by(_link(owner, login, name, request), request)


def _user_by(account: SocialAccount, request: HttpRequest) -> Any:
    """Return the user of a linked account, who says which one it is, for `require_link` to ask."""
    users = get_user_model().objects.filter(pk=account.user_id)
    user: Any = with_login_facts(users, request).get()
    user.came_by = account.pk
    return user


def require_link(session: AuthSession, request: HttpRequest) -> None:
    """Refuse a session that began by a linked account which was unlinked meanwhile: one of SESSION_GATES."""
    came_by = getattr(session.user, "came_by", None)
    # The user is locked: whatever unlinks has happened, or comes after this session and ends it.
    if came_by is not None and not SocialAccount.objects.filter(pk=came_by).exists():
        raise ProofWithdrawnError


def _accounts_of(login: SocialLogin) -> Any:
    return SocialAccount.objects.filter(provider=login.account.provider, uid=login.account.uid)


def _verified_email(login: SocialLogin) -> str | None:
    """Return the first address that the provider has verified; allauth puts the primary one first."""
    verified = (it.email for it in login.email_addresses if it.verified is True)
    return next(map(get_account_adapter().clean_email, verified), None)


def _owner_of(email: str) -> Any | None:
    """Return whose verified address this is; raises Conflict where it is somebody's who did not verify it.

    Both sides have seen the same mailbox then, whose owner could set a new password by mail as well. An
    account that never verified it, or that nobody has claimed, may have been made in wait for its owner.
    """
    owner = addresses.owner_of(email)
    if owner is not None and not registrations.is_unclaimed(owner):
        return owner
    if get_user_model().objects.filter(email=email).exists():
        raise _account_exists()
    return None


def _account_exists() -> Conflict:
    return Conflict(
        _("There is an account with this e-mail address: log in and link this provider to it."),
        code="account_exists",
    )


def _unlinked(user: Any, login: SocialLogin) -> QuerySet[Unlinked]:
    account = login.account
    return Unlinked.objects.filter(user=user.pk, provider=account.provider, uid=account.uid)


def _register(
    login: SocialLogin, email: str | None, name: str, request: HttpRequest
) -> SocialAccount:
    """Register somebody with the provider's verified address, and without a password."""
    if not get_adapter(request).is_open_for_signup(request, login):
        raise PermissionDenied(_("Registration is closed."), code="registration_closed")
    if email is None and NEEDS_EMAIL:
        raise ValidationError(
            {"non_field_errors": [_("The provider has not verified your e-mail address.")]},
            code="email_not_verified",
        )
    user: Any = login.user
    user.email = email
    if HAS_USERNAMES:
        suggestions = [user.username, user.first_name, "user"]
        user.username = get_account_adapter().generate_unique_username(suggestions)
    registrations.drop(email, request)
    user.save(force_insert=True)
    if email:
        addresses.settle(user)
    account: SocialAccount = SocialAccount.objects.create(
        user=user, provider=login.account.provider, uid=login.account.uid
    )
    record(KernelEvent.USER_CREATED, request, user_id=user.pk, provider=name)
    signals.user_signed_up.send(sender=type(user), request=request, user=user, sociallogin=login)
    return account


def link(session: Any, login: SocialLogin, name: str, request: HttpRequest) -> SocialAccount:
    """Link an identity to the user of a session.

    Raises Conflict (409) with the code `already_linked` where it is another's, AuthenticationFailed (401)
    with `session_revoked` where the session has ended meanwhile.
    """
    try:
        with transaction.atomic():
            user = lock_owner(session)
            account: SocialAccount | None = _accounts_of(login).first()
            if account is None:
                return _link(user, login, name, request)
    except IntegrityError:
        account = _accounts_of(login).first()
    if account is None or account.user_id != session.user_id:
        raise Conflict(
            _("This provider's account is linked to another user."), code="already_linked"
        )
    return account


def _link(user: Any, login: SocialLogin, name: str, request: HttpRequest) -> SocialAccount:
    account = SocialAccount.objects.create(
        user=user, provider=login.account.provider, uid=login.account.uid
    )
    _unlinked(user, login).delete()
    record(Event.SOCIAL_LINKED, request, user_id=user.pk, provider=name)
    outbox.notify(user, request, "account/email/social_linked", provider=name)
    return account


@transaction.atomic
def unlink(session: Any, name: str, request: HttpRequest) -> None:
    """Unlink whom the user of a session is at a provider; ends every session that began at one.

    Unless nothing else is left to log in with: 400 `last_login_method`.
    """
    user = lock_owner(session)
    of_user = SocialAccount.objects.filter(user=user)
    chosen = of_user.filter(provider=known_as(name))
    if not chosen.exists():
        raise Http404
    if not user.has_usable_password() and not of_user.exclude(provider=known_as(name)).exists():
        raise ValidationError(
            {
                "non_field_errors": [
                    _("Set a password first, by a password reset: you could not log in.")
                ]
            },
            code="last_login_method",
        )
    _unlink(chosen, user, request, provider=name)
    outbox.notify(user, request, "account/email/social_unlinked", provider=name)


def _unlink(accounts: Any, user: Any, request: HttpRequest | None, **detail: str) -> None:
    """Unlink accounts of a user whose row is locked, and end what began at a provider.

    That they were unlinked is remembered, or the next login would link by the address again.
    """
    Unlinked.objects.bulk_create(
        [Unlinked(user_id=user.pk, provider=it.provider, uid=it.uid) for it in accounts],
        ignore_conflicts=True,
    )
    accounts.delete()
    record(Event.SOCIAL_UNLINKED, request, user_id=user.pk, **detail)
    begun = AuthSession.objects.filter(user=user.pk, amr__0="fed")
    end_sessions(begun, RevocationReason.REVOKED, request, user_id=user.pk)
    credential_removed.send(sender=type(user), request=request, user=user)


@transaction.atomic
def unlink_for_operator(accounts: QuerySet[SocialAccount], request: HttpRequest) -> None:
    """Unlink accounts in the admin, as their users do it."""
    for user in get_user_model().objects.filter(pk__in=accounts.values("user")):
        locked_user(user.pk)
        _unlink(accounts.filter(user=user.pk), user, request, reason="admin")


def end_of_recovered(user: Any, request: HttpRequest | None, **kwargs: Any) -> None:
    """Unlink all of an account that was taken back: a thief may have linked one.

    The owner links what is theirs again, by logging in otherwise.
    """
    Flow.objects.filter(user=user.pk).delete()
    accounts = SocialAccount.objects.filter(user=user.pk)
    if accounts.exists():
        _unlink(accounts, user, request, reason="recovered")


def export(user: Any) -> dict[str, Any]:
    """Tell which identities are linked, and which were: all that is stored of them."""
    accounts = SocialAccount.objects.filter(user=user)
    unlinked = Unlinked.objects.filter(user=user)
    return {
        "social_accounts": [*accounts.values("provider", "uid", "date_joined", "last_login")],
        "unlinked_social_accounts": [*unlinked.values("provider", "uid")],
    }
