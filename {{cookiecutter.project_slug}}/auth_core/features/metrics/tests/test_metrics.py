"""What the metrics tell, to whom, and that the alerts and the dashboard ask for nothing else."""

import importlib
import json
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import connection
from django.utils import timezone
from django_tasks_db.models import DBTaskResult
from prometheus_client import REGISTRY

from auth_core.audit.log import Event
from auth_core.contract.databases import migrate, production, stoppable_database
from auth_core.contract.processes import (
    gunicorn_process,
    request,
    run,
    send,
    status_of,
    wait_until,
)
from auth_core.env import BASE_DIR
from auth_core.features.metrics.instruments import EVENTS, HASHING, REQUESTS
from auth_core.features.metrics.management.commands.servemetrics import MailQueue
from auth_core.testing import Account, Api, outbox_is

pytestmark = [pytest.mark.django_db, pytest.mark.inside]
# It ships no types; it comes with drf-spectacular.
yaml: Any = importlib.import_module("yaml")

HTTPS = "X-Forwarded-Proto: https"
HASH_SECONDS = "auth_password_hash_seconds"


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0


def events(event: str, outcome: str = "success") -> float:
    return value("auth_events_total", event=event, outcome=outcome)


def test_what_happens_is_counted(account: Account, clock: Any) -> None:
    logins, failures = events("authn_login_success"), events("authn_login_fail", "failure")
    renewed, reused = events("session_renewed"), events("authn_token_reuse", "failure")
    revoked = events("authn_token_revoked")
    client = account.log_in()
    wrong = Api().post("rest_login", {**account.credentials, "password": "wrong"})
    assert wrong.status == 400
    client.refreshed().refreshed()
    clock.shift(3600)
    assert client.send_refresh().status == 401
    assert account.log_in().post("rest_logout").status == 200
    assert events("authn_login_success") == logins + 2
    assert events("authn_login_fail", "failure") == failures + 1
    assert events("session_renewed") == renewed + 2
    assert events("authn_token_reuse", "failure") == reused + 1
    assert events("authn_token_revoked") == revoked + 1


def test_requests_are_measured_by_the_pattern_of_their_url(account: Account) -> None:
    def number(route: str, status: str, method: str = "GET") -> float:
        name = "http_request_duration_seconds_count"
        return value(name, method=method, route=route, status=status)

    def routes() -> set[str]:
        (family,) = REQUESTS.collect()
        return {sample.labels["route"] for sample in family.samples}

    client = account.log_in()
    session = client.get("session_list").body[0]["id"]
    route = next(iter(it for it in routes() if it.endswith("sessions/")))
    one = f"{route}<uuid:pk>/"
    before, refused = number(one, "204", "DELETE"), number(route, "401")
    unknown, others = number("", "404"), number("", "404", "other")
    assert client.delete(f"/{route}{session}/").status == 204
    assert Api().get("session_list").status == 401
    assert Api().get(f"/nowhere/{session}").status == 404
    Api().request("BREW", "/nowhere")
    assert number(one, "204", "DELETE") == before + 1
    assert number(route, "401") == refused + 1
    assert number("", "404") == unknown + 1
    assert number("", "404", "other") == others + 1
    assert not any(session in it for it in routes())


def test_the_time_of_a_hash_is_measured() -> None:
    parts = [value(f"{HASH_SECONDS}_count", part=part) for part in ("work", "wait")]
    worked = value(f"{HASH_SECONDS}_sum", part="work")
    make_password("a password of some length", hasher="argon2")
    after = [value(f"{HASH_SECONDS}_count", part=part) for part in ("work", "wait")]
    assert after == [count + 1 for count in parts]
    assert 0.001 < value(f"{HASH_SECONDS}_sum", part="work") - worked < 30


def test_no_label_says_who(account: Account) -> None:
    """Neither names, addresses, ids, tokens nor what was typed."""
    client = Api(headers={"X-Forwarded-For": "203.0.113.99", "User-Agent": "somebody/1.0"})
    client.post("rest_login", {**account.credentials, "password": "typed-by-mistake"})
    session = account.log_in(**{"User-Agent": "somebody/1.0"})
    for family in (*EVENTS.collect(), *HASHING.collect(), *REQUESTS.collect()):
        text = str([sample.labels for sample in family.samples])
        told = {account.user.email, str(account.user.pk), session.access, "203.0.113.99"}
        assert not any(it in text for it in (*told, "somebody", "typed-by-mistake"))


def test_mails_that_wait_are_counted(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "close", lambda: None)  # it is the test's

    def waiting() -> list[float]:
        return [family.samples[0].value for family in MailQueue().collect()]

    assert waiting() == [0, 0]
    with outbox_is(settings.DATABASE_BACKEND):
        Api().post("rest_password_reset", {"email": account.user.email})
    assert waiting()[0] == 1
    DBTaskResult.objects.update(enqueued_at=timezone.now() - timedelta(hours=1))
    assert 3600 <= waiting()[1] < 3700


@pytest.mark.slow
def test_all_processes_are_told_of_on_an_address_of_its_own(tmp_path: Path) -> None:
    """Prometheus alone hears of it; there is no path for it where the API is."""
    with stoppable_database(tmp_path) as database, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        variables = production(tmp_path, database.url) | {"METRICS_ADDRESS": f"127.0.0.1:{port}"}
        migrate(variables)
        with gunicorn_process(tmp_path, "workers = 3\n", **variables) as (process, api):
            ask = request("GET", "/nowhere", b"", HTTPS)
            for _ in range(30):
                assert status_of(send(api, ask)) == 404
            assert status_of(send(api, request("GET", "/metrics", b"", HTTPS))) == 404
            text = wait_until(lambda: metrics(port), tmp_path / "gunicorn.log")
            counted = sum(
                float(line.split()[-1])
                for line in text.splitlines()
                if line.startswith("http_request_duration_seconds_count") and '"404"' in line
            )
            assert counted == 31
            assert "auth_mail_waiting 0.0" in text
            folders = set(Path(tempfile.gettempdir()).glob("metrics-*"))
            process.kill()  # it gets no time to tell the others
            wait_until(lambda: not metrics(port), tmp_path / "gunicorn.log")
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def metrics(port: int) -> str:
    """What Prometheus would read; nothing where nobody answers."""
    try:
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    except OSError:
        return ""


def test_an_address_is_checked_at_the_start() -> None:
    for wrong in ("9100", "localhost", "localhost:", ":9100", "localhost:http"):
        done = run("manage.py", "check", METRICS_ADDRESS=wrong)
        assert done.returncode
        assert done.stderr.startswith("METRICS_ADDRESS: "), done.stderr
        assert wrong in done.stderr


def names_in(expression: str) -> set[str]:
    """The metrics of a PromQL expression, without what Prometheus adds to a histogram or knows itself."""
    without = re.sub(r'"[^"]*"|\{|\}', " ", expression)
    found = set(re.findall(r"\b(?:auth|http)_\w+", without))
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in found}


def expressions() -> Iterator[str]:
    folder = BASE_DIR / "monitoring"
    for group in yaml.safe_load((folder / "alerts.yaml").read_text("utf-8"))["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    for panel in json.loads((folder / "dashboard.json").read_text("utf-8"))["panels"]:
        yield from (target["expr"] for target in panel["targets"])


def test_alerts_and_dashboard_ask_for_what_there_is() -> None:
    kept = {family.name for it in (EVENTS, HASHING, REQUESTS) for family in it.collect()}
    kept |= {family.name for family in MailQueue().collect()}
    exported = {f"{name}_total" if name == "auth_events" else name for name in kept}
    asked = set().union(*map(names_in, expressions()))
    assert asked == exported
    words = {str(event) for event in Event}
    for expression in expressions():
        for pattern in re.findall(r'event=~?"([^"]*)"', expression):
            assert any(re.fullmatch(pattern, word) for word in words), pattern
