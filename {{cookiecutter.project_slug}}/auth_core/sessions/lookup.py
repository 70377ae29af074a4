"""Reads the session of an access token with its user: what every authenticated request asks first.

With SESSION_LIVENESS_CACHE_SECONDS each process may answer a reading request from memory for so long.
"""

from functools import partial
from time import monotonic
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import CharField, QuerySet, UUIDField

from auth_core.compiled import CompiledQuery, Parameter

from .models import AuthSession, Delivery

# Of each process, by user; beyond so many all are forgotten.
MAX_REMEMBERED = 10_000
_remembered: dict[str, dict[tuple[str, Delivery], tuple[float, Any]]] = {}


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


def find(sid: str, sub: str, delivery: Delivery, *, reads: bool = False) -> AuthSession | None:
    """Return the session of this user with its tokens so delivered, whatever its state, or None.

    For a request that only `reads`, as it was up to SESSION_LIVENESS_CACHE_SECONDS ago.
    """
    seconds: int = settings.SESSION_LIVENESS_CACHE_SECONDS
    now, key = monotonic(), (sid, delivery)
    until, row = _remembered.get(sub, {}).get(key, (now, None))
    if not (seconds and reads and now < until):
        row = _query.row(sid=sid, sub=sub, delivery=delivery.value)
        if seconds and row is not None:
            if len(_remembered) >= MAX_REMEMBERED:
                _remembered.clear()
            _remembered.setdefault(sub, {})[key] = now + seconds, row
    # New objects each time: what a view does to them is not remembered.
    return None if row is None else _query.instance(row)


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


def forget(user_id: Any = None) -> None:
    """Ask the database again, for one user or for all: something was changed in this process."""
    if settings.SESSION_LIVENESS_CACHE_SECONDS:
        one = partial(_remembered.pop, str(user_id), None)
        transaction.on_commit(_remembered.clear if user_id is None else one)


def forget_owner(instance: Any, **_: Any) -> None:
    """Forget what a saved or deleted session or user has changed."""
    forget(instance.user_id if isinstance(instance, AuthSession) else instance.pk)
