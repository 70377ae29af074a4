"""Registrations whose address nobody has proved: several stand side by side, and none takes anything from anybody.

Whoever registers an address may be a stranger who waits for its owner's click ("pre-hijacking", Sudhodanan
and Paverd, USENIX Security 2022). So a click alone activates a registration only where there is no other,
and the account stays unclaimed until one client has shown the mailbox and the password together.
"""

import secrets
import time
from collections.abc import Callable
from copy import copy
from typing import Any
from uuid import UUID, uuid4

from allauth.account import app_settings
from allauth.account.adapter import get_adapter
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import identify_hasher, make_password
from django.core import signing
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError, QuerySet, RestrictedError
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from auth_core import policy
from auth_core.audit.log import Event, context_of, record
from auth_core.throttling.counters import Use, count
from auth_core.throttling.limits import throttled
from auth_core.throttling.passwords import Attempt, failure

from . import addresses
from .models import Registration

# Pending ones of one address; a further one is mailed like them, and not kept.
MOST = 5
VERIFY = f"{__name__}.verify"
REJECT = f"{__name__}.reject"


# --- Refusals ------------------------------------------------------------------------------


def invalid_key() -> serializers.ValidationError:
    return serializers.ValidationError({"key": [_("Invalid or expired key.")]}, code="invalid_key")


def invalid_password() -> serializers.ValidationError:
    return serializers.ValidationError(
        {"password": [_("This is not the password of the registration.")]}, code="invalid_password"
    )


def password_needed() -> serializers.ValidationError:
    return serializers.ValidationError(
        {
            "password": [
                _(
                    "Somebody else registered with this address, too: enter the password that you "
                    "chose, or choose a new one."
                )
            ]
        },
        code="password_needed",
    )


def username_taken() -> serializers.ValidationError:
    return serializers.ValidationError(
        {"username": [_("A user with that username already exists.")]}, code="username_taken"
    )


# --- Which there are -----------------------------------------------------------------------


def pending() -> QuerySet[Registration]:
    """Select those that wait for their mailed link, the newest first; not what staff has deactivated."""
    waiting = Registration.objects.filter(activated_at=None, user__is_active=True)
    return waiting.select_related("user")


def lock(email: str) -> None:
    """Have whatever concerns an address take turns until the transaction ends, also where it has no row."""
    ends = int(time.time()) + 60
    count([Use("registrations of an address", (email,), 2**31 - 1, expires_at=ends)])


def dressed(registration: Registration) -> Any:
    """Return the user of a pending registration with what it wants to be called, for mails and rules."""
    user: Any = registration.user
    if registration.activated_at is None:
        user.email = registration.email
        if registration.username:
            user.username = registration.username
    return user


def is_unclaimed(user: Any) -> bool:
    """Say whether nobody has shown the account's mailbox and password together so far.

    Only who registered with the present address can have left that open: an address that was changed
    since was asked for in a session, and what an operator or a script made is claimed.
    """
    return Registration.objects.filter(user=user.pk, email=user.email).exists()


def claim(user: Any) -> None:
    """Note that one client has shown the account's mailbox and password together."""
    Registration.objects.filter(user=user.pk).delete()


# --- Passwords: those of one address share a salt, so that one hash compares with all -------


def salt_for(email: str) -> str:
    newest = pending().filter(email=email).first()
    if newest is not None:
        try:
            stored = identify_hasher(newest.password).decode(newest.password)
            return str(stored["salt"])
        except ValueError:  # an adapter of the team stored none
            pass
    # For those that race each other to be the first; as random as any without SECRET_KEY.
    return salted_hmac(__name__, email, algorithm="sha256").hexdigest()[:32]


def waiting(field: str, name: str) -> list[Registration]:
    return list(pending().filter(**{field: name})[: 4 * MOST])


def waiting_user(field: str, name: str, password: str) -> Any | None:
    """Return the id of whose pending registration has this name and password; one hash, whether there is any."""
    found = waiting(field, name)
    salt = salt_for(found[0].email) if found else None
    same = with_hash(found, make_password(password, salt))
    return same[0].user_id if same else None


def with_hash(registrations: list[Registration], hashed: str | None) -> list[Registration]:
    """Choose those whose password has this hash."""
    return [it for it in registrations if hashed and constant_time_compare(it.password, hashed)]


# --- Keys and tokens -----------------------------------------------------------------------


def key_of(registration: Registration) -> str:
    """Return the key of the mailed link: whoever brings it reads mail at the address."""
    return signing.dumps(str(registration.pk), salt=VERIFY)


def reject_key_of(registration: Registration) -> str:
    """Return the key that deletes this registration, and does nothing else."""
    return signing.dumps(str(registration.pk), salt=REJECT)


def former_id(address_id: int) -> UUID:
    """Return the id of a registration that was a row of allauth's before, whose key a mail may hold still."""
    return UUID(int=address_id)


def of_key(key: str) -> Registration | None:
    """Return the pending registration of a mailed key."""
    seconds = policy.EMAIL_VERIFICATION_HOURS * 3600
    try:
        pk = signing.loads(key, salt=VERIFY, max_age=seconds)
    except signing.BadSignature:
        try:
            pk = former_id(signing.loads(key, salt=app_settings.SALT, max_age=seconds))
        except signing.BadSignature:
            return None
    return pending().filter(pk=pk).first()


def token_of(registration: Registration | None) -> str:
    """Return what proves the client that registered; for none, what looks like it.

    Two of one registration have nothing in common, or they would tell it from an address with an owner.
    """
    pk = registration.pk if registration else uuid4()
    return signing.Signer(salt=f"{__name__}.token.{pk}").sign(secrets.token_urlsafe(16))


def _is_token_of(registration: Registration, token: str) -> bool:
    try:
        signing.Signer(salt=f"{__name__}.token.{registration.pk}").unsign(token)
    except signing.BadSignature:
        return False
    return True


# --- From the registration to the account --------------------------------------------------


def keep(
    email: str, built: Any, create: Callable[[], Any], request: HttpRequest
) -> tuple[Registration | None, Registration | None]:
    """Keep a registration; return it, or None, and the one whose link is to be mailed.

    `built` is the user that was asked for, and `create` stores it. Neither is kept where the address has
    an owner, whom the mail then tells, and where there are too many. The same password again is the
    same registration. Call it within a transaction.
    """
    users = get_user_model().objects
    lock(email)
    is_owned = users.filter(email=email).exists()
    found = list(pending().filter(email=email))
    wanted = {
        "username": built.username if _has_usernames() else None,
        "requested_at": timezone.now(),
        **context_of(request),
    }
    same = with_hash(found, built.password)
    if is_owned or same or len(found) >= MOST:
        _take_as_long(email, built, wanted, request)
        if is_owned:
            return None, None
        if not same:
            return None, found[0]
        Registration.objects.filter(pk=same[0].pk).update(**wanted)
        return same[0], same[0]
    # Under its name and address, as hooks of the team know it; it gives both back at once.
    user = create()
    registration = Registration.objects.create(
        user=user, email=email, password=user.password, **wanted
    )
    _undress(user)
    users.filter(pk=user.pk).update(**{name: getattr(user, name) for name in _identity()})
    return registration, registration


def _undress(user: Any) -> None:
    user.email = None
    if _has_usernames():
        user.username = None
    user.set_unusable_password()


def _take_as_long(email: str, built: Any, wanted: dict[str, Any], request: HttpRequest) -> None:
    """Do what keeping a registration costs, without hooks, and undo it: the time tells nobody from somebody."""
    users, user = get_user_model().objects, copy(built)
    with transaction.atomic():
        _undress(user)
        users.bulk_create([user])
        record(Event.USER_CREATED, request, user_id=user.pk)
        Registration.objects.create(user=user, email=email, password=built.password, **wanted)
        users.filter(pk=user.pk).update(**{name: getattr(user, name) for name in _identity()})
        transaction.set_rollback(True)


def note_unclaimed(user: Any, request: HttpRequest) -> Registration:
    """Remember who registered an account that is there before its address is proved."""
    now = timezone.now()
    return Registration.objects.create(
        user=user,
        username=user.username if _has_usernames() else None,
        email=user.email,
        requested_at=now,
        activated_at=now,
        **context_of(request),
    )


def activate(
    registration: Registration,
    request: HttpRequest,
    *,
    password: str | None = None,
    token: str = "",
    username: str | None = None,
) -> None:
    """Make an account of the one pending registration, or of the one with this password or token.

    Raises ValidationError (400) with the code password_needed, invalid_password, username_taken or
    invalid_key, and then uses nothing up; Throttled (429) after too many wrong passwords.
    """
    email = registration.email
    hashed = None if password is None else _matching_hash(email, password, request)
    with transaction.atomic():
        lock(email)
        found = list(pending().filter(email=email))
        if registration not in found:
            raise invalid_key()
        shown = with_hash(found, hashed)
        shown = shown or [it for it in found if token and _is_token_of(it, token)]
        if not shown and hashed:
            raise invalid_password()
        if not shown and len(found) > 1:
            raise password_needed()
        chosen = (shown or found)[0]
        _give_identity(chosen, username or chosen.username)
        chosen.user.password = chosen.password
        _open(chosen, request)
        if shown:
            claim(chosen.user)
        prove(chosen.user, request, claimed=bool(shown))
        drop(email, request)


def recover(user: Any, password: str, *, spend: QuerySet[Any]) -> bool:
    """Make an account of a pending registration with the password that a reset link sets; False if it is gone."""
    user.set_password(password)  # slow, so before the transaction
    with transaction.atomic():
        registration = Registration.objects.filter(user=user.pk).values_list("email").first()
        if registration is None:
            return False
        lock(*registration)
        chosen = pending().filter(user=user.pk).first()
        if chosen is None or not spend.delete()[0]:
            return False
        chosen.user = user
        name = chosen.username
        if name and get_user_model().objects.filter(username=name).exists():
            name = get_adapter().generate_unique_username([name, "user"])
        _give_identity(chosen, name)
        _open(chosen, None)
        drop(chosen.email, None)
    return True


def prove(user: Any, request: HttpRequest, *, claimed: bool) -> None:
    """Verify the address that an account has just got, by allauth's own way, and record that."""
    row = addresses.settle(user, verified=False)
    addresses.release(user.email)
    if not get_adapter(request).confirm_email(request, row):
        raise invalid_key()
    record(Event.EMAIL_VERIFIED, request, user_id=user.pk, claimed="yes" if claimed else "no")


def drop(email: str | None, request: HttpRequest | None) -> None:
    """Delete the pending registrations of an address that somebody has proved."""
    if not email:
        return
    lock(email)
    for each in Registration.objects.filter(email=email, activated_at=None).select_related("user"):
        delete(each, request, reason="address_proved")


def delete(registration: Registration, request: HttpRequest | None, *, reason: str) -> None:
    """Delete a registration with its user, or keep a user whom rows of the team protect, deactivated."""
    user: Any = registration.user
    record(Event.USER_DELETED, request, user_id=user.pk, reason=reason)
    pk = user.pk
    try:
        user.delete()
    except (ProtectedError, RestrictedError):
        Registration.objects.filter(pk=registration.pk).delete()
        get_user_model().objects.filter(pk=pk).update(is_active=False)


def reject(key: str, request: HttpRequest) -> None:
    """Delete the registration of a mailed key, or take the unproved address from its account.

    Raises ValidationError (400) with the code invalid_key, also where the address was verified since.
    """
    seconds = policy.UNVERIFIED_RETENTION_DAYS * 86_400
    try:
        pk = signing.loads(key, salt=REJECT, max_age=seconds)
    except signing.BadSignature:
        raise invalid_key() from None
    with transaction.atomic():
        found = Registration.objects.select_related("user").filter(pk=pk)
        registration = found.first()
        if registration is not None:
            lock(registration.email)
            registration = found.first()
        if registration is None:
            raise invalid_key()
        user: Any = registration.user
        if registration.activated_at is None:
            delete(registration, request, reason="rejected")
        elif user.email != registration.email or addresses.is_verified(user):
            raise invalid_key()
        elif _has_usernames():
            get_user_model().objects.filter(pk=user.pk).update(email=None)
            addresses.forget(user)
            registration.delete()
            record(Event.EMAIL_CHANGED, request, user_id=user.pk, reason="rejected")
        else:  # nothing would be left to log in with
            delete(registration, request, reason="rejected")


def _has_usernames() -> bool:
    return policy.LOGIN_WITH != "email"


def _identity() -> list[str]:
    return ["email", "password", *(["username"] if _has_usernames() else [])]


def _matching_hash(email: str, password: str, request: HttpRequest) -> str:
    """Return the hash of a password that one of the pending registrations has; outside of a transaction."""
    with throttled(request):
        attempt = Attempt([failure("registration", email)], [])
    with attempt:
        hashed = make_password(password, salt_for(email))
        matches = pending().filter(email=email, password=hashed).exists()
        if matches:
            attempt.succeed()
    if not matches:
        raise invalid_password()
    return hashed


def _give_identity(registration: Registration, username: str | None) -> None:
    """Give the user name and address; raises ValidationError where the name was taken meanwhile."""
    user: Any = registration.user
    user.email = registration.email
    if _has_usernames():
        if get_user_model().objects.filter(username=username).exclude(pk=user.pk).exists():
            raise username_taken()
        user.username = username


def _open(registration: Registration, request: HttpRequest | None) -> None:
    """Store the user of a registration as an account."""
    user: Any = registration.user
    try:
        with transaction.atomic():
            user.save(update_fields=_identity())
    except IntegrityError as error:  # somebody was faster, past the lock
        if get_user_model().objects.filter(email=user.email).exclude(pk=user.pk).exists():
            raise invalid_key() from error
        raise username_taken() from error
    # From where it came is nobody's business any more.
    Registration.objects.filter(pk=registration.pk).update(
        activated_at=timezone.now(), password="", ip=None, user_agent=""
    )
