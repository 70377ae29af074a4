"""THR: guessing at passwords is slowed down, however it is spread, and the rightful owner still gets in."""

import time
from collections import Counter as Tally
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import time_machine
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model, hashers
from django.db import OperationalError, connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from auth_core import policy
from auth_core.accounts import backend, passwords, registrations
from auth_core.audit.models import AuditEvent
from auth_core.contract.marks import admin_is_here
from auth_core.contract.test_ref import outcome
from auth_core.sessions.models import AuthSession, RevocationReason
from auth_core.testing import (
    OTHER_PASSWORD,
    PASSWORD,
    Account,
    Answer,
    Api,
    at_once,
    forget_uses,
    link_secrets,
    registration,
)
from auth_core.throttling.limits import network_of
from auth_core.throttling.models import Counter

pytestmark = pytest.mark.django_db

WRONG = "not the password of anybody"
FREE = django_settings.LOGIN_FREE_FAILURES
LONGEST = django_settings.LOGIN_LONGEST_WAIT_SECONDS
HOME = {"REMOTE_ADDR": "198.51.100.1"}
CAFE = {"REMOTE_ADDR": "198.51.100.2"}
NAME = "email" if policy.LOGIN_WITH == "email" else "username"


@pytest.fixture(autouse=True)
def clock() -> Iterator[time_machine.Traveller]:
    """A clock that only the test moves, at the beginning of a day: no window ends by itself."""
    with time_machine.travel((time.time() // 86_400 + 1) * 86_400, tick=False) as traveller:
        yield traveller


def guess(account: Account, password: str = WRONG, **headers: str) -> Answer:
    return Api().post("rest_login", {**account.credentials, "password": password}, **headers)


def guesses(number: int, account: Account, **headers: str) -> list[int]:
    return [guess(account, **headers).status for _ in range(number)]


def attack(account: Account, number: int) -> Tally[int]:
    """Try wrong passwords, each from another address."""
    return Tally(guess(account, REMOTE_ADDR=f"203.0.113.{n}").status for n in range(1, number + 1))


def nobody() -> Account:
    """Make the credentials of an account that does not exist."""
    body = registration()
    return Account(get_user_model()(email=body["email"], username=body.get("username")))


# --- By account ----------------------------------------------------------------------------


def test_the_eleventh_wrong_password_is_refused(make_account: Any, clock: Any) -> None:
    """THR-01: ten are free; then 429 says for how long, also to the right password, and it passes."""
    account = make_account()
    assert guesses(FREE, account) == [400] * FREE
    for password in (WRONG, PASSWORD):
        answer = guess(account, password)
        assert outcome(answer) == (429, "throttled")
        assert answer.headers["Retry-After"] == str(django_settings.LOGIN_FIRST_WAIT_SECONDS)
    clock.shift(int(answer.headers["Retry-After"]))
    assert account.log_in().is_alive


def test_another_account_is_not_affected(make_account: Any) -> None:
    """THR-01: the wait is of one account."""
    attacked, other = make_account(), make_account()
    guesses(FREE + 1, attacked)
    assert other.log_in().is_alive


def test_a_success_begins_anew(make_account: Any) -> None:
    """THR-01: NIST SP 800-63B-4, 3.2.2: the failures before a success are forgotten."""
    account = make_account()
    for _ in range(2):
        assert guesses(FREE - 1, account) == [400] * (FREE - 1)
        account.log_in()


def test_one_account_from_everywhere(make_account: Any) -> None:
    """THR-02: from 50 addresses, ten wrong passwords are compared."""
    assert attack(make_account(), 50) == {400: FREE, 429: 40}


def test_waits_double_up_to_a_limit(make_account: Any, clock: Any) -> None:
    """THR-04: 30 s, a minute, ... 15 minutes; never for good, and a quiet day forgets."""
    account = make_account()
    guesses(FREE, account)
    waits = []
    for _ in range(8):
        answer = guess(account, PASSWORD)
        assert answer.status == 429
        waits.append(int(answer.headers["Retry-After"]))
        clock.shift(waits[-1])
        assert guess(account).status == 400
    assert waits == [30, 60, 120, 240, 480, 900, 900, 900]
    clock.shift(django_settings.LOGIN_FAILURES_FORGOTTEN_SECONDS)
    assert guesses(FREE, account) == [400] * FREE


@pytest.mark.slow
def test_the_owner_logs_in_from_a_known_place(make_account: Any, clock: Any) -> None:
    """THR-04: whoever attacks from everywhere keeps the owner out only where the owner never was."""
    account = make_account()
    account.log_in(**HOME).post("rest_logout")
    attack(account, 20)
    assert guess(account, PASSWORD, **CAFE).status == 429
    account.log_in(**HOME)
    # A success begins anew; the attack goes on.
    attack(account, 20)
    assert guess(account, PASSWORD, **HOME).status == 200
    # Known is the network, not a licence to guess there.
    attack(account, 20)
    assert guesses(FREE + 1, account, **HOME) == [400] * FREE + [429]
    assert guess(account, PASSWORD, **HOME).status == 429


def test_a_thiefs_network_is_not_known(make_account: Any) -> None:
    """THR-04: where a stolen refresh token was found out, the account's wait binds."""
    account = make_account()
    account.log_in(**HOME)
    AuthSession.objects.all().end(RevocationReason.REUSE)
    attack(account, 20)
    assert guess(account, PASSWORD, **HOME).status == 429


@pytest.mark.slow
def test_the_owner_logs_in_after_a_reset(
    make_account: Any, api: Api, mailbox: list[Any], clock: Any
) -> None:
    """THR-04: a password reset lets its network in, attack or no attack, and only that."""
    account = make_account()
    attack(account, 20)
    api.post("rest_password_reset", {"email": account.user.email}, **CAFE)
    link = link_secrets(mailbox[-1])
    passwords = {"new_password1": OTHER_PASSWORD, "new_password2": OTHER_PASSWORD}
    answer = api.post("rest_password_reset_confirm", {**link, **passwords}, **CAFE)
    assert answer.status == 200
    assert attack(account, 20) == {400: FREE, 429: 10}
    assert guess(account, OTHER_PASSWORD, REMOTE_ADDR="192.0.2.99").status == 429
    assert guess(account, OTHER_PASSWORD, **CAFE).status == 200
    # And until then it is no licence to guess.
    attack(account, 20)
    assert guesses(FREE + 1, account, **CAFE)[-1] == 429


def test_a_reset_ends_the_wait(make_account: Any, api: Api, mailbox: list[Any]) -> None:
    """THR-04: the failures were guesses at the old password."""
    account = make_account()
    guesses(FREE + 1, account)
    api.post("rest_password_reset", {"email": account.user.email})
    passwords = {"new_password1": OTHER_PASSWORD, "new_password2": OTHER_PASSWORD}
    api.post("rest_password_reset_confirm", {**link_secrets(mailbox[-1]), **passwords})
    assert guess(account, OTHER_PASSWORD).status == 200


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("spelling", ["upper", "spaces", "full width", "other name"])
def test_spellings_of_a_name_count_together(exists: bool, spelling: str, make_account: Any) -> None:
    """THR-09: letter case, spaces around and compatibility forms make no other account."""
    if spelling == "other name" and (policy.LOGIN_WITH != "username_or_email" or not exists):
        pytest.skip(reason="the account has one name, by the policy or because it does not exist")
    if spelling == "full width" and NAME == "email":
        pytest.skip(reason="no address to a serializer of addresses")
    account = make_account() if exists else nobody()
    name = account.credentials[NAME]
    body = {
        "upper": {NAME: name.upper()},
        "spaces": {NAME: f"  {name} "},
        "full width": {NAME: "".join(chr(ord(letter) + 0xFEE0) for letter in name)},
        "other name": {"email": account.user.email},
    }[spelling]
    guesses(FREE, account)
    assert Api().post("rest_login", {**body, "password": PASSWORD}, **HOME).status == 429


def test_addresses_that_differ_are_different_accounts(make_account: Any) -> None:
    """THR-09: as configured, neither dots nor a plus are folded: such addresses belong to different people."""
    account = make_account(email="ann.other@example.com")
    guesses(FREE + 1, account)
    for email in ("annother@example.com", "ann.other+x@example.com"):
        made = make_account(email=email)
        assert made.log_in(REMOTE_ADDR="192.0.2.7").is_alive


def test_a_refusal_tells_nothing_of_the_account(make_account: Any) -> None:
    """THR-15, ENU-13: the same status, headers, body and number of queries for accounts and for nobody."""
    seen = []
    for account in (make_account(), make_account(is_active=False), nobody()):
        statuses = guesses(FREE, account)
        with CaptureQueriesContext(connection) as queries:
            guesses(1, account)
        with CaptureQueriesContext(connection) as later:
            answer = guess(account)
        assert answer.body.pop("request_id") == answer.headers.pop("X-Request-ID")
        seen.append(
            (statuses, answer.status, answer.body, answer.headers, len(queries), len(later))
        )
        forget_uses()  # of the common network
    assert seen[0] == seen[1] == seen[2]
    assert seen[0][1] == 429
    assert seen[0][2].keys() == {"detail", "code"}
    assert seen[0][2]["code"] == "throttled"
    assert seen[0][3]["Content-Type"] == "application/json"


# --- By network ----------------------------------------------------------------------------


def stuff(number: int, **headers: str) -> list[int]:
    """Try one password on many accounts."""
    return [guess(nobody(), **headers).status for _ in range(number)]


@pytest.mark.slow
def test_one_network_and_many_accounts(make_account: Any, clock: Any, settings: Any) -> None:
    """THR-03: of 100 accounts, one try each, 20 a minute are compared, and so many an hour."""
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "login_failed": "20/m/ip,40/h/ip"}
    accounts = [make_account(), *(nobody() for _ in range(99))]
    assert Tally(guess(account).status for account in accounts) == {400: 20, 429: 80}
    answer = guess(nobody())
    assert 0 < int(answer.headers["Retry-After"]) <= 60
    assert guess(accounts[0], PASSWORD, **HOME).status == 200
    clock.shift(60)
    assert stuff(21) == [400] * 20 + [429]
    clock.shift(60)
    answer = guess(nobody())
    assert answer.status == 429
    assert int(answer.headers["Retry-After"]) > 600


def test_a_success_clears_nothing_of_the_network(make_account: Any) -> None:
    """THR-08: an attacker's own account gives no new tries; nor does it use any up."""
    own = make_account()
    statuses = []
    for _ in range(30):
        statuses += stuff(1)
        if len(statuses) < 20:
            own.log_in()
    assert statuses == [400] * 20 + [429] * 10


HEADERS = [
    "X-Forwarded-For: {}",
    "X-Real-IP: {}",
    "Forwarded: for={}",
    "X-Client-IP: {}",
    "True-Client-IP: {}",
    "CF-Connecting-IP: {}",
]


@pytest.mark.slow
@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("proxies", [0, 1])
def test_headers_of_the_caller_reset_nothing(header: str, proxies: int, settings: Any) -> None:
    """THR-05: without a trusted proxy none is believed; with one, only what it added itself."""
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = proxies
    name, _, value = header.partition(": ")
    statuses = []
    for n in range(25):
        headers = {name: value.format(f"203.0.113.{n}")}
        if proxies:
            sent = headers.get("X-Forwarded-For")
            headers["X-Forwarded-For"] = f"{sent}, 192.0.2.1" if sent else "192.0.2.1"
        statuses += stuff(1, **headers)
    assert statuses == [400] * 20 + [429] * 5


@pytest.mark.parametrize("endpoint", ["rest_password_reset", "rest_resend_email"])
def test_nor_do_they_elsewhere(endpoint: str, api: Api) -> None:
    """THR-05: each limit sees the same address."""
    statuses = [
        api.post(
            endpoint,
            {"email": f"{n}@example.com"},
            **{"X-Forwarded-For": f"203.0.113.{n}", "X-Real-IP": f"203.0.113.{n}"},
        ).status
        for n in range(21)
    ]
    assert statuses == [200] * 20 + [429]


def test_a_trusted_proxys_address_counts(settings: Any) -> None:
    """THR-05: behind it, each caller has limits of its own."""
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    assert stuff(21, **{"X-Forwarded-For": "203.0.113.1"})[-1] == 429
    assert stuff(1, **{"X-Forwarded-For": "203.0.113.2"}) == [400]
    assert stuff(1, **{"X-Forwarded-For": "203.0.113.2, 203.0.113.1"}) == [429]


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::1", "::/64"),
    ],
)
def test_addresses_count_by_their_network(address: str, network: str) -> None:
    """THR-06: an IPv6 caller has a /64; an IPv4 address has one spelling."""
    assert network_of(RequestFactory().get("/", REMOTE_ADDR=address)) == network


def test_a_64_has_one_limit() -> None:
    """THR-06: rotating through it resets nothing."""
    statuses = [
        guess(nobody(), REMOTE_ADDR=f"2001:db8:1:2:{n:x}::{n:x}").status for n in range(1, 26)
    ]
    assert statuses == [400] * 20 + [429] * 5
    assert stuff(1, REMOTE_ADDR="2001:db8:1:3::1") == [400]
    assert [*stuff(20, REMOTE_ADDR="192.0.2.8"), *stuff(1, REMOTE_ADDR="::ffff:192.0.2.8")] == [
        *[400] * 20,
        429,
    ]


# --- All together --------------------------------------------------------------------------


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the passwords that reach the hasher."""
    seen: list[str] = []

    def check_password(user: Any, password: str) -> bool:
        seen.append(password)
        return passwords.check_password(user, password)

    def make_password(password: str, salt: str | None) -> str:
        seen.append(password)
        return hashers.make_password(password, salt)

    monkeypatch.setattr(backend, "check_password", check_password)
    monkeypatch.setattr(registrations, "make_password", make_password)
    return seen


def test_what_was_not_compared_was_no_try(
    make_account: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """THR-04: a server that fails or refuses for lack of room locks nobody out."""
    account = make_account()

    def fail(*args: Any) -> bool:
        raise OperationalError

    with monkeypatch.context() as patch:
        patch.setattr(backend, "check_password", fail)
        assert guesses(30, account) == [503] * 30
    assert set(Counter.objects.values_list("uses", flat=True)) == {0}
    assert guesses(FREE, account) == [400] * FREE


@pytest.mark.slow
@pytest.mark.parametrize("whose", ["one account", "many accounts"])
@pytest.mark.django_db(transaction=True)
def test_racing_tries_are_counted(whose: str, make_account: Any, hashed: list[str]) -> None:
    """THR-07: of 100 concurrent wrong passwords no more are compared than the limit says."""
    target = make_account()

    def try_some() -> list[int]:
        return [guess(target if whose == "one account" else nobody()).status for _ in range(5)]

    statuses = Tally(status for some in at_once(*[try_some] * 20) for status in some)
    limit = FREE if whose == "one account" else 20
    assert statuses == {400: limit, 429: 100 - limit}
    assert len(hashed) == limit


@pytest.mark.django_db(transaction=True)
def test_right_passwords_race_without_harm(make_account: Any) -> None:
    """THR-07: many people behind one address log in at once."""
    accounts = [make_account() for _ in range(16)]
    jobs = [partial(account.log_in) for account in accounts]
    assert all(client.access for client in at_once(*jobs))
    assert not Counter.objects.exclude(uses=0).filter(first_wait__gt=0).exists()


def test_the_hasher_has_a_limit_of_its_own(
    make_account: Any, hashed: list[str], settings: Any
) -> None:
    """THR-07: however many addresses and accounts take part; known users are let in."""
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "login": "5/m/all"}
    account = make_account()
    account.log_in(**HOME)
    statuses = [guess(nobody(), REMOTE_ADDR=f"203.0.113.{n}").status for n in range(10)]
    assert statuses == [400] * 4 + [429] * 6
    assert guess(account, PASSWORD, **CAFE).status == 429
    assert guess(account, PASSWORD, **HOME).status == 200
    assert len(hashed) == 1 + 4 + 1


@pytest.mark.slow
def test_what_one_limit_refuses_counts_against_no_other(make_account: Any, clock: Any) -> None:
    """THR-07: a blocked network uses up no account's tries, and a blocked account not its network's."""
    account = make_account()
    stuff(20)
    guesses(FREE + 5, account)
    assert guess(account, PASSWORD, **HOME).status == 200
    other = make_account()
    guesses(40, other, **CAFE)
    assert stuff(10, **CAFE) == [400] * 10


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("atomic", [False, True])
def test_failures_stay_counted_when_requests_are_transactions(
    atomic: bool, make_account: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """THR-01: also with ATOMIC_REQUESTS, which rolls back what a refused request did."""
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", atomic)
    account = make_account()
    client = account.log_in()
    assert guesses(FREE + 1, account)[-1] == 429
    assert wrong_changes(client, FREE + 1)[-1] == 429
    answers = [Api().post("rest_verify_email", {"key": "wrong"}).status for _ in range(21)]
    assert answers == [400] * 20 + [429]
    assert AuditEvent.objects.filter(event="excess_rate_limit_exceeded").count() == 1


def wrong_changes(client: Api, number: int) -> list[int]:
    body = {
        "old_password": "wrong",
        "new_password1": OTHER_PASSWORD,
        "new_password2": OTHER_PASSWORD,
    }
    return [client.post("rest_password_change", body).status for _ in range(number)]


def test_a_session_does_not_serve_to_guess_the_password(make_account: Any, clock: Any) -> None:
    """PWD-11: wrong old passwords make the user wait as at a login, wherever they come from; apart from logins."""
    account = make_account()
    client, elsewhere = account.log_in(), account.log_in(**HOME)
    assert wrong_changes(client, FREE + 1) == [400] * FREE + [429]
    body = {
        "old_password": PASSWORD,
        "new_password1": OTHER_PASSWORD,
        "new_password2": OTHER_PASSWORD,
    }
    answer = elsewhere.post("rest_password_change", body, **HOME)
    assert outcome(answer) == (429, "throttled")
    assert answer.headers["Retry-After"] == "30"
    assert AuditEvent.objects.get(event="authn_login_lock").user_id == account.user.pk
    account.log_in(**CAFE)
    clock.shift(30)
    assert elsewhere.post("rest_password_change", body, **HOME).status == 200


@pytest.mark.django_db(transaction=True)
def test_racing_guesses_in_a_session_are_counted(make_account: Any) -> None:
    """PWD-11: ten are compared however many race."""
    client = make_account().log_in()
    found = at_once(*[partial(wrong_changes, client, 3)] * 10)
    assert Tally(status for some in found for status in some) == {400: FREE, 429: 30 - FREE}


@admin_is_here
def test_the_admins_login_is_bound_too(make_account: Any, clock: Any) -> None:
    """THR-01: its form and the API count together; there a refusal looks like a wrong password."""
    account = make_account(is_staff=True)
    guesses(FREE - 1, account)
    browser = Client()
    form = {"username": account.credentials[NAME], "password": "wrong"}
    assert browser.post(reverse("admin:login"), form).status_code == 200
    right = {**form, "password": PASSWORD}
    assert browser.post(reverse("admin:login"), right).status_code == 200
    assert guess(account, PASSWORD).status == 429
    clock.shift(30)
    assert browser.post(reverse("admin:login"), right).status_code == 302


# --- What is told of it --------------------------------------------------------------------


@pytest.mark.slow
def test_the_first_refusal_is_audited(make_account: Any, clock: Any) -> None:
    """THR-01: one event for each wait or window, not one for each of thousands of refusals."""
    account = make_account()
    guesses(FREE + 30, account)
    event = AuditEvent.objects.get(event="authn_login_lock")
    assert (event.user_id, event.ip) == (account.user.pk, "127.0.0.1")
    assert event.detail["wait"] == 30
    assert AuditEvent.objects.filter(event="authn_login_fail").count() == FREE
    clock.shift(30)
    guesses(5, account)
    assert AuditEvent.objects.filter(event="authn_login_lock").count() == 2
    stuff(30)
    assert AuditEvent.objects.get(event="excess_rate_limit_exceeded").user_id is None


def test_the_user_learns_of_a_login_after_failures(make_account: Any, mailbox: list[Any]) -> None:
    """THR-18: by mail and on the audit trail, from five on."""
    account = make_account()
    guesses(django_settings.LOGIN_FAILURES_NOTICED - 1, account)
    account.log_in()
    assert mailbox == []
    guesses(django_settings.LOGIN_FAILURES_NOTICED, account)
    account.log_in()
    assert mailbox[0].to == [account.user.email]
    assert "5 wrong passwords" in mailbox[0].body
    assert "127.0.0.1" in mailbox[0].body
    event = AuditEvent.objects.get(event="authn_login_successafterfail")
    assert (event.user_id, event.detail["failures"]) == (account.user.pk, "5")
    account.log_in()
    assert len(mailbox) == 1


def test_the_user_learns_of_an_attack_from_elsewhere(make_account: Any, mailbox: list[Any]) -> None:
    """THR-18: also where the login itself was not held up by it."""
    account = make_account()
    account.log_in(**HOME)
    attack(account, 20)
    account.log_in(**HOME)
    assert "10 wrong passwords" in mailbox[0].body


def test_the_user_learns_of_a_new_device(make_account: Any, mailbox: list[Any]) -> None:
    """THR-18: where neither the network nor the program was seen before; the first login of all is none."""
    account = make_account()
    for agent, place in [("a", HOME), ("b", HOME), ("a", CAFE), ("b", CAFE)]:
        account.log_in(**{"User-Agent": agent}, **place)
        assert mailbox == [], (agent, place)
    account.log_in(**{"User-Agent": "curl"}, REMOTE_ADDR="203.0.113.99")
    assert mailbox[0].to == [account.user.email]
    assert "203.0.113.99" in mailbox[0].body
    assert "curl" in mailbox[0].body
    assert AuditEvent.objects.get(detail={"new_device": "yes"}).event == "authn_login_success"
    account.log_in(**{"User-Agent": "curl"}, REMOTE_ADDR="203.0.113.99")
    assert len(mailbox) == 1


# --- The whole -----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("proxies", [0, 1])
def test_a_hundred_wrong_passwords_from_rotating_addresses(
    proxies: int, make_account: Any, settings: Any, hashed: list[str]
) -> None:
    """THR-02, THR-04, THR-05: they are slowed down, and the right one from a known device still works."""
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = proxies
    account = make_account()
    device = {"X-Forwarded-For": "198.51.100.1"} if proxies else HOME
    client = account.log_in(**device)
    hashed.clear()
    statuses = Tally(
        guess(account, **{"X-Forwarded-For": f"203.0.113.{n}"}).status for n in range(100)
    )
    assert statuses == {400: FREE, 429: 100 - FREE}
    assert len(hashed) == FREE
    assert guess(account, PASSWORD, **device).status == 200
    assert client.refreshed().is_alive
