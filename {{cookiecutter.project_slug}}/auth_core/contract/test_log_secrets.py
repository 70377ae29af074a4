"""LOG: secrets. Sent to every endpoint, well and badly, they are found nowhere afterwards."""

import io
import json
import logging
import sys
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.signals import got_request_exception
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.views.debug import ExceptionReporter

from auth_core import policy
from auth_core.audit.lines import JsonFormatter, RequestFields
from auth_core.audit.models import AuditEvent
from auth_core.contract.permissions import rows
from auth_core.contract.test_ref import Secrets, walk
from auth_core.mail import outbox
from auth_core.testing import (
    DELIVERIES,
    Account,
    Api,
    cookie_name,
    link_secrets,
    registration,
)

pytestmark = [pytest.mark.django_db, pytest.mark.inside]

# Long and odd enough to be accepted as a password, and to be found.
CANARY = "CANARY 7f3a91c2 canary"
FIELDS = (
    "password password1 password2 old_password new_password1 new_password2 current_password "
    "token refresh access key code"
)
ENDPOINTS = [(method, path) for method, path, who in rows() if who != "admin"]


@pytest.fixture(autouse=True)
def _delivery() -> None:
    """Every request is sent both ways here."""


@pytest.fixture
def everything_logged() -> Iterator[io.StringIO]:
    """Whatever any logger says down to DEBUG, as plain text and as JSON, SQL and its parameters included."""
    text = io.StringIO()
    loggers = [logging.getLogger(name) for name in ("", "django", "django.db.backends", "auth")]
    levels = [logger.level for logger in loggers]
    handlers = [logging.StreamHandler(text), logging.StreamHandler(text)]
    handlers[1].addFilter(RequestFields())
    handlers[1].setFormatter(JsonFormatter())
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    for handler in handlers:
        loggers[0].addHandler(handler)
    with CaptureQueriesContext(connection):  # logs as with DEBUG
        yield text
    for handler in handlers:
        loggers[0].removeHandler(handler)
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The arguments of what is done later, as a queue would hold them."""
    queue: list[str] = []
    defer = outbox.defer

    def deferred(job: Callable[..., None], **arguments: Any) -> None:
        queue.append(json.dumps(arguments))
        defer(job, **arguments)

    monkeypatch.setattr(outbox, "defer", deferred)
    return queue


@pytest.fixture
def proof(db: Any) -> dict[str, str]:
    """What lets a request by cookie pass."""
    if policy.TOKEN_DELIVERY == "header":
        return {}
    return {"X-CSRF-Token": Api(delivery="header").fetch_csrf(), "X-Token-Delivery": "cookie"}


def send_canaries(method: str, path: str, proof: dict[str, str]) -> None:
    """Send the canary wherever a secret may stand: body, header, cookies."""
    body = {**dict.fromkeys(FIELDS.split(), CANARY), "email": registration()["email"], "uid": "1"}
    body["username"] = body["email"].partition("@")[0]
    plain, spaceless = json.dumps(body).encode(), CANARY.replace(" ", "-")
    headers = {"Authorization": f"{policy.AUTH_HEADER_TYPE} {spaceless}", "X-CSRF-Token": spaceless}
    cookies = "; ".join(
        f"{name}={spaceless}"
        for name in ("access", cookie_name("access"), cookie_name("refresh"), "csrftoken")
    )
    where = path.strip("`").replace("<uuid:pk>", str(uuid.uuid4()))
    for extra in ({}, headers, {**headers, "Cookie": cookies, "X-Token-Delivery": "cookie"}, proof):
        Api(delivery="header").request(method, where, plain, **extra)
    Api(delivery="header").request(method, where, plain[:-1], **headers)


def trail() -> str:
    return json.dumps(list(AuditEvent.objects.values()), default=str)


def sightings(text: str) -> list[str]:
    return [line for line in text.splitlines() if "canary" in line.lower()]


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=" ".join)
def test_a_secret_that_was_sent_is_found_nowhere(
    endpoint: tuple[str, str],
    everything_logged: io.StringIO,
    jobs: list[str],
    proof: dict[str, str],
) -> None:
    """LOG-02: not in the logs, SQL of DEBUG included, nor on the trail, nor in the queue."""
    send_canaries(*endpoint, proof)
    logging.getLogger("django.db.backends").debug("seen")
    assert "seen" in everything_logged.getvalue()
    assert sightings(everything_logged.getvalue()) == []
    assert sightings(trail()) == []
    assert sightings("\n".join(jobs)) == []


@pytest.mark.slow
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=" ".join)
def test_a_secret_that_was_sent_is_in_no_report(
    endpoint: tuple[str, str],
    everything_logged: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
    proof: dict[str, str],
) -> None:
    """LOG-02, PRV-05: a defect in serializer, renderer and middleware: its report, text and HTML, and its line."""
    reports: list[str] = []

    def report(request: Any, **kwargs: Any) -> None:
        kind, error, traceback = sys.exc_info()
        reporter = ExceptionReporter(request, kind, error, traceback, is_email=True)
        reports.extend([reporter.get_traceback_text(), reporter.get_traceback_html()])

    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("a defect")

    got_request_exception.connect(report)
    for target in (
        "rest_framework.serializers.Serializer.to_internal_value",  # the body is a variable there
        "rest_framework.renderers.JSONRenderer.render",
        "django.middleware.clickjacking.XFrameOptionsMiddleware.process_response",
    ):
        monkeypatch.setattr(target, fail)
    try:
        send_canaries(*endpoint, proof)
    finally:
        got_request_exception.disconnect(report)
    assert reports
    assert all("a defect" in text for text in reports)
    assert sightings("\n".join(reports)) == []
    assert sightings(everything_logged.getvalue()) == []


@pytest.mark.parametrize("delivery", DELIVERIES[policy.TOKEN_DELIVERY])
def test_the_secrets_of_a_life_are_found_nowhere(
    delivery: str,
    monkeypatch: pytest.MonkeyPatch,
    account: Account,
    mailbox: list[Any],
    clock: Any,
    settings: Any,
    everything_logged: io.StringIO,
    jobs: list[str],
) -> None:
    """LOG-02: passwords, tokens, cookies, proofs, links and keys that were really given out."""
    monkeypatch.setattr(Api, "default_delivery", delivery)
    kept = Secrets(settings)
    walk(Api(), account, kept, clock, mailbox)
    for message in mailbox:
        if "#" in message.body:
            secret = link_secrets(message)
            kept.found |= {value for name, value in secret.items() if name in ("key", "token")}
    if policy.TOKEN_DELIVERY != "header":
        kept.found.add(Api(delivery="header").fetch_csrf())
    assert len(kept.found) > 15
    assert jobs
    assert kept.within(everything_logged.getvalue()) == set()
    assert kept.within(trail()) == set()
    assert kept.within("\n".join(jobs)) == set()
    assert "authn_password_reset" in trail()


def test_the_password_of_an_administrator_is_found_nowhere(
    make_account: Callable[..., Account], everything_logged: io.StringIO
) -> None:
    """LOG-02: nor what is typed into the admin's form."""
    browser = Client()
    for name in (make_account(is_staff=True).user.username or "a@b.de", CANARY):
        browser.post(reverse("admin:login"), {"username": name, "password": CANARY})
    assert sightings(trail()) == []
    lines = everything_logged.getvalue()
    # Whoever turns SQL logging on sees the name that was looked for; production cannot.
    assert sightings("\n".join(line for line in lines.splitlines() if "SELECT" not in line)) == []
