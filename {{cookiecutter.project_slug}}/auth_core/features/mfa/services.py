"""Begins and finishes logins that need a second factor, and adds and removes those that users have."""

import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol, cast

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.request import Request

from auth_core.accounts import addresses
from auth_core.accounts.recovery import locked_user
from auth_core.audit.log import Event as KernelEvent
from auth_core.audit.log import record
from auth_core.digests import digest, normalized
from auth_core.mail import outbox
from auth_core.sessions import services as sessions
from auth_core.sessions.delivery import delivery
from auth_core.sessions.models import AuthSession, RevocationReason
from auth_core.throttling.limits import network_of, throttled
from auth_core.throttling.passwords import Attempt, failure

from . import encryption, factors
from .models import PendingLogin

# What a code adds to how a session was begun (RFC 8176).
SECOND = ("otp", "mfa")
ENROLMENT_SECONDS = 600


class Event(StrEnum):
    LOGIN_PENDING = "authn_mfa_required"
    RECOVERY_CODE_USED = "authn_mfa_recovery_code_used"
    ENABLED = "user_mfa_enabled"
    DISABLED = "user_mfa_disabled"
    RECOVERY_CODES_RENEWED = "user_mfa_recovery_codes_renewed"


class SecondFactorRequired(sessions.StepNeeded):
    """A session would begin without the second factor that its user has."""

    default_detail = _("A second factor is required.")
    default_code = "mfa_required"

    def __init__(self, session: AuthSession) -> None:
        super().__init__()
        self.user, self.amr = session.user, session.amr

    def begin(self, request: HttpRequest) -> dict[str, Any]:
        """Have the login wait for a second factor, of one of these kinds."""
        token = begin_login(self.user, self.amr, request)
        kinds = factors.types_of(self.user.pk)
        return {"mfa_required": True, "ephemeral_token": token, "factors": kinds}


# --- What the kernel asks: SESSION_GATES, SESSION_RESTRICTIONS, USER_RESTRICTIONS ------------


def require_factor(session: AuthSession, request: HttpRequest) -> None:
    """Refuse a session that was begun without the second factor of its user."""
    if "mfa" in session.amr:
        return
    # Whoever is about to set one up comes before, or ends this session: PostgreSQL looks at foreign
    # keys only at the commit.
    locked_user(session.user_id)
    if factors.has_factor(session.user_id):
        raise SecondFactorRequired(session)


def is_required_of(user: Any) -> bool:
    """Say whether MFA_REQUIRED demands a second factor of a user."""
    required: Any = settings.MFA_REQUIRED  # type: ignore[misc] # of a feature: mypy reads the kernel's
    return required == "all" or (required == "staff" and (user.is_staff or user.is_superuser))


def require_enrolment(session: AuthSession, request: Request) -> None:
    """Refuse who must have a second factor, and has none, everything but to enrol."""
    view = request.parser_context.get("view")
    if getattr(view, "is_for_enrolment", False) or "mfa" in session.amr:
        return
    if is_required_of(session.user):
        raise enrolment_required()


def require_enrolled_user(user: Any, request: Request) -> None:
    """Refuse a key of who must have a second factor, and has none: it was made before that was a duty."""
    if is_required_of(user) and not factors.has_factor(user.pk):
        raise enrolment_required()


def enrolment_required() -> PermissionDenied:
    return PermissionDenied(_("Set up a second factor first."), code="mfa_enrolment_required")


# --- Proofs --------------------------------------------------------------------------------


class Proof(Protocol):
    """What somebody shows of a second factor, to finish a login with it."""

    # Of a proof that is no good, on the audit trail.
    reason: str

    def use(self, user: Any, request: HttpRequest) -> tuple[str, ...]:
        """Use it up: return what it adds to `amr`, "mfa" in it, or nothing if it is no good.

        The caller holds the lock of the user's row, and commits what this records either way.
        """

    def refusal(self) -> ValidationError:
        """Return what answers a proof that is no good."""


@dataclass(frozen=True)
class CodeProof:
    """A code of an app, or a recovery code."""

    code: str
    reason = "invalid_code"

    def use(self, user: Any, request: HttpRequest) -> tuple[str, ...]:
        return SECOND if use_code(user, self.code, request) else ()

    def refusal(self) -> ValidationError:
        return invalid_code()


def attempt(user: Any, request: HttpRequest) -> Attempt:
    """Count a try of a proof; raises Throttled. `user` is loaded with_login_facts.

    As at a password, what others try elsewhere makes nobody wait where he has logged in before. And
    nobody gets so far without the password.
    """
    account, known = str(user.pk), user.known_network
    failures = [
        failure("code", account, binding=not known),
        failure("code and network", account, network_of(request)),
    ]
    with throttled(request, user.pk):
        return Attempt(failures, [])


def use_code(user: Any, code: str, request: HttpRequest) -> bool:
    """Use a code of a user whose row is locked; the use of a recovery code is recorded and mailed."""
    used = factors.use_code(user, code)
    if used is not None and used.type == Authenticator.Type.RECOVERY_CODES:
        left = len(used.data["digests"])
        record(Event.RECOVERY_CODE_USED, request, user_id=user.pk, left=left)
        outbox.notify(user, request, "account/email/recovery_code_used", left=str(left))
    return used is not None


def confirm_code(user: Any, code: str, request: HttpRequest, *, is_login: bool = False) -> bool:
    """Say whether a user who proved the password has a code, too; raises Throttled.

    Call it outside of a transaction, or what the request rolls back was never counted.
    """
    users = get_user_model().objects.filter(pk=user.pk)
    facts = sessions.with_login_facts(users, request).get()
    with attempt(facts, request) as trial, transaction.atomic():
        is_right = locked_user(user.pk) is not None and use_code(user, code, request)
        if is_right:
            trial.succeed()
    if is_login and not is_right:
        _tell_of_wrong_codes(user, request, trial)
    return is_right


def _tell_of_wrong_codes(user: Any, request: HttpRequest, trial: Attempt) -> None:
    """Tell a user of every so many logins of which only one factor was right (ASVS 6.3.5)."""
    if (trial.failures + 1) % settings.LOGIN_FAILURES_NOTICED == 0:
        outbox.notify(user, request, "account/email/login_without_code")


def demand_code(request: Request, code: str) -> None:
    """Confirm a code of a session's user; a wrong one is recorded as a failed reauthentication.

    Raises ValidationError with the code `invalid_code`; Throttled.
    """
    user, session, http_request = request.user, cast(AuthSession, request.auth), request._request
    if not confirm_code(user, code, http_request):
        record(
            KernelEvent.REAUTHENTICATION_FAIL,
            http_request,
            user_id=user.pk,
            session_id=session.pk,
            reason="invalid_code",
        )
        raise invalid_code()


def invalid_code() -> ValidationError:
    """One answer for a code that is wrong, was used, or is of another time."""
    return ValidationError({"code": [_("The code is not correct.")]}, code="invalid_code")


# --- A login -------------------------------------------------------------------------------


@transaction.atomic
def begin_login(user: Any, amr: list[str], request: HttpRequest) -> str:
    """Have a login wait for its second factor; return the token with which its client brings that."""
    token = secrets.token_urlsafe(32)
    seconds: int = settings.MFA_PENDING_SECONDS  # type: ignore[misc] # of a feature: mypy reads the kernel's
    PendingLogin.objects.create(
        digest=digest(token),
        user=user,
        auth_hash=user.get_session_auth_hash(),
        amr=amr,
        delivery=delivery().of(request),
        expires_at=timezone.now() + timedelta(seconds=seconds),
    )
    record(Event.LOGIN_PENDING, request, user_id=user.pk)
    return token


def _waiting(token: str, request: HttpRequest) -> Any:
    tries: int = settings.MFA_PENDING_TRIES  # type: ignore[misc] # of a feature: mypy reads the kernel's
    return PendingLogin.objects.filter(
        digest=digest(token),
        delivery=delivery().of(request),
        expires_at__gt=timezone.now(),
        tries__lt=tries,
    )


def pending_login(token: str, request: HttpRequest) -> tuple[PendingLogin, Any]:
    """Return the login that waits, and its user with_login_facts.

    Raises ValidationError with the code `invalid_login` where none waits (any more).
    """
    pending = _waiting(token, request).first()
    users = get_user_model().objects.filter(pk=pending and pending.user_id, is_active=True)
    user: Any = sessions.with_login_facts(users, request).first()
    if pending is None or user is None or pending.auth_hash not in sessions.auth_hashes(user):
        raise invalid_login()
    return pending, user


def finish_login(token: str, proof: Proof, request: HttpRequest) -> sessions.TokenPair:
    """Begin the session that was waiting for a second factor.

    Raises ValidationError with the code `invalid_login` where none waits (any more), or the proof's
    refusal; Throttled.
    """
    pending, user = pending_login(token, request)
    with attempt(user, request) as trial:
        # Counted before the proof is looked at, like the trial.
        if not _waiting(token, request).update(tries=F("tries") + 1):
            raise invalid_login()
        pair = _finish(pending, user, proof, request, trial)
    if pair is None:
        sessions.record_failed_login(proof.reason, request, user.pk)
        _tell_of_wrong_codes(user, request, trial)
        raise proof.refusal()
    return pair


@transaction.atomic
def _finish(
    pending: PendingLogin, user: Any, proof: Proof, request: HttpRequest, trial: Attempt
) -> sessions.TokenPair | None:
    """Use the proof and the waiting login up, and begin the session; None for a proof that is no good."""
    # One at a time: neither proof nor login is used twice.
    if locked_user(user.pk) is None:
        raise invalid_login()
    methods = proof.use(user, request)
    if not methods:
        return None
    if not PendingLogin.objects.filter(pk=pending.pk).delete()[0]:
        raise invalid_login()
    trial.succeed()
    return sessions.start_session(user, request, amr=(*pending.amr, *methods))


def invalid_login() -> ValidationError:
    """One answer for a token that is wrong, used, expired, tried too often, or overtaken by a change."""
    message = _("The login has expired; begin it again.")
    return ValidationError({"ephemeral_token": [message]}, code="invalid_login")


def purge(now: datetime) -> int:
    """Delete logins that nobody finished."""
    return PendingLogin.objects.filter(expires_at__lt=now).delete()[0]


# --- Enrolment -----------------------------------------------------------------------------


def new_enrolment(session: Any) -> tuple[str, str]:
    """Return a new secret, and the token with which this session enables it: that one, encrypted."""
    secret = factors.generate_totp_secret()
    return secret, encryption.encrypt(json.dumps([str(session.pk), secret]))


def enable_totp(request: Request, token: str, code: str) -> list[str]:
    """Enable a secret whose code the user has; return recovery codes. The other sessions end.

    Raises ValidationError with the code `mfa_enabled`, `email_not_verified`, `invalid_enrolment` or
    `invalid_code`.
    """
    user, session, http_request = request.user, request.auth, request._request
    refuse_enrolment(request)
    try:
        session_id, secret = json.loads(encryption.decrypt(token, ENROLMENT_SECONDS))
    except encryption.DecryptionError:
        session_id, secret = "", ""
    if session_id != str(session.pk):
        message = _("The enrolment has expired; begin it again.")
        raise ValidationError({"activation_token": [message]}, code="invalid_enrolment")
    step = factors.matching_step(secret, normalized(code))
    if step is None:
        raise invalid_code()
    with transaction.atomic():
        lock(request)
        refuse_enrolment(request)
        factors.add_totp(user, secret, step)
        codes = added(request, SECOND, Event.ENABLED)
        outbox.notify(user, http_request, "mfa/email/totp_activated")
    return codes


def refuse_enrolment(request: Request) -> None:
    """Refuse a second secret: ValidationError with the code `mfa_enabled`; and as `refuse_factor` does."""
    if factors.has_totp(request.user.pk):
        message = _("A second factor is enabled already.")
        raise ValidationError({"non_field_errors": [message]}, code="mfa_enabled")
    refuse_factor(request)


def refuse_factor(request: Request) -> None:
    """Refuse a further factor to a session without one, and any for an address that somebody else may own.

    The owner of the address recovers the account by mail, and then could not log in. Raises
    SecondFactorRequired; ValidationError with the code `email_not_verified`.
    """
    user: Any = request.user
    if factors.has_factor(user.pk):
        demand_factor(request)
    if user.email and not addresses.is_verified(user):
        message = _("Verify your e-mail address first.")
        raise ValidationError({"non_field_errors": [message]}, code="email_not_verified")


def demand_factor(request: Request) -> None:
    """Raise SecondFactorRequired for a session without it."""
    session = cast(AuthSession, request.auth)
    if session.acr != "aal2":
        raise SecondFactorRequired(session)


def added(request: Request, methods: Iterable[str], event: StrEnum) -> list[str]:
    """Follow a factor that was added, and shown by these methods: the other sessions end.

    Return the recovery codes that come with the first factor, and are shown once.
    """
    user = request.user
    has_codes = factors.recovery_codes_of(user.pk).exists()
    codes = [] if has_codes else factors.renew_recovery_codes(user)
    count_factor(request.auth, methods)
    _change(request, event)
    return codes


def remove(request: Request, chosen: QuerySet[Authenticator], event: StrEnum) -> None:
    """Remove factors of a user whose row is locked, with the last of them the recovery codes.

    The other sessions end.
    """
    chosen.delete()
    if not factors.has_factor(request.user.pk):
        factors.recovery_codes_of(request.user.pk).delete()
        forget_factor(request.auth)
    _change(request, event)


def lock(request: Request) -> None:
    """Lock the user's row; refuse (401) a session that was ended while this waited, as by a password reset."""
    user, session = locked_user(request.user.pk), cast(AuthSession, request.auth)
    bound = sessions.auth_hashes(user) if user else []
    if not AuthSession.objects.live().filter(pk=session.pk, auth_hash__in=bound).exists():
        raise sessions.refusal("session_revoked")


def count_factor(session: Any, methods: Iterable[str]) -> None:
    """Say of a session that its user has shown a second factor besides, by these methods."""
    amr = list(dict.fromkeys([*session.amr, *methods]))
    AuthSession.objects.filter(pk=session.pk).update(amr=amr)


def forget_factor(session: Any) -> None:
    """Say of a session that its user has no second factor any more."""
    amr = [method for method in session.amr if method not in SECOND]
    AuthSession.objects.filter(pk=session.pk).update(amr=amr)


def _change(request: Request, event: StrEnum) -> None:
    """Record a change of the user's factors, and end what began before it but this session."""
    user, session, http_request = request.user, request.auth, request._request
    record(event, http_request, user_id=user.pk, session_id=session.pk)
    PendingLogin.objects.filter(user=user.pk).delete()
    sessions.end_sessions(
        AuthSession.objects.filter(user=user.pk).exclude(pk=session.pk),
        RevocationReason.REVOKED,
        http_request,
        user_id=user.pk,
        session_id=session.pk,
    )


def disable_totp(request: Request) -> None:
    """Remove the app, with the last factor the recovery codes; the other sessions end."""
    with transaction.atomic():
        lock(request)
        apps = factors.factors_of(request.user.pk).filter(type=Authenticator.Type.TOTP)
        remove(request, apps, Event.DISABLED)
        outbox.notify(request.user, request._request, "mfa/email/totp_deactivated")


def renew_recovery_codes(request: Request) -> list[str]:
    """Return new recovery codes, which end the old ones; the other sessions end.

    Raises ValidationError with the code `mfa_disabled`; SecondFactorRequired for a session without it.
    """
    user = request.user
    with transaction.atomic():
        lock(request)
        if not factors.has_factor(user.pk):
            raise mfa_disabled()
        demand_factor(request)
        codes = factors.renew_recovery_codes(user)
        _change(request, Event.RECOVERY_CODES_RENEWED)
        outbox.notify(user, request._request, "mfa/email/recovery_codes_generated")
    return codes


def mfa_disabled() -> ValidationError:
    message = _("No second factor is enabled.")
    return ValidationError({"non_field_errors": [message]}, code="mfa_disabled")


@transaction.atomic
def reset(user: Any, request: HttpRequest | None = None) -> bool:
    """Take the second factor from a user who has lost it: what an administrator does.

    Every session ends, the user is told. Say whether there was one.
    """
    get_user_model().objects.select_for_update().get(pk=user.pk)
    if not Authenticator.objects.filter(user=user.pk).delete()[0]:
        return False
    PendingLogin.objects.filter(user=user.pk).delete()
    record(Event.DISABLED, request, user_id=user.pk, reason="reset")
    every = AuthSession.objects.filter(user=user.pk)
    sessions.end_sessions(every, RevocationReason.ADMIN, request, user_id=user.pk)
    for email in outbox.addresses_of(user):
        # Not from where: that is the administrator's business.
        template = "account/email/second_factor_reset"
        outbox.defer(
            outbox.send_notice, email=email, user_id=str(user.pk), template=template, context={}
        )
    return True


# --- What is told --------------------------------------------------------------------------


def status(user: Any) -> dict[str, Any]:
    rows = list(Authenticator.objects.filter(user=user.pk))
    codes = [row for row in rows if row.type == Authenticator.Type.RECOVERY_CODES]
    found = [row for row in rows if row not in codes]
    used = [row.last_used_at for row in rows if row.last_used_at]
    return {
        "mfa_enabled": bool(found),
        "mfa_required": is_required_of(user),
        "factors": sorted({row.type for row in found}),
        "created_at": min((row.created_at for row in found), default=None),
        "last_used_at": max(used, default=None),
        "recovery_codes_left": sum(len(row.data["digests"]) for row in codes),
    }


def reencrypt() -> tuple[int, int]:
    """Encrypt with the first key what another has encrypted; return how many, and how many none can read."""
    done = unreadable = 0
    secrets_in = Authenticator.objects.filter(type=Authenticator.Type.TOTP)
    for pk, user_id in secrets_in.values_list("pk", "user"):
        with transaction.atomic():
            get_user_model().objects.select_for_update().filter(pk=user_id).first()
            row = secrets_in.filter(pk=pk).first()
            if row is None or encryption.is_current(row.data["secret"]):
                continue
            try:
                text = encryption.decrypt(row.data["secret"])
            except encryption.DecryptionError:
                unreadable += 1
                continue
            row.data["secret"] = encryption.encrypt(text)
            row.save(update_fields=["data"])
            done += 1
    return done, unreadable


def export(user: Any) -> dict[str, Any]:
    """Tell user/export/ of the factors, without what is secret of them."""
    rows = Authenticator.objects.filter(user=user.pk)
    return {"second_factors": list(rows.values("type", "created_at", "last_used_at"))}
