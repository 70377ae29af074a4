"""Conformance, group ENU: nor by measuring how long an answer takes.

How it is measured, so that it holds on a busy machine and yet sees a missing hash or a mail that is sent
by the request: in process, with the real hasher and the outbox of production; CPU time of this process,
which other processes do not add to; the kinds of request take turns, so that a slow moment hits all
alike; of 50 turns the medians are compared. They may differ by a tenth (row ENU-02), or, where nothing
is hashed, by the half millisecond that the same request differs from itself. A measurement
that is beyond it is repeated up to twice: chance does not err three times, a difference does.
Each kind has a name of its own for each turn, so that no limit on guesses is met.
"""

import gc
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model, hashers
from django.test import override_settings

from auth_core import policy
from auth_core.testing import (
    DELIVERIES,
    PASSWORD,
    Account,
    Api,
    forget_uses,
    outbox_is,
    registration,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.django_db,
    # Once is enough: nothing here depends on how tokens travel.
    pytest.mark.parametrize("_delivery", DELIVERIES[policy.TOKEN_DELIVERY][:1], indirect=True),
]

TURNS = 50
TOLERANCE = 0.10
NOISE_SECONDS = 0.0005
LOGIN_NAMES = {
    "username_or_email": ["username", "email"],
    "email": ["email"],
    "username": ["username"],
}[policy.LOGIN_WITH]

Request = Callable[[], Any]


@pytest.fixture(autouse=True)
def _as_in_production() -> Iterator[None]:
    real = [name for name in django_settings.PASSWORD_HASHERS if "MD5" not in name]
    with override_settings(PASSWORD_HASHERS=real), outbox_is(django_settings.DATABASE_BACKEND):
        yield


def assert_alike(**kinds: Callable[[], Request]) -> None:
    """Assert that requests of these kinds take the same time; each call prepares one."""
    for _ in range(3):
        medians = {kind: statistics.median(each) for kind, each in measured(kinds).items()}
        slowest, fastest = max(medians.values()), min(medians.values())
        if slowest - fastest < max(TOLERANCE * fastest, NOISE_SECONDS):
            return
    raise AssertionError({kind: f"{median * 1000:.2f} ms" for kind, median in medians.items()})


def measured(kinds: dict[str, Callable[[], Request]]) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for kind in kinds:  # what is loaded at first use counts for nobody
        kinds[kind]()()
    for _ in range(TURNS):
        for kind, prepare in kinds.items():
            send = prepare()
            forget_uses()
            gc.disable()  # what it frees is what preparing left, which differs from kind to kind
            begin = time.process_time()
            send()
            times[kind].append(time.process_time() - begin)
            gc.enable()
    return times


@pytest.fixture
def accounts(make_account: Callable[..., Account]) -> Callable[..., Account]:
    """Make accounts that share one hash, which is slow to make."""
    hashed = {True: hashers.make_password(PASSWORD), False: hashers.make_password(None)}

    def make(*, usable: bool = True, **fields: Any) -> Account:
        account = make_account(password=None, **fields)
        account.user.password = hashed[usable]
        account.user.save()
        return account

    return make


@pytest.fixture
def strangers() -> Iterator[dict[str, str]]:
    """Names that nobody has."""
    names = (f"nobody{n}" for n in itertools.count())
    return ({"username": name, "email": f"{name}@example.com"} for name in names)


def sends(api: Api, endpoint: str, body: dict[str, Any], status: int) -> Request:
    def send() -> None:
        answer = api.post(endpoint, body)
        assert answer.status == status, answer.body

    return send


@pytest.mark.parametrize("name", LOGIN_NAMES)
def test_login(
    api: Api, accounts: Callable[..., Account], strangers: Iterator[dict[str, str]], name: str
) -> None:
    """ENU-02: a wrong password, nobody, no usable password."""

    def attempt(value: str) -> Request:
        return sends(api, "rest_login", {name: value, "password": "wrong wrong wrong"}, 400)

    assert_alike(
        known=lambda: attempt(getattr(accounts().user, name)),
        unknown=lambda: attempt(next(strangers)[name]),
        unusable=lambda: attempt(getattr(accounts(usable=False).user, name)),
    )


@pytest.mark.skipif(
    policy.REGISTRATION != "open" or policy.EMAIL_VERIFICATION != "mandatory",
    reason="by the policy registration is closed, or needs no verification",
)
def test_registration(api: Api, accounts: Callable[..., Account]) -> None:
    """ENU-04: an address that is registered, and a new one."""

    def register(**changes: str) -> Request:
        return sends(api, "rest_register", registration(**changes), 201)

    assert_alike(known=lambda: register(email=accounts().user.email), new=register)


@pytest.mark.parametrize("endpoint", ["rest_password_reset", "rest_resend_email"])
def test_mails(
    api: Api, accounts: Callable[..., Account], strangers: Iterator[dict[str, str]], endpoint: str
) -> None:
    """ENU-06, ENU-09: an address that is registered, one that waits for verification, none."""

    def ask(email: str) -> Request:
        return sends(api, endpoint, {"email": email}, 200)

    assert_alike(
        known=lambda: ask(accounts().user.email),
        waiting=lambda: ask(accounts(verified=False).user.email),
        unknown=lambda: ask(next(strangers)["email"]),
    )
    assert get_user_model().objects.count() > TURNS
