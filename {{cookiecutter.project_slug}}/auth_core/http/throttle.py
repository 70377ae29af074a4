"""Bounds how often something may be used: counters of whole minutes in the cache, exact however many race."""

import time

from django.conf import settings
from django.core.cache import cache
from rest_framework.exceptions import Throttled

MINUTE = 60


def count_use(action: str, key: str) -> None:
    """Count one use of `action` by `key`; raise Throttled (429, Retry-After) beyond USES_PER_MINUTE.

    allauth's own limits take a lock in the cache, which callers racing each other fail to get.
    """
    now = time.time()
    entry = f"uses:{action}:{key}:{int(now // MINUTE)}"
    cache.add(entry, 0, 2 * MINUTE)
    try:
        uses = cache.incr(entry)
    except ValueError:  # the cache was full and dropped it: counting begins anew
        uses = 1
    if uses > settings.USES_PER_MINUTE[action]:
        raise Throttled(wait=MINUTE - now % MINUTE)
