"""Bounds how often something may be used: RATE_LIMITS, counted in windows of the clock.

allauth.core.ratelimit, whose spelling of rates this is, was weighed: it needs the cache, fails the
request without it, tells no Retry-After, and its lock refuses callers who race each other.
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from allauth.account.adapter import get_adapter
from django.conf import settings
from django.http import HttpRequest
from rest_framework.exceptions import Throttled

from auth_core.accounts.fields import canonical
from auth_core.audit.log import Event, record

from .counters import Refused, Use, count

RATE = re.compile(r"([1-9]\d{0,8})/([1-9]\d{0,4})?([smhd])/(ip|key|user|all)")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True)
class Rate:
    uses: int
    seconds: int
    # Counted by: "ip" (the caller's network), "key" (what the endpoint names), "user", or "all" together.
    per: str

    def use(self, name: str, source: str, *, binding: bool = True) -> Use:
        """Return a use of limit `name` in the window of the clock that it is now."""
        end = (int(time.time()) // self.seconds + 1) * self.seconds
        name = f"{name} {self.uses}/{self.seconds}s/{self.per}"
        return Use(name, (source,), self.uses, expires_at=end, binding=binding)


def rates(name: str) -> list[Rate]:
    """Parse a limit such as "20/m/ip,100/h/ip"; raises ValueError, or KeyError where there is none."""
    parsed = []
    for text in filter(None, settings.RATE_LIMITS[name].split(",")):
        found = RATE.fullmatch(text.strip())
        if found is None:
            raise ValueError(text)
        uses, number, unit, per = found.groups()
        parsed.append(Rate(int(uses), int(number or 1) * SECONDS[unit], per))
    return parsed


def network_of(request: HttpRequest | None) -> str:
    """Return the network that a request counts for: an IPv4 address, or the /64 of an IPv6 one."""
    if request is None:
        return ""
    address = ip_address(get_adapter().get_client_ip(request))
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or ip_network((address, 64), strict=False))
    return str(address)


def uses_of(
    name: str, request: HttpRequest | None, *, key: str | None = None, lenient: bool = False
) -> list[Use]:
    """Return what one use of limit `name` counts against; rates by key only where a key is named.

    For the `lenient`, what is shared by all does not bind.
    """
    uses = []
    for rate in rates(name):
        source = _source(rate.per, request, key)
        if source is not None:
            uses.append(rate.use(name, source, binding=not lenient or rate.per != "all"))
    return uses


def _source(per: str, request: Any, key: str | None) -> str | None:
    match per:
        case "ip":
            return network_of(request)
        case "user":
            return str(request.user.pk)
        case "key":
            return key
        case _:
            return ""


@contextmanager
def throttled(request: HttpRequest, user_id: Any = None) -> Iterator[None]:
    """Record what is refused within, and answer Throttled (429, Retry-After)."""
    try:
        yield
    except Refused as refusal:
        record_refusal(refusal, request, user_id=user_id)
        raise Throttled(wait=refusal.wait) from refusal


def count_use(name: str, request: HttpRequest, *, key: str | None = None) -> None:
    """Count one use of RATE_LIMITS[name]; raises Throttled (429, Retry-After) beyond it."""
    with throttled(request):
        count(uses_of(name, request, key=key))


def allows(name: str, key: str, request: HttpRequest) -> bool:
    """Count one use against what RATE_LIMITS[name] grants the key; say whether that was left.

    For what must not show in the answer, such as how many mails an address gets.
    """
    key = canonical(key) or ""
    try:
        count([rate.use(name, key) for rate in rates(name) if rate.per == "key"])
    except Refused as refusal:
        record_refusal(refusal, request)
        return False
    return True


def record_refusal(refusal: Refused, request: HttpRequest | None, user_id: Any = None) -> None:
    """Put on the audit trail the first refusal of a limit, not each of thousands."""
    names = [use.name for use in refusal.first]
    if names:
        locked = any(use.first_wait for use in refusal.first)
        event = Event.LOGIN_LOCK if locked else Event.RATE_LIMIT_EXCEEDED
        record(event, request, user_id=user_id, limit=", ".join(names), wait=refusal.wait)
