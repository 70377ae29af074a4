"""Counts uses, exactly however many race: in the database, whatever becomes of the cache or of a worker."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import connection, transaction
from django.utils.crypto import salted_hmac

from .models import Counter

PURGE_BATCH = 1000

# Rows are locked in the order of their keys, so that no two statements wait for each other.
INSERT = """
INSERT INTO auth_throttling_counter AS counter
    (key, uses, free, first_wait, refusals, blocked_until, expires_at) VALUES {}
ON CONFLICT (key) DO UPDATE SET
"""
# Each expression sees the row as it was; while it is blocked nothing counts but the refusals.
COUNT = """
    refusals = CASE WHEN counter.blocked_until > %(now)s THEN counter.refusals + 1 ELSE 0 END,
    uses = CASE
        WHEN counter.blocked_until > %(now)s THEN counter.uses
        WHEN counter.expires_at <= %(now)s THEN 1
        ELSE counter.uses + 1 END,
    blocked_until = CASE
        WHEN counter.blocked_until > %(now)s THEN counter.blocked_until
        WHEN counter.expires_at <= %(now)s THEN excluded.blocked_until
        WHEN counter.uses + 1 < excluded.free THEN 0
        WHEN excluded.first_wait = 0 THEN excluded.expires_at
        WHEN counter.uses + 1 - excluded.free >= %(doublings)s THEN %(now)s + %(longest_wait)s
        ELSE %(now)s + (excluded.first_wait << (counter.uses + 1 - excluded.free)) END,
    expires_at = excluded.expires_at
RETURNING key, uses, refusals, blocked_until
"""
GIVE_BACK = """
    uses = CASE WHEN counter.uses > 0 THEN counter.uses - 1 ELSE 0 END, blocked_until = 0
"""
SETTLE = """
    uses = CASE WHEN counter.uses > 0 AND counter.first_wait = 0 THEN counter.uses - 1 ELSE 0 END,
    blocked_until = 0
"""


@dataclass(frozen=True)
class Use:
    """One use of something: how many are free, and until when (seconds since 1970) it is remembered.

    Further ones are refused until then or, with `first_wait`, for so many seconds, doubled each time
    up to LOGIN_LONGEST_WAIT_SECONDS. A use that is not `binding` is counted, but never refused.
    """

    name: str
    source: tuple[str, ...]
    free: int
    expires_at: int
    first_wait: int = 0
    binding: bool = True

    @cached_property
    def key(self) -> str:
        # What was typed may hold what UTF-8 cannot.
        text = "\0".join((self.name, *self.source)).encode(errors="replace")
        return salted_hmac("auth_core.throttling", text, algorithm="sha256").hexdigest()


class Refused(PermissionDenied):
    """A limit is used up; Django's own `authenticate` takes it for a failed login."""

    def __init__(self, wait: int, first: list[Use]) -> None:
        super().__init__()
        # In seconds.
        self.wait = wait
        # The limits that refuse for the first time since a use has passed.
        self.first = first


def count(uses: Sequence[Use]) -> dict[Use, int]:
    """Count all of the uses, or none where one is refused; return how many each had before.

    Raises Refused.
    """
    now = int(time.time())
    longest, first = settings.LOGIN_LONGEST_WAIT_SECONDS, settings.LOGIN_FIRST_WAIT_SECONDS
    doublings = ((longest - 1) // first).bit_length()
    found = _execute(COUNT, uses, used=1, now=now, longest_wait=longest, doublings=doublings)
    rows = {key: (used, refusals, until) for key, used, refusals, until in found}
    before, passed, refused, first_time = {}, [], [], []
    for use in uses:
        used, refusals, until = rows[use.key]
        before[use] = used if refusals else used - 1
        if not refusals:
            passed.append(use)
        elif use.binding:
            refused.append(until - now)
            first_time += [use] * (refusals == 1)
    if refused:
        give_back(passed)
        raise Refused(max(refused), first_time)
    return before


def give_back(uses: Sequence[Use]) -> None:
    """Undo the counting of uses that came to nothing."""
    _execute(GIVE_BACK, uses)


def settle(uses: Sequence[Use]) -> None:
    """Undo the counting of what proved right: a window gets one use back, waits begin anew."""
    _execute(SETTLE, uses)


def _execute(
    action: str, uses: Sequence[Use], *, used: int = 0, now: int = 0, **values: Any
) -> list[Any]:
    """Insert or update the rows of the uses in one statement; of equal ones only one counts."""
    rows: list[str] = []
    for number, (key, use) in enumerate(sorted({use.key: use for use in uses}.items())):
        until = now + use.first_wait if use.first_wait else use.expires_at
        columns: dict[str, str | int] = {
            "key": key,
            "uses": used,
            "free": use.free,
            "first_wait": use.first_wait,
            "refusals": 0,
            "blocked_until": until if used >= use.free else 0,
            "expires_at": use.expires_at,
        }
        rows.append(", ".join(f"%({name}{number})s" for name in columns))
        values.update({f"{name}{number}": value for name, value in columns.items()})
    if not rows:
        return []
    statement = INSERT.format(", ".join(f"({row})" for row in rows)) + action
    with connection.cursor() as cursor:
        cursor.execute(statement, {"now": now, **values})
        return cursor.fetchall() if cursor.description else []


def purge(now: datetime) -> int:
    """Delete what has expired, in small batches; return how many."""
    deleted = 0
    while True:
        with transaction.atomic():
            expired = Counter.objects.filter(expires_at__lte=int(now.timestamp()))
            # What somebody counts on right now stays for the next time.
            batch = expired.select_for_update(skip_locked=True).values_list("pk", flat=True)
            keys = list(batch[:PURGE_BATCH])
            if not keys:
                return deleted
            deleted += Counter.objects.filter(pk__in=keys).delete()[0]
