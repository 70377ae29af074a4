"""Starts, refreshes, checks and ends sessions: the only code that issues or honours a token."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from allauth.account.adapter import get_adapter
from django.contrib.auth import user_logged_in
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import AuthenticationFailed
from rest_framework_simplejwt.exceptions import ExpiredTokenError, TokenError

from auth_core import policy

from .models import AuthSession, RevocationReason
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


def start_session(user: Any, request: HttpRequest, *, amr: Iterable[str] = ("pwd",)) -> TokenPair:
    """Open a session for a user who has proved who they are. Every path to a token ends here.

    Raises AuthenticationFailed (`user_inactive`) for a deactivated user.
    """
    if not user.is_active:
        raise AuthenticationFailed(_("The account is deactivated."), code="user_inactive")
    now = timezone.now()
    session = AuthSession.objects.create(
        user=user,
        auth_hash=user.get_session_auth_hash(),
        created_at=now,
        rotated_at=now,
        auth_time=now,
        idle_expires_at=now + IDLE_LIFETIME,
        absolute_expires_at=now + ABSOLUTE_LIFETIME,
        amr=list(amr),
        ip=get_adapter().get_client_ip(request),
        user_agent=request.headers.get("User-Agent", "")[:200],
    )
    user_logged_in.send(sender=type(user), request=request, user=user)
    return TokenPair.of(session)


def _is_bound_to_password(session: AuthSession, user: Any) -> bool:
    """Say whether the password is still the one of the login, SECRET_KEY_FALLBACKS honoured."""
    return constant_time_compare(session.auth_hash, user.get_session_auth_hash()) or any(
        constant_time_compare(session.auth_hash, fallback)
        for fallback in user.get_session_auth_fallback_hash()
    )


def _death(session: AuthSession, now: datetime) -> str | None:
    """Name what ended a session, or None while it lives."""
    if session.revoked_at is not None:
        return (
            "refresh_reused"
            if session.revoked_reason == RevocationReason.REUSE
            else "session_revoked"
        )
    if not session.user.is_active or not _is_bound_to_password(session, session.user):
        return "session_revoked"
    if now >= session.expires_at:
        return "session_expired"
    return None


def _decode(token_class: type[AnyToken], token: str | bytes) -> AnyToken:
    try:
        return token_class(token)  # type: ignore[arg-type] # simplejwt declares a token to be a Token
    except ExpiredTokenError as error:
        raise refusal("token_expired") from error
    except TokenError as error:
        raise refusal("token_not_valid") from error


def live_session(token: str | bytes) -> AuthSession:
    """Return the session of an access token, its user loaded: one query.

    Raises AuthenticationFailed with the code token_not_valid, token_expired, session_revoked or
    session_expired.
    """
    claims = _decode(AccessToken, token)
    session = (
        AuthSession.objects.select_related("user")
        .filter(pk=claims["sid"], user_id=claims["sub"])
        .first()
    )
    death = "session_revoked" if session is None else _death(session, timezone.now())
    if session is None or death:
        raise refusal(death or "session_revoked")
    return session


def rotate(token: str) -> TokenPair:
    """Exchange a refresh token for the next pair of its session (RFC 9700, 4.14.2; ASVS 10.4.5).

    The current generation moves on by one. Its immediate parent, within the grace, gets the current
    pair again, so that callers racing each other converge. Anything older ends the session, and that
    is committed although the request fails.

    Raises AuthenticationFailed as `live_session` does, or with refresh_reused.
    """
    claims = _decode(RefreshToken, token)
    now = timezone.now()
    with transaction.atomic():
        session = (
            AuthSession.objects.select_for_update(of=("self",))
            .select_related("user")
            .filter(pk=claims["sid"], user_id=claims["sub"])
            .first()
        )
        death = "session_revoked" if session is None else _death(session, now)
        if session is None or death or claims["gen"] > session.generation:
            pass
        elif claims["gen"] == session.generation:
            session.generation += 1
            session.rotated_at = now
            session.idle_expires_at = now + IDLE_LIFETIME
            session.save(update_fields=["generation", "rotated_at", "idle_expires_at"])
        elif claims["gen"] < session.generation - 1 or now - session.rotated_at > GRACE:
            end(session, RevocationReason.REUSE)
            death = "refresh_reused"
    if session is None or death:
        raise refusal(death or "session_revoked")
    if claims["gen"] > session.generation:
        raise refusal("token_not_valid")
    return TokenPair.of(session)


def end(session: AuthSession, reason: RevocationReason) -> None:
    end_all(AuthSession.objects.filter(pk=session.pk), reason)


def end_all(sessions: Any, reason: RevocationReason) -> int:
    """Revoke the living ones of a query set of sessions; return how many."""
    return sessions.filter(revoked_at=None).update(revoked_at=timezone.now(), revoked_reason=reason)


def end_by_token(token: str | bytes) -> None:
    """Log out by any genuine token of the session; anything else changes nothing (RFC 7009, 2.2)."""
    for token_class in (AccessToken, RefreshToken):
        try:
            claims = _decode(token_class, token)
        except AuthenticationFailed:
            continue
        end_all(
            AuthSession.objects.filter(pk=claims["sid"], user_id=claims["sub"]),
            RevocationReason.LOGOUT,
        )
