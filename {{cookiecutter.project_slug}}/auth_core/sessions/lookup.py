"""Reads the session of an access token with its user: what every authenticated request asks first.

Each time from the database: nothing is remembered, so what was ended anywhere is dead here at once.
"""

from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import CharField, QuerySet, UUIDField

from auth_core.compiled import CompiledQuery, Parameter

from .models import AuthSession, Delivery


def _of_token(sessions: QuerySet[AuthSession]) -> QuerySet[AuthSession]:
    return sessions.filter(
        pk=Parameter("sid", UUIDField()),
        user_id=Parameter("sub", UUIDField()),
        delivery=Parameter("delivery", CharField()),
    )


_query = CompiledQuery(lambda: _of_token(AuthSession.objects.select_related("user")))
_locked = CompiledQuery(lambda: _of_token(AuthSession.objects.select_for_update()))
_user = CompiledQuery(
    lambda: get_user_model()._base_manager.filter(pk=Parameter("sub", UUIDField()))
)


def find(sid: str, sub: str, delivery: Delivery) -> AuthSession | None:
    """Return the session of this user with its tokens so delivered, whatever its state, or None."""
    session: AuthSession | None = _query.first(sid=sid, sub=sub, delivery=delivery.value)
    return session


def _active_for_update() -> QuerySet[Any]:
    users = get_user_model().objects.select_for_update()
    return users.filter(pk=Parameter("pk", UUIDField()), is_active=True)


_locked_user = CompiledQuery(_active_for_update)


def locked_user(pk: Any) -> Any | None:
    """Lock an active user's row until the transaction ends; what recovers an account takes turns.

    Taken after a nonce and before sessions, always in this order, so that nobody waits in a circle.
    """
    return _locked_user.first(pk=pk)


def lock(sid: str, sub: str, delivery: Delivery) -> AuthSession | None:
    """Return what `find` does, its row locked until the transaction ends."""
    session: AuthSession | None = _locked.first(sid=sid, sub=sub, delivery=delivery.value)
    # Read after the lock is held: joined, a password change that was waited for would show the new
    # session beside the old password (PostgreSQL, READ COMMITTED).
    user: Any = session and _user.first(sub=sub)
    if session is None or user is None:
        return None
    session.user = user
    return session
