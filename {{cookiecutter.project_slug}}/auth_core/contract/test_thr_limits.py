"""THR: requests and mails are bounded, exactly, whatever becomes of the cache; the document says how."""

import re
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.conf import settings as django_settings
from django.core.cache import cache
from django.core.checks import run_checks
from django.utils import timezone

from auth_core import env, urls
from auth_core.audit.models import AuditEvent
from auth_core.contract.marks import (
    real_transactions,
    registration_is_open,
    verification_is_mandatory,
)
from auth_core.contract.permissions import explicit_permissions
from auth_core.contract.test_ref import outcome
from auth_core.contract.test_thr import FREE, WRONG, guess, guesses
from auth_core.testing import Account, Api, at_once, registration
from auth_core.throttling.counters import Refused, Use, count, give_back, purge, settle
from auth_core.throttling.limits import allows
from auth_core.throttling.models import Counter

pytestmark = pytest.mark.django_db

MAILS_AN_HOUR = 5
ELSEWHERE = {"REMOTE_ADDR": "198.51.100.1"}


@pytest.fixture(autouse=True)
def clock() -> Iterator[time_machine.Traveller]:
    """A clock that only the test moves, at the beginning of a day: no window ends by itself."""
    with time_machine.travel((time.time() // 86_400 + 1) * 86_400, tick=False) as traveller:
        yield traveller


def seconds_of(answer: Any) -> int:
    return int(answer.headers["Retry-After"])


# --- Mails ---------------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", ["rest_password_reset", "rest_resend_email"])
def test_mails_to_an_address_are_bounded(
    endpoint: str, make_account: Any, api: Api, mailbox: list[Any], clock: Any
) -> None:
    """THR-10, THR-11: five an hour and ten a day; beyond, the answer is the same and nothing is mailed."""
    account, other = [make_account(verified=endpoint == "rest_password_reset") for _ in range(2)]
    spellings = [account.user.email, account.user.email.upper()]
    answers = [
        api.post(endpoint, {"email": spellings[n % 2]}, REMOTE_ADDR=f"203.0.113.{n}")
        for n in range(12)
    ]
    assert {answer.status for answer in answers} == {200}
    assert len({str(answer.body) for answer in answers}) == 1
    assert len(mailbox) == MAILS_AN_HOUR
    assert AuditEvent.objects.filter(event="excess_rate_limit_exceeded").count() == 1
    api.post(endpoint, {"email": other.user.email})
    assert mailbox[-1].to == [other.user.email]
    for _ in range(3):
        clock.shift(3600)
        for _ in range(MAILS_AN_HOUR + 1):
            api.post(endpoint, {"email": account.user.email}, **ELSEWHERE)
    assert len(mailbox) == 2 * MAILS_AN_HOUR + 1


@registration_is_open
@verification_is_mandatory
def test_a_registration_is_no_flood_of_mails(
    make_account: Any, api: Api, mailbox: list[Any]
) -> None:
    """THR-12: neither for the owner of an address nor for one that nobody has verified."""
    for email in (make_account().user.email, registration()["email"]):
        mailbox.clear()
        answers = [api.post("rest_register", registration(email=email)) for _ in range(7)]
        assert {(answer.status, answer.body["detail"]) for answer in answers} == {
            (201, "Verification e-mail sent.")
        }
        assert {tuple(message.to) for message in mailbox} == {(email,)}
        assert len(mailbox) == MAILS_AN_HOUR


@real_transactions
def test_racing_requests_mail_no_more(make_account: Any, mailbox: list[Any]) -> None:
    """THR-10: exact, however many race."""
    email = make_account().user.email
    answers = at_once(*[partial(Api().post, "rest_password_reset", {"email": email})] * 16)
    assert {answer.status for answer in answers} == {200}
    assert len(mailbox) == MAILS_AN_HOUR


# --- Requests of a network -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "body", "status"),
    [
        ("rest_password_reset", lambda: {"email": "nobody@example.com"}, 200),
        ("rest_resend_email", lambda: {"email": "nobody@example.com"}, 200),
        ("rest_verify_email", lambda: {"key": "wrong"}, 400),
        (
            "rest_password_reset_confirm",
            lambda: {"uid": "1", "token": "x-y", "new_password1": WRONG, "new_password2": WRONG},
            400,
        ),
        pytest.param("rest_register", registration, 201, marks=registration_is_open),
    ],
)
def test_requests_of_a_network_are_bounded(
    endpoint: str, body: Any, status: int, api: Api, clock: Any
) -> None:
    """THR-10, THR-11, THR-12: 20 a minute; then 429 with Retry-After, which holds good."""
    clock.shift(13)
    answers = [api.post(endpoint, body()) for _ in range(22)]
    assert [answer.status for answer in answers] == [status] * 20 + [429] * 2
    assert outcome(answers[-1]) == (429, "throttled")
    assert seconds_of(answers[-1]) == 47
    assert api.post(endpoint, body(), **ELSEWHERE).status == status
    clock.shift(46)
    assert api.post(endpoint, body()).status == 429
    clock.shift(1)
    assert api.post(endpoint, body()).status == status


def test_bad_bodies_count_too(api: Api) -> None:
    """THR-11: whatever is sent."""
    statuses = [api.post("rest_verify_email", b"{").status for _ in range(21)]
    assert statuses == [400] * 20 + [429]


def test_each_window_is_counted_for_itself(api: Api, settings: Any, clock: Any) -> None:
    """THR-16: 2 a minute and 3 an hour; what the minute refuses is not counted in the hour."""
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "verify_email": "2/m/ip,3/h/ip"}
    send = partial(api.post, "rest_verify_email", {"key": "wrong"})
    assert [send().status for _ in range(4)] == [400, 400, 429, 429]
    assert seconds_of(send()) == 60
    clock.shift(60)
    assert [send().status for _ in range(2)] == [400, 429]
    assert seconds_of(send()) == 3600 - 60
    clock.shift(3600 - 60)
    assert [send().status for _ in range(3)] == [400, 400, 429]


def test_no_rate_is_no_limit(api: Api, settings: Any) -> None:
    """THR-16: a team may leave a limit to what stands in front."""
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "verify_email": ""}
    assert {api.post("rest_verify_email", {"key": "x"}).status for _ in range(30)} == {400}


# --- The counters --------------------------------------------------------------------------


def use(**changes: Any) -> Use:
    return Use(**{"name": "x", "source": ("y",), "free": 3, "expires_at": now() + 60, **changes})


def now() -> int:
    return int(time.time())


def refusal(*uses: Use) -> Refused:
    with pytest.raises(Refused) as caught:
        count(uses)
    return caught.value


def test_uses_are_counted_together_or_not_at_all() -> None:
    """THR-16: where one is refused, no other is counted; what does not bind counts only."""
    full, other = use(free=1), use(name="other")
    assert count([full]) == {full: 0}
    assert refusal(full, other).wait == 60
    assert [count([other])[other] for _ in range(3)] == [0, 1, 2]
    assert count([use(name="other", binding=False)]) == {use(name="other", binding=False): 3}


def test_the_first_refusal_is_told_from_others() -> None:
    """THR-16: once for each counter; the longest wait is the answer."""
    short, long = use(free=1), use(name="long", free=1, expires_at=now() + 90)
    count([short, long])
    first = refusal(short, long)
    assert (first.wait, first.first) == (90, [short, long])
    assert refusal(short, long).first == []


def test_a_wait_begins_after_what_is_free(clock: Any) -> None:
    """THR-16: also where nothing is; and after it was forgotten."""
    only = use(free=1, first_wait=30, expires_at=now() + 86_400)
    count([only])
    assert refusal(only).wait == 30
    clock.shift(86_400)
    count([use(free=1, first_wait=30, expires_at=now() + 86_400)])
    assert refusal(only).wait == 30


def test_what_came_to_nothing_is_given_back() -> None:
    """THR-16: one use, never more than were counted; and a wait that it had begun ends."""
    wait = use(free=2, first_wait=30)
    for undo in (give_back, settle):
        count([wait])
        count([wait])
        undo([wait])
        assert count([wait])[wait] == (1 if undo is give_back else 0)
        settle([wait, wait])
    give_back([wait])
    assert count([wait])[wait] == 0


@real_transactions
def test_counting_in_opposite_orders_ends() -> None:
    """THR-16: rows are locked in one order, so racing requests never wait for each other."""
    uses = [use(name=str(n), free=10_000) for n in range(8)]

    def many(uses: list[Use]) -> None:
        for _ in range(25):
            count(uses)
            give_back(uses)
            count(uses)

    at_once(*[partial(many, uses), partial(many, uses[::-1])] * 4)
    assert set(Counter.objects.values_list("uses", flat=True)) == {8 * 25}


def test_expired_counters_are_purged(monkeypatch: pytest.MonkeyPatch) -> None:
    """THR-16: in batches, and no others."""
    monkeypatch.setattr("auth_core.throttling.counters.PURGE_BATCH", 2)
    count([use(name=str(n)) for n in range(5)])
    count([use(name="live", expires_at=now() + 61)])
    assert purge(timezone.now()) == 0
    assert purge(timezone.now() + timedelta(seconds=60)) == 5
    assert Counter.objects.count() == 1


def test_counters_tell_nothing(account: Account, api: Api) -> None:
    """THR-16: neither an address nor a name; people type passwords where names belong."""
    api.post("rest_login", {**account.credentials, "password": WRONG})
    allows("reset_password", account.user.email, None)  # type: ignore[arg-type] # not refused
    stored = str(list(Counter.objects.values()))
    assert "127.0.0.1" not in stored
    assert account.user.email not in stored
    assert all(
        re.fullmatch("[0-9a-f]{64}", key) for key in Counter.objects.values_list("pk", flat=True)
    )


# --- Failures ------------------------------------------------------------------------------


def test_a_dead_cache_changes_nothing(
    account: Account, settings: Any, mailbox: list[Any], caplog: Any
) -> None:
    """THR-14: nothing is kept in it: logins, limits, sessions and readiness are as ever, nothing is logged."""
    settings.CACHES = {"default": env.cache("CACHE_URL", "redis://127.0.0.1:1/0")}
    with pytest.raises(Exception, match="refused"):
        cache.get("x")
    client = account.log_in()
    assert client.refreshed().is_alive
    assert guesses(FREE + 1, account) == [400] * FREE + [429]
    assert guess(account, REMOTE_ADDR="203.0.113.1").status == 429
    for _ in range(MAILS_AN_HOUR + 1):
        assert Api().post("rest_password_reset", {"email": account.user.email}).status == 200
    assert len(mailbox) == MAILS_AN_HOUR
    assert [Api().post("rest_verify_email", {"key": "x"}).status for _ in range(21)][-1] == 429
    assert Api().get("health_ready").status == 200
    assert not [entry for entry in caplog.records if entry.levelname in ("ERROR", "CRITICAL")]


# --- Settings and document -----------------------------------------------------------------


@pytest.mark.parametrize(
    "rate",
    ["20", "20/m", "20/m/everybody", "0/m/ip", "-1/m/ip", "20/w/ip", "1/m/ip;2/h/ip", "20 /m/ip"],
)
def test_a_mistyped_rate_is_an_error(rate: str, settings: Any) -> None:
    """THR-17: and so is a limit that was dropped."""
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "login": rate}
    assert [error.id for error in run_checks()] == ["auth_core.E005"]
    del settings.RATE_LIMITS["login"]
    assert [error.msg for error in run_checks()] == ['RATE_LIMITS["login"] is missing.']


# What is counted elsewhere than by the view's rate_limit.
COUNTED_INSIDE = {
    "rest_login": ["login", "login_failed", "LOGIN_FREE_FAILURES"],
    "rest_password_change": ["LOGIN_FREE_FAILURES"],
    "reauthenticate": ["LOGIN_FREE_FAILURES"],
    "token_refresh": ["refresh"],
    "rest_verify_email": ["LOGIN_FREE_FAILURES"],
    # Of features that may be there.
    "tutorial_refresh": ["refresh"],
    "login_code_confirm": ["login_failed", "ACCOUNT_LOGIN_BY_CODE_MAX_ATTEMPTS"],
    "mfa_verify": ["LOGIN_FREE_FAILURES", "MFA_PENDING_TRIES"],
    "mfa_totp_activate": ["LOGIN_FREE_FAILURES"],
    "mfa_totp_deactivate": ["LOGIN_FREE_FAILURES"],
    "passkey_verify_complete": ["LOGIN_FREE_FAILURES", "MFA_PENDING_TRIES"],
}


def limits_in_force() -> Iterator[tuple[str, str]]:
    """List endpoint and setting: each one that anybody may post to, and those that count besides."""
    patterns: list[Any] = urls.urlpatterns
    for pattern in patterns:
        view: Any = getattr(pattern.callback, "view_class", None)
        if not hasattr(view, "post"):
            continue
        own = [view.rate_limit] if getattr(view, "rate_limit", None) else []
        names = own + COUNTED_INSIDE.get(pattern.name, [])
        if not names and explicit_permissions(view) == ["AllowAny"]:
            names = ["none"]
        yield from ((f"/{pattern.pattern}", name) for name in names)


def test_the_security_document_lists_each_limit() -> None:
    """THR-17: every endpoint, its settings and their values, as they are in force."""
    document = Path(env.BASE_DIR, "docs", "security.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `POST (\S+)` \| `?(\w+)`? \| (?:`(\S+)`|-) \|", document, re.MULTILINE)
    assert {(path, name) for path, name, _ in rows} == {*limits_in_force()}
    for path, name, stated in rows:
        limits = django_settings.RATE_LIMITS
        value = limits[name] if name in limits else getattr(django_settings, name, "")
        assert stated == str(value), (path, name)
