"""Adds, uses and removes passkeys: as a second factor, to confirm who one is, and to log in with nothing else."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from auth_core.audit.log import Event as KernelEvent
from auth_core.audit.log import record
from auth_core.features.mfa import services as mfa
from auth_core.mail import outbox
from auth_core.sessions import services as sessions
from auth_core.sessions.lookup import locked_user
from auth_core.sessions.models import AuthSession

from . import ceremonies, webauthn
from .ceremonies import Purpose
from .models import Passkey
from .webauthn import Credential, InvalidCredentialError, Options

# How a passkey proves who one is (RFC 8176): a key in somebody's possession, of whose hardware nothing is
# known without attestation, and that somebody was there. With what unlocked it, two factors.
METHODS = ("pop", "user", "mfa")


class Event(StrEnum):
    ADDED = "user_passkey_added"
    REMOVED = "user_passkey_removed"
    COPIED = "authn_passkey_copied"


def passkeys_of(user_id: Any) -> QuerySet[Passkey]:
    """Select the passkeys of a user, the oldest first."""
    passkeys = Passkey.objects.filter(authenticator__user=user_id)
    return passkeys.select_related("authenticator__user").order_by("authenticator")


def invalid_passkey() -> ValidationError:
    """One answer for an unknown passkey, and for whatever is wrong with what it signed."""
    message = _("The passkey was not accepted.")
    return ValidationError({"credential": [message]}, code="invalid_passkey")


# --- Adding and removing -------------------------------------------------------------------


def begin_registration(request: Request) -> tuple[Options, str]:
    """Return what asks for a new passkey, and the flow token of this session.

    Raises as `mfa.refuse_factor` does; ValidationError with the code `too_many_passkeys`.
    """
    _refuse_registration(request)
    passkeys = list(passkeys_of(request.user.pk))
    options, challenge = webauthn.creation_options(request.user, passkeys)
    return options, ceremonies.begin(Purpose.REGISTER, challenge, _session(request))


def register(
    request: Request, token: str, credential: Credential, name: str
) -> tuple[Passkey, list[str]]:
    """Add a passkey; return it, and recovery codes if it is the first factor. The other sessions end.

    Raises ValidationError with the code `invalid_flow` or `invalid_passkey`, and as `begin_registration`.
    """
    challenge = ceremonies.take(Purpose.REGISTER, token, _session(request))
    try:
        sign_count = webauthn.verify_registration(credential, challenge)
    except InvalidCredentialError as error:
        raise invalid_passkey() from error
    try:
        with transaction.atomic():
            sessions.lock_owner(request.auth)
            _refuse_registration(request)
            authenticator = Authenticator.objects.create(
                user=request.user,
                type=Authenticator.Type.WEBAUTHN,
                data={"name": name, "credential": credential},
            )
            passkey = Passkey.objects.create(
                authenticator=authenticator,
                digest=webauthn.digest_of(credential),
                sign_count=sign_count,
            )
            codes = mfa.added(request, METHODS, Event.ADDED, "account/email/passkey_added")
    except IntegrityError as error:
        raise invalid_passkey() from error  # registered already, whoever's it is
    return passkey, codes


def _refuse_registration(request: Request) -> None:
    mfa.refuse_factor(request)
    most: int = settings.PASSKEYS_PER_USER  # type: ignore[misc] # of a feature: mypy reads the kernel's
    if passkeys_of(request.user.pk).count() >= most:
        message = _("You have as many passkeys as are allowed; remove one first.")
        raise ValidationError({"non_field_errors": [message]}, code="too_many_passkeys")


def _session(request: Request) -> str:
    return str(cast(AuthSession, request.auth).pk)


def rename(passkey: Passkey, name: str) -> None:
    """Give a passkey another name."""
    with transaction.atomic():
        locked_user(passkey.authenticator.user_id)
        row = Authenticator.objects.filter(pk=passkey.authenticator.pk).first()
        if row is None:
            raise Http404
        row.data["name"] = name
        row.save(update_fields=["data"])
    passkey.authenticator = row


def remove(request: Request, passkey: Passkey) -> None:
    """Remove a passkey, with the last factor the recovery codes; the other sessions end.

    Raises SecondFactorRequired for a session without it.
    """
    mfa.demand_factor(request)
    with transaction.atomic():
        sessions.lock_owner(request.auth)
        chosen = Authenticator.objects.filter(pk=passkey.authenticator.pk)
        if not chosen.exists():
            raise Http404
        mfa.remove(request, chosen, Event.REMOVED)
        outbox.notify(request.user, request._request, "account/email/passkey_removed")


# --- Using ---------------------------------------------------------------------------------


def _use(
    passkey: Passkey,
    credential: Credential,
    challenge: str,
    request: HttpRequest,
    *,
    is_alone: bool = False,
) -> bool:
    """Say whether a passkey of a user whose row is locked is good, and remember its use.

    A counter that does not go up is recorded and mailed: there are two of this passkey (7.2, step 22).
    """
    try:
        count = webauthn.verify_assertion(credential, challenge, passkey, is_alone=is_alone)
    except InvalidCredentialError:
        return False
    if (count or passkey.sign_count) and count <= passkey.sign_count:
        record(Event.COPIED, request, user_id=passkey.user.pk, passkey=str(passkey.pk))
        outbox.notify(passkey.user, request, "account/email/passkey_copied")
        return False
    Passkey.objects.filter(pk=passkey.pk).update(sign_count=count)
    used = Authenticator.objects.filter(pk=passkey.authenticator.pk)
    used.update(last_used_at=timezone.now())
    return True


def _chosen(passkeys: QuerySet[Passkey], credential: Credential) -> Passkey | None:
    """Return the one that answered, or None where it is none of these."""
    try:
        return passkeys.filter(digest=webauthn.digest_of(credential)).first()
    except InvalidCredentialError:
        return None


def begin_login() -> tuple[Options, str]:
    """Return what asks for any passkey of this project, and the flow token. It is the same for everybody."""
    options, challenge = webauthn.request_options()
    return options, ceremonies.begin(Purpose.LOGIN, challenge)


def user_of_login(credential: Credential, challenge: str, request: HttpRequest) -> Any:
    """Return whose passkey answered, locked; within a transaction, which is committed either way.

    Raises ValidationError with the code `invalid_passkey` or, after a recovery of the account,
    `password_required`.
    """
    every = Passkey.objects.select_related("authenticator__user")
    found = _chosen(every, credential)
    user_id = found.user.pk if found else None
    user = locked_user(user_id)
    # Again, behind the lock: it may have been used or removed meanwhile.
    passkey = _chosen(every, credential) if user else None
    if passkey is None or not _use(passkey, credential, challenge, request, is_alone=True):
        sessions.record_failed_login("invalid_passkey", request, user_id)
        raise invalid_passkey()
    if not passkey.logs_in_alone:
        sessions.record_failed_login("password_required", request, user_id)
        message = _("Log in with your new password and this passkey first.")
        raise ValidationError({"non_field_errors": [message]}, code="password_required")
    return user


def begin_verification(ephemeral_token: str, request: HttpRequest) -> tuple[Options, str]:
    """Return what asks for a passkey of whose login waits, and the flow token.

    Raises ValidationError with the code `invalid_login` or `no_passkey`.
    """
    pending, user = mfa.pending_login(ephemeral_token, request)
    return _begin(Purpose.VERIFY, user, pending.pk)


def begin_reauthentication(request: Request) -> tuple[Options, str]:
    """Return what asks for a passkey of the user, and the flow token of this session.

    Raises ValidationError with the code `no_passkey`.
    """
    return _begin(Purpose.REAUTHENTICATE, request.user, _session(request))


def _begin(purpose: Purpose, user: Any, bound_to: str) -> tuple[Options, str]:
    passkeys = list(passkeys_of(user.pk))
    if not passkeys:
        message = _("There is no passkey.")
        raise ValidationError({"non_field_errors": [message]}, code="no_passkey")
    options, challenge = webauthn.request_options(passkeys)
    return options, ceremonies.begin(purpose, challenge, bound_to)


@dataclass(frozen=True)
class PasskeyProof:
    """A passkey in place of a code: what finishes a login that waits for its second factor."""

    credential: Credential
    challenge: str
    reason = "invalid_passkey"

    def use(self, user: Any, request: HttpRequest) -> tuple[str, ...]:
        passkey = _chosen(passkeys_of(user.pk), self.credential)
        if passkey is None or not _use(passkey, self.credential, self.challenge, request):
            return ()
        # Whoever had the password, too, is its owner.
        Passkey.objects.filter(pk=passkey.pk).update(logs_in_alone=True)
        return METHODS

    def refusal(self) -> ValidationError:
        return invalid_passkey()


def finish_verification(
    ephemeral_token: str, flow_token: str, credential: Credential, request: HttpRequest
) -> sessions.TokenPair:
    """Begin the session that was waiting for a second factor; raises as `mfa.finish_login` does.

    And ValidationError with the code `invalid_flow` or `invalid_passkey`.
    """
    pending, _user = mfa.pending_login(ephemeral_token, request)
    challenge = ceremonies.take(Purpose.VERIFY, flow_token, pending.pk)
    return mfa.finish_login(ephemeral_token, PasskeyProof(credential, challenge), request)


def reauthenticate(request: Request, flow_token: str, credential: Credential) -> None:
    """Confirm that the user of a session is there: two factors at once, without the password.

    Raises ValidationError with the code `invalid_flow` or `invalid_passkey`.
    """
    user, session, http_request = request.user, request.auth, request._request
    challenge = ceremonies.take(Purpose.REAUTHENTICATE, flow_token, _session(request))
    with transaction.atomic():
        sessions.lock_owner(request.auth)
        passkey = _chosen(passkeys_of(user.pk), credential)
        is_good = passkey is not None and _use(passkey, credential, challenge, http_request)
        if is_good:
            AuthSession.objects.filter(pk=session.pk).update(auth_time=timezone.now())
            mfa.count_factor(session, METHODS)
        event = KernelEvent.REAUTHENTICATED if is_good else KernelEvent.REAUTHENTICATION_FAIL
        reason = {} if is_good else {"reason": "invalid_passkey"}
        record(event, http_request, user_id=user.pk, session_id=session.pk, **reason)
    if not is_good:
        raise invalid_passkey()


# --- What happens to accounts ----------------------------------------------------------------


def ask_for_password_of_recovered(user: Any, **kwargs: Any) -> None:
    """Have no passkey log in alone to an account that its owner took back by mail: a thief may have made one.

    It stays a second factor, which no mail removes, and logs in again once it was used beside the new
    password, which the thief does not know.
    """
    Passkey.objects.filter(authenticator__user=user.pk).update(logs_in_alone=False)


def export(user: Any) -> dict[str, Any]:
    """Tell user/export/ of the passkeys, without their keys."""
    return {"passkeys": [_exported(each) for each in passkeys_of(user.pk)]}


def _exported(passkey: Passkey) -> dict[str, Any]:
    return {
        "name": passkey.name,
        "created_at": passkey.created_at,
        "last_used_at": passkey.last_used_at,
    }
