"""PRV: data protection. What stands in addresses, what caches keep, how long anything is kept."""

import io
import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import pytest
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.core.management import call_command
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import path, reverse
from django.utils import timezone

from auth_core import policy, urls
from auth_core.accounts.models import Registration
from auth_core.audit.lines import JsonFormatter
from auth_core.audit.log import Event
from auth_core.audit.models import AuditEvent
from auth_core.contract.marks import real_transactions
from auth_core.contract.permissions import rows
from auth_core.contract.processes import PRODUCTION, gunicorn, request, send
from auth_core.env import BASE_DIR
from auth_core.http.checks import cache_inside_of_headers
from auth_core.sessions.models import AuthSession
from auth_core.testing import (
    PASSWORD,
    Account,
    Api,
    at_once,
    claims_of,
    header_of,
    link_secrets,
)
from config.urls import urlpatterns as project_urlpatterns

pytestmark = [pytest.mark.django_db, pytest.mark.inside]

CANARY = "CANARY-7f3a91c2"
ENDPOINTS = [(method, path.strip("`")) for method, path, who in rows() if who != "admin"]


def greeting(request: HttpRequest) -> HttpResponse:
    """Stands for a page of the team's that anybody may keep."""
    return HttpResponse(str(uuid4()), headers={"Cache-Control": "public, max-age=60"})


# For tests that name this module as their URLconf.
urlpatterns = [path("greeting/", greeting), *project_urlpatterns]


# --- Addresses ------------------------------------------------------------------------------


def test_no_address_asks_for_personal_data(api: Api) -> None:
    """PRV-01: paths hold random ids alone, and no query is read but which part of a list is wanted."""
    kinds = {
        type(converter).__name__
        for pattern in urls.urlpatterns
        for converter in getattr(pattern.pattern, "converters", {}).values()
    }
    assert kinds <= {"UUIDConverter"}
    schema = api.get(f"{reverse('schema')}?format=json").body
    parameters = [
        (where, parameter["name"])
        for where, operations in schema["paths"].items()
        for operation in operations.values()
        for parameter in operation.get("parameters", [])
        if parameter["in"] == "query" and parameter["name"] not in ("limit", "offset")
    ]
    assert parameters == []


def test_mailed_links_hold_secrets_behind_the_hash(
    account: Account, make_account: Any, mailbox: list[Any]
) -> None:
    """PRV-01: what a server or a proxy would log of a mailed link is the same for everybody."""
    unverified = make_account(verified=False)
    Api().post("rest_password_reset", {"email": account.user.email})
    Api().post("rest_resend_email", {"email": unverified.user.email})
    links = [link for mail in mailbox for link in re.findall(r"https?://\S+", mail.body)]
    assert len(links) >= 2
    for link in links:
        parts = urlsplit(link)
        assert parse_qs(parts.query) == {}
        assert not any(secret in parts.path for secret in link_secrets(mailbox[0]).values())
        assert account.user.email not in parts.path


@pytest.mark.slow
def test_the_access_log_holds_paths_alone(tmp_path: Path) -> None:
    """PRV-01: whatever a client puts into query, headers and body, no line of the server repeats it."""
    secret = [f"Authorization: Bearer {CANARY}", f"Cookie: access={CANARY}", f"Referer: {CANARY}"]
    secret += ["X-Forwarded-Proto: https", "Content-Type: application/json"]
    body = json.dumps({"email": f"{CANARY}@example.com", "password": CANARY, "token": CANARY})
    variables = {**PRODUCTION, "TRUSTED_PROXIES": "1", "PYTHONWARNINGS": "ignore"}
    with gunicorn(tmp_path, "\nworkers = 1\n", **variables) as port:
        for method, where in ENDPOINTS:
            url = f"{where.replace('<uuid:pk>', str(uuid4()))}?token={CANARY}&email={CANARY}"
            length = f"Content-Length: {len(body)}"
            send(port, request(method, url, body.encode(), *secret, length))
    text = (tmp_path / "gunicorn.log").read_text()
    assert CANARY not in text
    lines = [json.loads(line) for line in text.splitlines()]
    logged = {line["path"] for line in lines if line["logger"] == "gunicorn.access"}
    assert {where for _, where in ENDPOINTS if "<" not in where} <= logged
    assert not any("?" in where for where in logged)


# --- Caches ---------------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=" ".join)
def test_every_answer_forbids_caches(endpoint: tuple[str, str], account: Account) -> None:
    """PRV-02: no-store, and Vary by what says whose answer it is; refusals and errors included."""
    method, where = endpoint
    where = where.replace("<uuid:pk>", str(uuid4()))
    for client in (Api(delivery="header"), account.log_in()):
        for name in (where, f"{where}x"):
            answer = client.request(method, name, b"{}")
            vary = answer.headers["Vary"].lower().split(", ")
            assert {"authorization", "cookie"} <= set(vary)
            if "jwks" not in name:  # public keys, on purpose (TOK-22)
                assert answer.headers["Cache-Control"] == "no-store"


@pytest.fixture
def _cached(settings: Any) -> Iterator[None]:
    prefix = "django.middleware.cache."
    middleware = [
        f"{prefix}UpdateCacheMiddleware",
        *settings.MIDDLEWARE,
        f"{prefix}FetchFromCacheMiddleware",
    ]
    with override_settings(MIDDLEWARE=middleware):
        yield
    cache.clear()


@pytest.mark.urls(__name__)
@pytest.mark.usefixtures("_cached")
def test_djangos_cache_keeps_none_of_our_answers(
    account: Account, other_account: Account, api: Api
) -> None:
    """PRV-02: with the cache of whole answers switched on each user sees their own, nobody another's."""
    assert api.get("/greeting/").body == api.get("/greeting/").body  # it is switched on
    assert not cache_inside_of_headers(None)
    clients = [account.log_in(), other_account.log_in()]
    for _ in range(2):
        for client, owner in zip(clients, (account, other_account), strict=True):
            assert client.get("rest_user_details").body["pk"] == str(owner.user.pk)
            assert len(client.get("session_list").body) == 1
        assert Api(delivery="header").get("rest_user_details").status == 401
    clients[0].patch("rest_user_details", {"first_name": "Ada"})
    assert clients[0].get("rest_user_details").body["first_name"] == "Ada"
    assert clients[0].post("rest_logout").status == 200
    assert clients[0].get("rest_user_details").status == 401


def test_a_cache_that_sees_answers_too_early_is_refused(settings: Any) -> None:
    """PRV-02: behind the middleware that says no-store it would keep them: a check says so."""
    settings.MIDDLEWARE = [
        *settings.MIDDLEWARE,
        "django.middleware.cache.UpdateCacheMiddleware",
        "django.middleware.cache.FetchFromCacheMiddleware",
    ]
    assert [error.id for error in cache_inside_of_headers(None)] == ["auth_core.E005"]


# --- Retention --------------------------------------------------------------------------------


def purged(**options: Any) -> dict[str, int]:
    """Run the command; return what it says it deleted."""
    output = io.StringIO()
    call_command("purge", stdout=output, **options)
    lines = [line.rpartition(": ") for line in output.getvalue().splitlines()]
    return {kind: int(text.split()[0]) for kind, _, text in lines}


def make_pending() -> Registration:
    """Keep a registration whose link nobody follows, as one that a user sends."""
    user = get_user_model()()
    user.set_unusable_password()
    user.save()
    email, now = f"{user.pk}@example.com", timezone.now()
    return Registration.objects.create(
        user=user, email=email, username="newcomer", password="hash", requested_at=now
    )


@pytest.fixture
def rubbish(make_account: Callable[..., Account], clock: Any) -> dict[str, int]:
    """One of each kind that is kept no longer, beside what is kept; returns how many to delete."""
    now = timezone.now()
    days = policy.UNVERIFIED_RETENTION_DAYS
    clock.move_to(now - timedelta(days=policy.AUDIT_RETENTION_DAYS + 1))
    make_account().log_in()
    clock.move_to(now - timedelta(days=days + 1))
    make_pending()  # the one to delete
    make_account(verified=False)  # an operator made it
    get_user_model().objects.create_user(username="without-address", password=PASSWORD)
    Session.objects.create(session_key="a", session_data="", expire_date=now - timedelta(hours=1))
    Session.objects.create(session_key="b", session_data="", expire_date=now + timedelta(hours=1))
    clock.move_to(now - timedelta(days=days - 1))
    make_pending()
    make_account().log_in()
    clock.move_to(now)
    return {
        "sessions": 1,
        "admin sessions": 1,
        "registrations": 1,
        "audit events": 1,
    }


def test_a_daily_purge_keeps_what_the_policy_says(rubbish: dict[str, int]) -> None:
    """PRV-03: dead sessions, unfinished registrations, old events; accounts and what is young stay."""
    users = get_user_model().objects.count()
    assert purged().items() >= rubbish.items()
    gone = rubbish["registrations"]
    assert get_user_model().objects.count() == users - gone
    assert AuthSession.objects.count() == 1
    assert Session.objects.get().session_key == "b"
    deletions = AuditEvent.objects.filter(event=Event.USER_DELETED)
    assert [event.detail for event in deletions] == [{"reason": "never_verified"}] * gone
    assert set(purged().values()) == {0}


def test_a_dry_run_counts_and_deletes_nothing(rubbish: dict[str, int]) -> None:
    """PRV-03: the same numbers, and everything is still there."""
    assert purged(dry_run=True).items() >= rubbish.items()
    assert not AuditEvent.objects.filter(event=Event.USER_DELETED).exists()
    assert purged().items() >= rubbish.items()


def test_a_purged_registration_leaves_nothing(clock: Any) -> None:
    """PRV-03: neither its user nor who registered it, from where."""
    make_pending()
    clock.shift((policy.UNVERIFIED_RETENTION_DAYS + 1) * 86_400)
    assert purged()["registrations"] == 1
    assert not get_user_model().objects.exists()
    assert not Registration.objects.exists()


@real_transactions
def test_a_purge_disturbs_no_refresh(account: Account, rubbish: dict[str, int]) -> None:
    """PRV-03: refreshes and logins that run meanwhile succeed."""
    clients = [account.log_in() for _ in range(3)]
    jobs: list[Callable[[], Any]] = [client.refreshed for client in clients]
    *refreshed, total, login = at_once(*jobs, purged, account.log_in)
    assert all(client.is_alive for client in (*refreshed, login))
    assert total.items() >= rubbish.items()


@real_transactions
def test_two_purges_at_once_agree(rubbish: dict[str, int]) -> None:
    """PRV-03: a second worker that runs the same job fails nothing and deletes nothing twice."""
    at_once(partial(purged), partial(purged))
    deleted = AuditEvent.objects.filter(event=Event.USER_DELETED).count()
    assert deleted == rubbish["registrations"]
    assert set(purged().values()) == {0}


# --- Tokens and reports -------------------------------------------------------------------------


def test_tokens_hold_ids_alone(make_account: Callable[..., Account]) -> None:
    """PRV-04: names, addresses and rights stand in no token."""
    account = make_account(first_name="Quentin", last_name="Lovelace", is_staff=True)
    client = account.log_in()
    common = {"token_type", "exp", "iat", "jti", "sub", "sid", "iss", "aud"}
    assert set(claims_of(client.access)) == {*common, "amr", "acr", "auth_time"}
    assert set(claims_of(client.refresh)) == {*common, "gen"}
    for token in (client.access, client.refresh):
        claims = claims_of(token)
        assert [str(UUID(claims[name])) for name in ("sub", "sid")] == [
            claims["sub"],
            claims["sid"],
        ]
        text = json.dumps([claims, header_of(token)]).lower()
        for value in (account.user.username, account.user.email, "quentin", "lovelace", "staff"):
            assert not value or value.lower() not in text


def test_a_defect_s_line_holds_no_variables(
    account: Account, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """PRV-05: the line of an error tells where, not with what."""

    def fail(user: Any, password: str) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("auth_core.accounts.backend.check_password", fail)
    assert Api().post("rest_login", account.credentials).status == 500
    [record] = [record for record in caplog.records if record.exc_info]
    line = JsonFormatter().format(record)
    assert "a defect" in line
    assert "in fail" in line
    for value in (PASSWORD, account.user.email, account.user.password):
        assert value not in line


def test_the_document_says_how_to_report_elsewhere() -> None:
    """PRV-05: the snippet for a reporter of the team's sends neither personal data nor variables."""
    text = (BASE_DIR / "docs" / "security.md").read_text(encoding="utf-8")
    for option in ("send_default_pii=False", "include_local_variables=False"):
        assert option in text
    assert django_settings.DEFAULT_EXCEPTION_REPORTER_FILTER == "auth_core.http.errors.ReportFilter"
