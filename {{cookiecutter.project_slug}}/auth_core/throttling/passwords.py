"""Slows down guessing at passwords, never locking the rightful owner out (NIST SP 800-63B-4, 3.2.2).

A try counts as failed before the password is compared, so that tries racing each other count, too.
After LOGIN_FREE_FAILURES each one makes the next wait, twice as long every time, for the account
from everywhere and for the account from one network. The wait from everywhere does not bind a
network where the account has logged in before, or was recovered just now.
"""

import time
from typing import Any, Self

from django.conf import settings
from django.http import HttpRequest

from auth_core.accounts.fields import canonical, former_spelling

from .counters import Refused, Use, count, give_back, settle
from .limits import network_of, uses_of
from .models import Counter

DAY = 86_400


class Attempt:
    """One try of a password: `with attempt:` surrounds the comparison."""

    def __init__(self, failures: list[Use], spent: list[Use]) -> None:
        """Count it as a failure and as a use of the hasher; raises Refused where it comes too soon."""
        before = count([*failures, *spent])
        self._failures, self._spent = failures, spent
        # How many before it failed, of those that are not forgotten.
        self.failures = max(before[use] for use in failures if use.first_wait)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *args: object) -> None:
        """What an error kept from being compared was no try."""
        if kind is not None:
            give_back([*self._failures, *self._spent])

    def succeed(self) -> None:
        """Forget the account's failures; of its network's only this one, which was none."""
        settle(self._failures)


def attempt_login(request: HttpRequest | None, user: Any, name: str) -> Attempt:
    """Count a try to log in as `name`, which is the user's or, with None, nobody's; raises Refused."""
    # For nobody, the spelling by which somebody would be found, or another one told whether there is somebody.
    account = str(user.pk) if user else former_spelling(name) or canonical(name) or ""
    known = user is not None and user.known_network
    try:
        return _attempt_login(request, account, known)
    except Refused:
        mark = _recovery(account, network_of(request))
        marked = Counter.objects.filter(pk=mark.key, expires_at__gt=int(time.time()))
        if known or not marked.exists():
            raise
        return _attempt_login(request, account, known=True)


def _attempt_login(request: HttpRequest | None, account: str, known: bool) -> Attempt:
    return Attempt(
        [
            failure("account", account, binding=not known),
            failure("account and network", account, network_of(request)),
            *uses_of("login_failed", request, lenient=known),
        ],
        uses_of("login", request, lenient=known),
    )


def attempt_confirmation(user: Any) -> Attempt:
    """Count a try of a logged-in user to repeat the own password; raises Refused."""
    return Attempt([failure("confirmation", str(user.pk))], [])


def recover(user: Any, request: HttpRequest) -> None:
    """Forget the failures of a user who has set a new password by mail, and know this network for a day."""
    account, network = str(user.pk), network_of(request)
    settle(
        [
            failure("account", account),
            failure("account and network", account, network),
            failure("confirmation", account),
        ]
    )
    count([_recovery(account, network)])


def failure(name: str, *source: str, binding: bool = True) -> Use:
    """Return a wrong try of something secret, of which LOGIN_FREE_FAILURES are free."""
    return Use(
        name,
        source,
        settings.LOGIN_FREE_FAILURES,
        expires_at=int(time.time()) + settings.LOGIN_FAILURES_FORGOTTEN_SECONDS,
        first_wait=settings.LOGIN_FIRST_WAIT_SECONDS,
        binding=binding,
    )


def _recovery(account: str, network: str) -> Use:
    """Return the mark of a recovery: a counter that is never used up."""
    return Use("recovery", (account, network), 2**31 - 1, expires_at=int(time.time()) + DAY)
