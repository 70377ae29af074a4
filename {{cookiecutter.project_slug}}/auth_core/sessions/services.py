"""Starts, refreshes, checks and ends sessions: the only code that issues or honours a token."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NoReturn, TypeVar

from django.conf import settings
from django.contrib.auth import get_user_model, user_logged_in
from django.db import DatabaseError, transaction
from django.db.models import Count, Exists, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework_simplejwt.exceptions import ExpiredTokenError, TokenError

from auth_core import policy
from auth_core.accounts import addresses
from auth_core.audit.log import Event, context_of, note, pseudonym, record
from auth_core.mail import outbox
from auth_core.throttling.limits import count_use, network_of

from . import lookup
from .delivery import delivery
from .models import AuthSession, Delivery, RevocationReason
from .tokens import AccessToken, RefreshToken, SessionToken

IDLE_LIFETIME = timedelta(days=policy.REFRESH_TOKEN_DAYS)
ABSOLUTE_LIFETIME = timedelta(days=policy.SESSION_ABSOLUTE_DAYS)
GRACE = timedelta(seconds=policy.REFRESH_GRACE_SECONDS)

AnyToken = TypeVar("AnyToken", bound=SessionToken)

MESSAGES = {
    "token_not_valid": _("The token is not valid."),
    "token_expired": _("The token has expired."),
    "session_revoked": _("The session has ended."),
    "session_expired": _("The session has expired."),
    "refresh_reused": _("The refresh token was used before; the session has been ended."),
}


# What a token is refused with (401).
TOKEN_CODES = (
    "refresh_reused",
    "session_expired",
    "session_revoked",
    "token_expired",
    "token_not_valid",
)


def refusal(code: str) -> AuthenticationFailed:
    return AuthenticationFailed(MESSAGES[code], code=code)


@dataclass(frozen=True)
class TokenPair:
    """What a client gets: two signed tokens of one session, and when they expire."""

    session: AuthSession
    access: AccessToken
    refresh: RefreshToken

    @classmethod
    def of(cls, session: AuthSession) -> "TokenPair":
        return cls(session, AccessToken.for_session(session), RefreshToken.for_session(session))


def with_login_facts(users: QuerySet[Any], request: HttpRequest | None) -> QuerySet[Any]:
    """Load with each user what the gates of `start_session` ask: one query instead of many.

    The user is known where a session was, as far back as they are kept, that no thief was found in.
    """
    return users.annotate(**login_facts(**login_context(request)))


def login_context(request: HttpRequest | None) -> dict[str, Any]:
    """Return what `login_facts` compares with: when and from where a login comes."""
    agent = context_of(request)["user_agent"] if request else ""
    return {"now": timezone.now(), "network": network_of(request), "agent": agent}


def login_facts(now: Any, network: Any, agent: Any) -> dict[str, Any]:
    """Name the annotations of `with_login_facts`; the arguments are values or expressions."""
    sessions = AuthSession.objects.filter(user=OuterRef("pk"))
    live = sessions.live(now).order_by().values("user")
    sound = sessions.exclude(revoked_reason=RevocationReason.REUSE)
    return {
        "has_verified_email": Exists(addresses.verified_of_outer()),
        "live_sessions": Coalesce(Subquery(live.annotate(count=Count("pk")).values("count")), 0),
        "has_sessions": Exists(sessions),
        "known_network": Exists(sound.filter(network=network)),
        "known_agent": Exists(sound.filter(user_agent=agent)),
    }


class ProofWithdrawnError(Exception):
    """What one of SESSION_GATES raises where what was proved counts no more: refused like a wrong password."""


class StepNeeded(PermissionDenied):
    """What one of SESSION_GATES raises for a login that can go on with one more step.

    403 where a session would begin in another way than by a login.
    """

    def begin(self, request: HttpRequest) -> dict[str, Any]:
        """Return the body of the answer with which the login goes on."""
        raise NotImplementedError


def start_session(user: Any, request: HttpRequest, *, amr: Iterable[str] = ("pwd",)) -> TokenPair:
    """Open a session for a user who has proved who they are. Every path to a token ends here.

    Raises ValidationError (400) with the code `invalid_credentials` for a deactivated user, who is
    not told from a wrong password, and `email_not_verified` where verification is mandatory; and what
    SESSION_GATES raise.
    """
    proved = user
    if not hasattr(user, "live_sessions"):
        user = with_login_facts(get_user_model().objects.filter(pk=user.pk), request).get()
    if not user.is_active:
        refuse_login("invalid_credentials", request, user_id=user.pk)
    if policy.EMAIL_VERIFICATION == "mandatory" and not user.has_verified_email:
        refuse_login("email_not_verified", request, user_id=user.pk)
    try:
        with transaction.atomic():
            session = begin(user, request, amr, delivery().of(request), proved=proved)
            user_logged_in.send(sender=type(user), request=request, user=user, auth_session=session)
            record_login(session, request)
    except ProofWithdrawnError:
        refuse_login("invalid_credentials", request, user_id=user.pk)
    except DatabaseError:
        if get_user_model().objects.filter(pk=user.pk).exists():
            raise
        refuse_login("invalid_credentials", request)  # the account was deleted meanwhile
    return TokenPair.of(session)


def begin(
    user: Any,
    request: HttpRequest,
    amr: Iterable[str],
    delivered: str,
    *,
    idle: timedelta = IDLE_LIFETIME,
    absolute: timedelta = ABSOLUTE_LIFETIME,
    proved: Any = None,
) -> AuthSession:
    """Make the row of a login, and ask SESSION_GATES.

    `user` is loaded with_login_facts, `proved` as they were when they proved who they are.
    """
    now = timezone.now()
    session = AuthSession.objects.create(
        user=user,
        auth_hash=user.get_session_auth_hash(),
        created_at=now,
        rotated_at=now,
        auth_time=now,
        idle_expires_at=now + idle,
        absolute_expires_at=now + absolute,
        amr=list(amr),
        delivery=delivered,
        network=network_of(request),
        **context_of(request),
    )
    if proved is not None and "pwd" not in session.amr:
        _require_unchanged(proved)
    # Asked when the row stands, so that a change that ends sessions has happened or sees it.
    for gate in settings.SESSION_GATES:
        import_string(gate)(session, request)
    # Many logins at once see one another behind the lock only.
    if user.live_sessions >= policy.MAX_SESSIONS_PER_USER // 2:
        _evict_oldest(session, request)
    return session


def _require_unchanged(proved: Any) -> None:
    """Lock the user; refuse one whose account was recovered since they proved who they are.

    Not for a password: a session is bound to it, and ends with it.
    """
    user = lookup.locked_user(proved.pk)
    if user is None or (user.email, user.password) != (proved.email, proved.password):
        raise ProofWithdrawnError


def record_login(session: AuthSession, request: HttpRequest, **detail: str) -> None:
    """Put a login on the audit trail, and tell the user of a suspicious one (ASVS 6.3.5)."""
    user: Any = session.user
    failures = getattr(user, "failed_logins", 0)
    is_new = user.has_sessions and not (user.known_network or user.known_agent)
    event, detail = Event.LOGIN_SUCCESS, {**detail, **({"new_device": "yes"} if is_new else {})}
    if failures >= settings.LOGIN_FAILURES_NOTICED:
        event, detail = Event.LOGIN_SUCCESS_AFTER_FAIL, {**detail, "failures": str(failures)}
        outbox.notify(user, request, "account/email/login_after_failures", failures=str(failures))
    elif is_new:
        outbox.notify(user, request, "account/email/new_login")
    record(event, request, user_id=user.pk, session_id=session.pk, **detail)


LOGIN_REFUSALS = {
    "invalid_credentials": _("Unable to log in with provided credentials."),
    "email_not_verified": _("E-mail is not verified."),
}


def refuse_login(
    code: str, request: HttpRequest, user_id: Any = None, identifier: str = ""
) -> NoReturn:
    """Refuse a login (400) and put that on the audit trail."""
    record_failed_login(code, request, user_id, identifier)
    raise ValidationError({"non_field_errors": [LOGIN_REFUSALS[code]]}, code=code)


def record_failed_login(
    reason: str, request: HttpRequest, user_id: Any = None, identifier: str = "", **detail: str
) -> None:
    """Put a login that failed on the audit trail, with the account that was meant, if there is one."""
    if identifier:
        field = "email" if "@" in identifier else "username"
        users = get_user_model().objects.filter(**{field: identifier})
        user_id = users.values_list("pk", flat=True).first()
        detail["identifier"] = pseudonym(identifier)
    record(Event.LOGIN_FAIL, request, user_id=user_id, reason=reason, **detail)


def _evict_oldest(session: AuthSession, request: HttpRequest) -> None:
    """End all but the newest sessions, this one among them, so that the allowed number is left."""
    lookup.locked_user(session.user_id)
    others = AuthSession.objects.filter(user=session.user_id).exclude(pk=session.pk)
    newest = others.live().order_by("-created_at").values_list("pk", flat=True)
    oldest = others.exclude(pk__in=list(newest[: policy.MAX_SESSIONS_PER_USER - 1]))
    end_sessions(oldest, RevocationReason.EVICTED, request, user_id=session.user_id)


def auth_hashes(user: Any) -> list[str]:
    """Return the hashes that bind a session to the user's password, SECRET_KEY_FALLBACKS honoured."""
    return [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]


def has_session(user: Any, session_id: Any) -> bool:
    """Say whether a user, whose row is locked, has this session, and it lives."""
    sessions = AuthSession.objects.live().filter(pk=session_id, user=user.pk)
    return sessions.filter(auth_hash__in=auth_hashes(user)).exists()


def lock_owner(session: Any) -> Any:
    """Lock and return the user of a session that is to add or change a credential, if it lives still.

    Call it within the transaction that does so, after whatever is slow: what ends the session, such
    as a recovery of the account, takes turns with it, and has happened or ends what was added.
    Raises AuthenticationFailed (401) with the code `session_revoked`.
    """
    user = lookup.locked_user(session.user_id)
    if user is None or not has_session(user, session.pk):
        raise refusal("session_revoked")
    return user


def _death(session: AuthSession, now: datetime) -> str | None:
    """Name what ended a session, or None while it lives."""
    if session.revoked_at is not None:
        reused = session.revoked_reason == RevocationReason.REUSE
        return "refresh_reused" if reused else "session_revoked"
    bound = any(constant_time_compare(session.auth_hash, it) for it in auth_hashes(session.user))
    if not session.user.is_active or not bound:
        return "session_revoked"
    if now >= session.expires_at:
        return "session_expired"
    return None


def is_alive(session: AuthSession) -> bool:
    """Say whether a session lives, its user loaded."""
    return _death(session, timezone.now()) is None


def _decode(token_class: type[AnyToken], token: str | bytes) -> AnyToken:
    try:
        # simplejwt declares a token to be a Token
        return token_class(token)  # type: ignore[arg-type]
    except ExpiredTokenError as error:
        raise refusal("token_expired") from error
    except TokenError as error:
        raise refusal("token_not_valid") from error


def live_session(token: str | bytes, arrived_by: Delivery = Delivery.HEADER) -> AuthSession:
    """Return the session of an access token, its user loaded: one query, each time.

    Raises AuthenticationFailed with the code token_not_valid, token_expired, session_revoked or
    session_expired.
    """
    claims = _decode(AccessToken, token)
    session = lookup.find(claims["sid"], claims["sub"], arrived_by)
    death = "session_revoked" if session is None else _death(session, timezone.now())
    if session is None or death:
        raise refusal(death or "session_revoked")
    return session


def restrict(session: AuthSession, request: Request) -> None:
    """Refuse a request of a living session with what SESSION_RESTRICTIONS raise."""
    for restriction in settings.SESSION_RESTRICTIONS:
        import_string(restriction)(session, request)


def restrict_user(user: Any, request: HttpRequest | Request) -> None:
    """Refuse a request by another credential than tokens with what USER_RESTRICTIONS raise."""
    for restriction in settings.USER_RESTRICTIONS:
        import_string(restriction)(user, request)


def rotate(token: str, request: HttpRequest, arrived_by: Delivery = Delivery.HEADER) -> TokenPair:
    """Exchange a refresh token for the next pair of its session (RFC 9700, 4.14.2; ASVS 10.4.5).

    The current generation moves on by one. Its immediate parent, within the grace, gets the current
    pair again, so that callers racing each other converge. Anything older ends the session, and that
    is committed although the request fails.

    Raises AuthenticationFailed as `live_session` does, or with refresh_reused; Throttled (429).
    """
    claims = _decode(RefreshToken, token)
    generation = claims["gen"]
    count_use("refresh", request, key=claims["sid"])
    now = timezone.now()
    with transaction.atomic():
        session = lookup.lock(claims["sid"], claims["sub"], arrived_by)
        code = "session_revoked" if session is None else _death(session, now)
        if session is not None and code is None:
            code = _advance(session, generation, now, request)
    if session is None or code:
        raise refusal(code or "session_revoked")
    note(Event.SESSION_RENEWED, request, user_id=session.user_id, session_id=session.pk)
    return TokenPair.of(session)


def _advance(
    session: AuthSession, generation: int, now: datetime, request: HttpRequest
) -> str | None:
    """Move a locked, living session on as its generation demands; name the refusal, if it is one."""
    if generation > session.generation:
        return "token_not_valid"
    if generation == session.generation:
        session.generation += 1
        session.rotated_at = now
        session.idle_expires_at = now + IDLE_LIFETIME
        # Follows a change of SECRET_KEY while the old one is still a fallback.
        session.auth_hash = session.user.get_session_auth_hash()
        session.save(update_fields=["generation", "rotated_at", "idle_expires_at", "auth_hash"])
        return None
    if generation == session.generation - 1 and now - session.rotated_at <= GRACE:
        return None
    AuthSession.objects.filter(pk=session.pk).end(RevocationReason.REUSE)
    record(Event.TOKEN_REUSE, request, user_id=session.user_id, session_id=session.pk)
    outbox.notify(session.user, request, "account/email/token_reuse")
    return "refresh_reused"


@transaction.atomic
def end_sessions(
    sessions: Any,
    reason: RevocationReason,
    request: HttpRequest | None = None,
    *,
    user_id: Any = None,
    session_id: Any = None,
    **detail: str,
) -> int:
    """Revoke those of a query set that live, and put that on the audit trail; return how many."""
    ended: int = sessions.end(reason)
    if ended:
        record(
            Event.TOKEN_REVOKED,
            request,
            user_id=user_id,
            session_id=session_id,
            reason=reason,
            sessions=ended,
            **detail,
        )
    return ended


def end_by_token(token: str | bytes, request: HttpRequest, arrived_by: Delivery) -> bool:
    """Log out by a genuine token of the session, and say whether it was one (RFC 7009, 2.2)."""
    for token_class in (AccessToken, RefreshToken):
        try:
            claims = _decode(token_class, token)
        except AuthenticationFailed:
            continue
        sid, sub = claims["sid"], claims["sub"]
        end_sessions(
            AuthSession.objects.filter(pk=sid, user_id=sub, delivery=arrived_by),
            RevocationReason.LOGOUT,
            request,
            user_id=sub,
            session_id=sid,
        )
        return True
    return False


def end_of_deactivated(users: QuerySet[Any], user_id: Any = None, **kwargs: Any) -> None:
    """End the sessions of deactivated users for good: reactivation revives none (ASVS 7.4.2)."""
    sessions = AuthSession.objects.filter(user__in=users.values("pk"))
    end_sessions(sessions, RevocationReason.ADMIN, user_id=user_id)


def end_of_recovered(user: Any, request: HttpRequest | None, **kwargs: Any) -> None:
    """End every session of an account that was taken back."""
    reason = RevocationReason.REVOKED if request else RevocationReason.ADMIN
    end_sessions(AuthSession.objects.filter(user=user.pk), reason, request, user_id=user.pk)
