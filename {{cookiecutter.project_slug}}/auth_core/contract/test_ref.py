"""REF: refreshing. One successor whatever races, a replay ends the session, and nothing outlives its limits."""

import io
import json
import logging
import os
import secrets
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import django
import pytest
from django.contrib.auth import get_user_model
from django.core import mail
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from auth_core import policy
from auth_core.audit.lines import JsonFormatter
from auth_core.audit.models import AuditEvent
from auth_core.contract.marks import real_transactions
from auth_core.sessions import services
from auth_core.sessions.models import AuthSession, Delivery
from auth_core.sessions.tokens import RefreshToken
from auth_core.testing import (
    BASE_URL,
    OTHER_PASSWORD,
    PASSWORD,
    Account,
    Answer,
    Api,
    at_once,
    claims_of,
    cookie_name,
    link_secrets,
    registration,
)

pytestmark = pytest.mark.django_db
has_grace = pytest.mark.skipif(
    policy.REFRESH_GRACE_SECONDS == 0, reason="no grace by the policy: every replay is a reuse"
)

# A development server elsewhere queues only ten connections.
THREADS = 8 if BASE_URL else 32
AFTER_GRACE = policy.REFRESH_GRACE_SECONDS + 1
IDLE = timedelta(days=policy.REFRESH_TOKEN_DAYS)
ABSOLUTE = timedelta(days=policy.SESSION_ABSOLUTE_DAYS)


@pytest.fixture(params=[False, True], ids=["autocommit", "atomic_requests"])
def _atomic_requests(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", request.param)


def generation_of(client: Api) -> tuple[str, int]:
    claims = claims_of(client.refresh)
    return claims["sid"], claims["gen"]


def outcome(answer: Answer) -> tuple[int, str | None]:
    return answer.status, answer.code


def test_a_refresh_gives_a_new_pair(account: Account) -> None:
    """REF-01: another refresh token and another access token, both of which work."""
    first = account.log_in()
    second = first.refreshed()
    assert second.refresh != first.refresh
    assert second.access != first.access
    assert generation_of(second) == (generation_of(first)[0], 1)
    assert second.is_alive
    assert second.refreshed().is_alive


def test_a_replay_after_the_grace_is_refused(account: Account, clock: Any) -> None:
    """REF-02: a refresh token that was used up is told as reused."""
    first = account.log_in()
    first.refreshed()
    clock.shift(AFTER_GRACE)
    assert outcome(first.send_refresh()) == (401, "refresh_reused")


def test_a_replay_ends_the_whole_session_and_no_other(account: Account, clock: Any) -> None:
    """REF-03: the head, every older generation and every access token die; other sessions live."""
    other, first = account.log_in(), account.log_in()
    second = first.refreshed()
    third = second.refreshed()
    clock.shift(AFTER_GRACE)
    assert outcome(first.send_refresh()) == (401, "refresh_reused")
    for client in (third, second, first):
        assert outcome(client.send_refresh()) == (401, "refresh_reused")
        assert not client.is_alive
    assert other.is_alive
    assert other.refreshed().is_alive


@has_grace
def test_the_parent_within_the_grace_gets_the_current_pair(account: Account) -> None:
    """REF-04: whoever lost the answer asks again and gets the same generation, no branch."""
    first = account.log_in()
    second = first.refreshed()
    again = first.refreshed()
    assert generation_of(again) == generation_of(second)
    assert claims_of(again.refresh) == claims_of(second.refresh)
    assert again.is_alive
    assert generation_of(second.refreshed()) == generation_of(again.refreshed())


def test_the_grandparent_within_the_grace_is_a_replay(account: Account) -> None:
    """REF-05: the grace is for the immediate parent alone."""
    first = account.log_in()
    third = first.refreshed().refreshed()
    assert outcome(first.send_refresh()) == (401, "refresh_reused")
    assert not third.is_alive
    assert third.send_refresh().status == 401


def test_the_grace_begins_with_the_rotation_and_is_not_prolonged(
    account: Account, clock: Any
) -> None:
    """REF-04, REF-02: asking again within the grace does not move its end."""
    first = account.log_in()
    first.refreshed()
    for _ in range(2):
        clock.shift(policy.REFRESH_GRACE_SECONDS * 0.4)
        if policy.REFRESH_GRACE_SECONDS:
            assert first.send_refresh().status == 200
    clock.shift(policy.REFRESH_GRACE_SECONDS * 0.4 + 1)
    assert outcome(first.send_refresh()) == (401, "refresh_reused")


@pytest.mark.parametrize("end", ["rest_logout", "logout_all", "session_list"])
def test_the_grace_revives_no_ended_session(account: Account, end: str) -> None:
    """REF-06: neither the parent nor the head of a session that was logged out or ended."""
    first = account.log_in()
    second = first.refreshed()
    if end == "session_list":
        assert account.log_in().delete(end).status == 204
    else:
        assert second.post(end).status == 200
    for client in (first, second):
        assert outcome(client.send_refresh()) == (401, "session_revoked")
        assert not client.is_alive


def test_the_grace_revives_no_expired_session(account: Account, clock: Any) -> None:
    """REF-06: the parent is refused at the end of the session, though the grace is not over."""
    first = account.log_in()
    elapsed = timedelta()
    while elapsed + IDLE / 2 < ABSOLUTE:
        clock.shift(IDLE / 2)
        elapsed += IDLE / 2
        first = first.refreshed()
    clock.shift(ABSOLUTE - elapsed - timedelta(seconds=2))
    second = first.refreshed()
    clock.shift(timedelta(seconds=3))
    for client in (first, second):
        assert outcome(client.send_refresh()) == (401, "session_expired")


@pytest.mark.slow
@real_transactions
def test_parallel_refreshes_converge(account: Account) -> None:
    """REF-07: as many answers of 200 as callers, one successor, nobody logged out."""
    first = account.log_in()
    callers = THREADS if policy.REFRESH_GRACE_SECONDS else 1
    answers = at_once(*[first.send_refresh] * callers)
    assert {answer.status for answer in answers} == {200}
    successors = [first.with_tokens_of(answer) for answer in answers]
    assert {generation_of(client) for client in successors} == {(generation_of(first)[0], 1)}
    if policy.SIGNING_ALGORITHM != "ES256":  # whose signatures are random
        assert len({client.refresh for client in successors}) == 1
    assert all(client.is_alive for client in successors)
    assert generation_of(successors[0].refreshed())[1] == 2


@real_transactions
@pytest.mark.parametrize("end", ["rest_logout", "logout_all"])
def test_a_refresh_that_races_a_logout_leaves_no_live_token(account: Account, end: str) -> None:
    """REF-08: when both have returned, every token given out is dead."""
    for _ in range(6):
        first = account.log_in()
        *refreshes, logout = at_once(
            first.send_refresh, first.send_refresh, partial(first.post, end)
        )
        assert logout.status == 200
        assert {answer.status for answer in refreshes} <= {200, 401}
        given = [first.with_tokens_of(answer) for answer in refreshes if answer.status == 200]
        for client in (first, *given):
            assert not client.is_alive
            assert client.send_refresh().status == 401


def test_no_session_outlives_its_absolute_limit(account: Account, clock: Any) -> None:
    """REF-09: however active; no successor's expiry lies beyond, and a second later it is refused."""
    client = account.log_in()
    session = AuthSession.objects.get()
    end = session.absolute_expires_at
    assert end - session.created_at == ABSOLUTE
    elapsed = timedelta()
    step = IDLE * 0.9
    while elapsed + step < ABSOLUTE:
        clock.shift(step)
        elapsed += step
        client = client.refreshed()
        assert claims_of(client.refresh)["exp"] <= end.timestamp()
    clock.shift(ABSOLUTE - elapsed - timedelta(seconds=5))
    client = client.refreshed()
    assert (
        claims_of(client.refresh)["exp"] == claims_of(client.access)["exp"] == int(end.timestamp())
    )
    clock.shift(6)
    assert outcome(client.send_refresh()) == (401, "session_expired")
    assert client.get("rest_user_details").status == 401
    clock.shift(3600)
    assert replace(client, csrf=None).send_refresh().status == 401


def test_an_idle_session_expires(account: Account, clock: Any) -> None:
    """REF-10: a second after the idle limit a refresh is refused."""
    client = account.log_in()
    clock.shift(IDLE + timedelta(seconds=1))
    assert outcome(client.send_refresh()) == (401, "session_expired")
    assert not client.is_alive


@pytest.mark.skipif(
    policy.REFRESH_TOKEN_DAYS * 1.5 > policy.SESSION_ABSOLUTE_DAYS,
    reason="the idle limit is the absolute one by the policy",
)
def test_activity_extends_the_idle_limit_alone(account: Account, clock: Any) -> None:
    """REF-10: a refresh moves the idle limit and never the absolute one."""
    client = account.log_in()
    before = AuthSession.objects.get()
    clock.shift(IDLE * 0.75)
    client = client.refreshed()
    after = AuthSession.objects.get()
    assert after.absolute_expires_at == before.absolute_expires_at
    assert after.idle_expires_at - before.idle_expires_at >= IDLE * 0.75
    clock.shift(IDLE * 0.75)  # beyond the first idle limit
    assert client.refreshed().is_alive


class Secrets:
    """Everything that must not be found anywhere, collected while walking the endpoints."""

    def __init__(self, settings: Any) -> None:
        keys = [entry.partition(":")[2] for entry in settings.AUTH_SIGNING_KEYS]
        self.found = {settings.SECRET_KEY, *keys, PASSWORD, OTHER_PASSWORD}

    def add(self, *clients: Api) -> None:
        for client in clients:
            for token in (client.access, client.refresh):
                assert token
                # The signature too: with it anybody who knows the claims has the token.
                self.found |= {token, token.split(".")[2]}

    def within(self, text: str) -> set[str]:
        return {secret for secret in self.found if secret in text}


@pytest.fixture
def all_logs() -> Iterator[io.StringIO]:
    """Whatever any logger says, down to DEBUG, formatted as in production."""
    text = io.StringIO()
    handlers = [logging.StreamHandler(text), logging.StreamHandler(text)]
    handlers[1].setFormatter(JsonFormatter())
    root, level = logging.getLogger(), logging.getLogger().level
    root.setLevel(logging.DEBUG)
    for handler in handlers:
        root.addHandler(handler)
    yield text
    for handler in handlers:
        root.removeHandler(handler)
    root.setLevel(level)


def walk(api: Api, account: Account, kept: Secrets, clock: Any, mailbox: list[Any]) -> None:
    """Call every endpoint, well and badly."""
    if policy.REGISTRATION == "open":
        api.post("rest_register", registration())
    wrong = f"wrong {secrets.token_hex(16)}"
    kept.found.add(wrong)
    api.post("rest_login", {**account.credentials, "password": wrong})
    first = account.log_in()
    second = first.refreshed()
    other = account.log_in()
    kept.add(first, second, other)
    api.post("token_verify", {"token": second.access})
    api.post("token_verify", {"token": second.refresh})
    api.post("token_refresh", {"refresh": second.access})
    second.get("rest_user_details")
    second.patch("rest_user_details", {"first_name": "Ada"})
    sessions = second.get("session_list").body
    (ended,) = (each["id"] for each in sessions if not each["current"])
    assert second.delete(f"{reverse('session_list')}{ended}/").status == 204
    clock.shift(AFTER_GRACE)
    assert first.send_refresh().status == 401
    third = account.log_in()
    kept.add(third)
    new = {"new_password1": OTHER_PASSWORD, "new_password2": OTHER_PASSWORD}
    third.post("rest_password_change", {"old_password": wrong, **new})
    assert third.post("rest_password_change", {"old_password": PASSWORD, **new}).status == 200
    api.post("rest_password_reset", {"email": account.user.email})
    link = link_secrets(mailbox[-1])
    kept.found.add(link["token"])
    new = {"new_password1": PASSWORD, "new_password2": PASSWORD}
    api.post("rest_password_reset_confirm", {**link, "new_password1": wrong, "new_password2": "x"})
    assert api.post("rest_password_reset_confirm", {**link, **new}).status == 200
    api.post("rest_resend_email", {"email": account.user.email})
    api.post("rest_verify_email", {"key": wrong})
    fourth = account.log_in()
    kept.add(fourth)
    fourth.delete("session_list")
    fourth.post("rest_logout", {} if fourth.by_cookie else {"refresh": fourth.refresh})
    fifth = account.log_in()
    kept.add(fifth)
    fifth.post("logout_all")
    fifth.get("rest_user_details")


def test_no_secret_is_kept_anywhere(
    api: Api,
    account: Account,
    mailbox: list[Any],
    clock: Any,
    settings: Any,
    all_logs: io.StringIO,
) -> None:
    """REF-11: no token, password or key in the database, the cache or the logs."""
    kept = Secrets(settings)
    walk(api, account, kept, clock, mailbox)
    with connection.cursor() as cursor:
        rows = []
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608
            rows.append((table, cursor.fetchall()))
    database = json.dumps(rows, default=str)
    assert account.user.email in database
    assert AuditEvent.objects.count() > 10
    assert kept.within(database) == set()
    assert "authn_token_reuse" in all_logs.getvalue()
    assert kept.within(all_logs.getvalue()) == set()
    stored: dict[Any, bytes] = getattr(cache, "_cache", {})
    assert kept.within(str(stored)) == set()


def test_no_secret_is_in_an_error_page_or_report(
    account: Account,
    settings: Any,
    monkeypatch: Any,
    mailbox: list[Any],
    all_logs: io.StringIO,
) -> None:
    """REF-11: nor in what a failure answers, logs and mails to the administrators."""
    administrator = "root@example.com"
    # Pairs until Django 6.0, addresses since.
    settings.ADMINS = [administrator if django.VERSION >= (6, 0) else ("root", administrator)]
    kept = Secrets(settings)
    client = account.log_in()
    kept.add(client)

    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("auth_core.sessions.services._death", fail)
    monkeypatch.setattr("auth_core.sessions.services.start_session", fail)
    answers = [
        client.get("rest_user_details"),
        client.send_refresh(),
        client.post("rest_login", account.credentials),
    ]
    assert {answer.status for answer in answers} == {500}
    assert kept.within(str(answers)) == set()
    reports = [message for message in mailbox if message.to == [administrator]]
    assert len(reports) == len(answers)
    text = "".join(message.body + str(message.alternatives) for message in reports)
    assert "a defect" in text
    assert kept.within(text) == set()
    assert kept.within(all_logs.getvalue()) == set()


def test_a_token_is_accepted_only_the_way_it_was_given(account: Account) -> None:
    """REF-12: a cookie's token in a body or a header is refused, and a body's token in a cookie."""
    client = account.log_in()
    if client.by_cookie:
        stranger = replace(client, delivery="header", access=None)
        proof = {"X-CSRF-Token": Api().fetch_csrf()}
        in_body = stranger.post("token_refresh", {"refresh": client.refresh}, **proof)
        assert outcome(in_body) == (401, "session_revoked")
        assert replace(client, delivery="header").get("rest_user_details").status == 401
    else:
        pairs = [("access", client.access), ("refresh", client.refresh)]
        names = {kind: (kind, f"__Host-{kind}", cookie_name(kind)) for kind, _ in pairs}
        cookies = "; ".join(f"{name}={token}" for kind, token in pairs for name in names[kind])
        sent = {"Cookie": cookies, "X-Token-Delivery": "cookie"}
        if policy.TOKEN_DELIVERY != "header":
            sent["X-CSRF-Token"] = Api().fetch_csrf(cookies)
        nobody = Api(delivery="header")
        assert nobody.get("rest_user_details", **sent).status == 401
        assert nobody.post("token_refresh", {}, **sent).status in (400, 401)
    assert client.refreshed().is_alive


STRANGE = ["[]", '"x"', "5", "null", "true", "", "{", "\x00"]
STRANGE_TOKENS = [
    "5",
    "[]",
    "{}",
    "null",
    "true",
    '""',
    '"\\u0000"',
    '"\\ud800"',
    '"é.é.é"',
    "1e999",
]


@pytest.mark.parametrize("body", [*STRANGE, *('{"refresh": ' + it + "}" for it in STRANGE_TOKENS)])
def test_a_strange_body_is_refused(api: Api, body: str) -> None:
    """REF-13: whatever stands where a refresh token should, 400 or 401."""
    assert api.request("POST", "token_refresh", body.encode()).status in (400, 401)


@pytest.mark.inside
@pytest.mark.parametrize("size", [30_000, 102_400])
def test_a_huge_token_is_refused(account: Account, size: int) -> None:
    """REF-13: also a well-signed one with a jti of 100 KiB, which is beyond what a body may hold."""
    client = account.log_in()
    token = RefreshToken(client.refresh)  # type: ignore[arg-type]
    token["jti"] = "0" * size
    expected = {413} if size > 65_536 and not client.by_cookie else {400, 401}
    assert client.send_refresh(str(token)).status in expected
    assert client.refreshed().is_alive


def test_a_refresh_never_changes_how_the_user_logged_in(account: Account, clock: Any) -> None:
    """REF-14: amr, acr and auth_time survive, and a token's own claims cannot raise them."""
    client = account.log_in()
    before = AuthSession.objects.get()
    assert before.amr == ["pwd"]
    clock.shift(3600)
    forged = RefreshToken(client.refresh)  # type: ignore[arg-type]
    forged["amr"], forged["acr"] = ["pwd", "otp"], "aal2"
    forged["auth_time"] = forged["iat"] + 3600
    client = replace(client, refresh=str(forged)).refreshed().refreshed()
    after = AuthSession.objects.get()
    assert (after.amr, after.auth_time) == (before.amr, before.auth_time)
    assert client.get("session_list").body[0]["amr"] == ["pwd"]
    claims = claims_of(client.access)
    assert (claims["amr"], claims["acr"]) == (["pwd"], "aal1")
    assert claims["auth_time"] == int(before.auth_time.timestamp())
    assert not {"amr", "acr", "auth_time"} & {*claims_of(client.refresh)}


def next_minute(clock: Any) -> None:
    """Begin a minute, which the uses are counted by."""
    clock.shift(60 - time.time() % 60)


def test_refreshes_are_bounded_per_session(account: Account, clock: Any, settings: Any) -> None:
    """REF-15: 429 with Retry-After, no reuse, no other session affected, and it passes."""
    next_minute(clock)
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "refresh": "3/m/key"}
    client, other = account.log_in(), account.log_in()
    for _ in range(3):
        client = client.refreshed()
    for _ in range(3):
        answer = client.send_refresh()
        assert outcome(answer) == (429, "throttled")
        assert 0 < int(answer.headers["Retry-After"]) <= 60
    assert client.is_alive
    assert other.refreshed().is_alive
    clock.shift(int(answer.headers["Retry-After"]))
    assert client.refreshed().is_alive
    assert not AuditEvent.objects.filter(event="authn_token_reuse").exists()


def test_refreshes_are_bounded_per_address(account: Account, clock: Any, settings: Any) -> None:
    """REF-15: all sessions of an address count together; another address is not affected."""
    next_minute(clock)
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "refresh": "3/m/ip"}
    clients = [account.log_in() for _ in range(3)]
    for client in clients:
        client.refreshed()
    late = account.log_in()
    answer = late.send_refresh()
    assert outcome(answer) == (429, "throttled")
    assert 0 < int(answer.headers["Retry-After"]) <= 60
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    elsewhere = replace(late, headers={"X-Forwarded-For": "203.0.113.7"})
    assert elsewhere.refreshed().is_alive


def test_a_forged_token_uses_up_nobodys_allowance(
    account: Account, other_account: Account, settings: Any
) -> None:
    """REF-15: only genuine tokens count, so knowing a session's id is no weapon; others cost no query."""
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "refresh": "1/m/ip,1/m/key"}
    client = account.log_in()
    assert client.refresh
    head, _, signature = client.refresh.rpartition(".")
    for _ in range(3):
        assert client.send_refresh(f"{head}.{signature[::-1]}").status == 401
    assert client.refreshed().is_alive


@pytest.mark.slow
def test_refreshes_leave_one_row(account: Account, settings: Any) -> None:
    """REF-16: nothing grows with the refreshes of a session: each updates its row and inserts none.

    CONTRACT_REFRESHES=10000 runs as many (a minute); by default it is 500.
    """
    refreshes = int(os.environ.get("CONTRACT_REFRESHES", "500"))
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "refresh": ""}
    account.log_in()
    session = AuthSession.objects.get()
    events = AuditEvent.objects.count()
    request, arrived_by = RequestFactory().post("/"), Delivery(session.delivery)
    token = str(RefreshToken.for_session(session))
    with CaptureQueriesContext(connection) as queries:
        token = str(services.rotate(token, request, arrived_by).refresh)
    assert not [query for query in queries if "INSERT" in query["sql"]]
    for _ in range(refreshes - 1):
        token = str(services.rotate(token, request, arrived_by).refresh)
    assert claims_of(token)["gen"] == refreshes
    assert AuthSession.objects.count() == 1
    assert AuditEvent.objects.count() == events


def test_dead_sessions_are_purged_in_batches(account: Account, monkeypatch: Any) -> None:
    """REF-16: `purge` deletes what ended or expired long ago, a batch at a time, and nothing else."""
    living = account.log_in()
    now, long_ago = timezone.now(), timezone.now() - timedelta(days=8)
    template = AuthSession.objects.get()
    deaths: list[dict[str, Any]] = [
        {"revoked_at": long_ago},
        {"idle_expires_at": long_ago},
        {"absolute_expires_at": long_ago},
    ]
    recent: list[dict[str, Any]] = [{"revoked_at": now}, {"idle_expires_at": now}]
    for changes in (*deaths, *deaths, *deaths, *recent):
        for name, value in {"pk": uuid.uuid4(), **changes}.items():
            setattr(template, name, value)
        template.save(force_insert=True)
        template = AuthSession.objects.get(pk=claims_of(living.access)["sid"])
    monkeypatch.setattr("auth_core.batches.BATCH", 4)
    output = io.StringIO()
    with CaptureQueriesContext(connection) as queries:
        call_command("purge", stdout=output)
    assert "sessions: 9 deleted" in output.getvalue().splitlines()
    deletions = [query["sql"] for query in queries if query["sql"].startswith("DELETE")]
    # Three batches, and what is left.
    assert sum(AuthSession._meta.db_table in sql for sql in deletions) == 4
    assert AuthSession.objects.count() == 1 + len(recent)
    assert living.is_alive


@real_transactions
@pytest.mark.usefixtures("_atomic_requests")
@pytest.mark.parametrize("thieves", [1, 8])
def test_a_replay_is_recorded_and_mailed_once(account: Account, clock: Any, thieves: int) -> None:
    """REF-17, REF-03: one event with session, address and client, one mail, and the end is kept."""
    client = replace(account.log_in(), headers={"User-Agent": "thief/1.0"})
    second = client.refreshed()
    clock.shift(AFTER_GRACE)
    mail.outbox.clear()
    answers = at_once(*[client.send_refresh] * thieves)
    assert {outcome(answer) for answer in answers} == {(401, "refresh_reused")}
    session = AuthSession.objects.get()
    assert session.revoked_at is not None
    assert not second.is_alive
    event = AuditEvent.objects.get(event="authn_token_reuse")
    assert (event.session_id, event.user_id) == (session.pk, account.user.pk)
    assert (event.ip, event.user_agent) == ("127.0.0.1", "thief/1.0")
    assert event.request_id in {answer.body["request_id"] for answer in answers}
    assert [message.to for message in mail.outbox] == [[account.user.email]]
    assert "thief/1.0" in mail.outbox[0].body


@pytest.mark.skipif(
    policy.LOGIN_WITH != "username" or policy.EMAIL_VERIFICATION == "mandatory",
    reason="everybody has an address by the policy",
)
def test_a_replay_ends_the_session_of_a_user_without_an_address(
    make_account: Any, clock: Any, mailbox: list[Any]
) -> None:
    """REF-17: nobody can be told, but the session ends and that is recorded."""
    client = make_account(email=None).log_in()
    client.refreshed()
    clock.shift(AFTER_GRACE)
    assert outcome(client.send_refresh()) == (401, "refresh_reused")
    assert AuditEvent.objects.filter(event="authn_token_reuse").count() == 1
    assert mailbox == []


def test_one_login_too_many_ends_the_oldest_session(account: Account) -> None:
    """REF-18: the others live on, and the evicted one's tokens are dead."""
    clients = [account.log_in() for _ in range(policy.MAX_SESSIONS_PER_USER)]
    # Its being the oldest counts, not how recently it was used.
    clients[0] = clients[0].refreshed()
    clients.append(account.log_in())
    assert [client.is_alive for client in clients] == [
        False,
        *[True] * policy.MAX_SESSIONS_PER_USER,
    ]
    assert outcome(clients[0].send_refresh()) == (401, "session_revoked")
    assert clients[1].refreshed().is_alive
    assert len(clients[1].get("session_list").body) == policy.MAX_SESSIONS_PER_USER


def test_another_users_logins_evict_nobody(account: Account, other_account: Account) -> None:
    """REF-18: the limit is each user's own."""
    mine = account.log_in()
    for _ in range(policy.MAX_SESSIONS_PER_USER + 1):
        other_account.log_in()
    assert mine.is_alive
    assert get_user_model().objects.count() == 2
