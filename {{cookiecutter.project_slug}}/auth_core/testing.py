"""The pytest plugin of this project: an API client over the real URLs, accounts, a mailbox, a clock.

With CONTRACT_BASE_URL set, the client talks to that server instead, as the account that
CONTRACT_NAME and CONTRACT_PASSWORD name; tests that need inside access, to its database say, are
skipped. Where the server's limits refuse a request, the client waits for up to a minute; a test
that would have to wait for longer is skipped.
"""

import base64
import datetime
import http.client
import json
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from http.cookies import SimpleCookie
from inspect import signature
from types import SimpleNamespace
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

import pytest
import time_machine
from allauth.account.models import EmailAddress
from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.core import mail
from django.db import connection, connections
from django.test import Client, TestCase, override_settings
from django.test.client import ClientHandler
from django.urls import Resolver404, resolve, reverse
from drf_spectacular.generators import SchemaGenerator

from auth_core import env, policy
from auth_core.http.errors import all_codes
from auth_core.throttling.models import Counter

# None of a known breach: a deployed server may ask.
PASSWORD = "seven otters juggle lanterns"
OTHER_PASSWORD = "four wholly different words"
# Codes of gates that only tests have.
MADE_UP = {"not_today"}
BASE_URL = os.environ.get("CONTRACT_BASE_URL", "").rstrip("/")
# The longest that a client of a server elsewhere waits for a limit, in seconds.
PATIENCE_SECONDS = 60
NEEDS_INSIDE = "needs inside access; a server elsewhere is tested"
DELIVERIES = {"header": ["header"], "cookie": ["cookie"], "both": ["header", "cookie"]}
# Fixtures that reach into the process; a running server elsewhere has none of them.
INSIDE = {
    "caplog",
    "clock",
    "django_assert_max_num_queries",
    "django_assert_num_queries",
    "mailbox",
    "make_account",
    "monkeypatch",
    "other_account",
    "settings",
    "transactional_db",
}


def cookie_name(kind: str) -> str:
    """Return the name of a token cookie, "access" or "refresh", of this project."""
    prefix = "__Host-" if BASE_URL.startswith("https:") or django_settings.PRODUCTION else ""
    return f"{prefix}{policy.PROJECT_SLUG}-{kind}"


@dataclass
class Answer:
    status: int
    body: Any
    headers: dict[str, str]
    cookies: Any = None

    @property
    def code(self) -> str | None:
        """The machine-readable reason of a refusal."""
        return self.body.get("code") if isinstance(self.body, dict) else None


@dataclass
class Api:
    """A client of the API: speaks JSON, holds at most one session, by header or by cookies."""

    access: str | None = None
    refresh: str | None = None
    csrf: str | None = None
    delivery: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    # What a client uses that was not told otherwise; a fixture runs each test with every one.
    default_delivery: ClassVar[str] = "header"

    def __post_init__(self) -> None:
        self.delivery = self.delivery or self.default_delivery

    @property
    def by_cookie(self) -> bool:
        return self.delivery == "cookie"

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send one request; a path without a slash is the name of a URL.

        A body of bytes is sent as it is, anything else as JSON. A header named `content_type`
        replaces the one of JSON; an empty value leaves a header out. REMOTE_ADDR is the peer's address.
        """
        url = path if path.startswith("/") else reverse(path)
        sent = {**self._session_headers(), **self.headers, **headers}
        content_type = sent.pop("content_type", "application/json")
        sent = {name: value for name, value in sent.items() if value}
        data = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        send = _send_to_server if BASE_URL else _send_in_process
        return send(method, url, data, content_type, sent)

    def _session_headers(self) -> dict[str, str]:
        if not self.by_cookie:
            return (
                {"Authorization": f"{policy.AUTH_HEADER_TYPE} {self.access}"} if self.access else {}
            )
        pairs = [("access", self.access), ("refresh", self.refresh)]
        cookies = "; ".join(f"{cookie_name(kind)}={value}" for kind, value in pairs if value)
        return {
            "Cookie": cookies,
            "X-CSRF-Token": self.csrf or self.fetch_csrf(cookies),
            "X-Token-Delivery": "cookie",
        }

    def fetch_csrf(self, cookies: str = "") -> str:
        client = Api(delivery="header", headers={**self.headers, "Cookie": cookies})
        return str(client.get("csrf").body["csrf_token"])

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.request("POST", path, {} if body is None else body, **headers)

    def patch(self, path: str, body: Any, **headers: str) -> Answer:
        return self.request("PATCH", path, body, **headers)

    def put(self, path: str, body: Any, **headers: str) -> Answer:
        return self.request("PUT", path, body, **headers)

    def delete(self, path: str, **headers: str) -> Answer:
        return self.request("DELETE", path, **headers)

    def with_tokens_of(self, answer: Answer) -> "Api":
        """Return a client of the session whose pair an answer carries, whichever way."""
        if not self.by_cookie:
            return replace(self, access=answer.body["access"], refresh=answer.body["refresh"])
        jar = {name.rpartition("-")[2]: morsel.value for name, morsel in answer.cookies.items()}
        return replace(
            self, access=jar["access"], refresh=jar["refresh"], csrf=answer.body["csrf_token"]
        )

    def send_refresh(self, token: str | None = None) -> Answer:
        """Refresh with the own refresh token or another one, whichever way tokens travel here."""
        token = self.refresh if token is None else token
        if self.by_cookie:
            return replace(self, refresh=token).post("token_refresh")
        return replace(self, access=None).post("token_refresh", {"refresh": token})

    def refreshed(self) -> "Api":
        """Refresh; return a client with the next pair."""
        answer = self.send_refresh()
        assert answer.status == 200, answer.body
        return self.with_tokens_of(answer)

    @property
    def is_alive(self) -> bool:
        return self.get("rest_user_details").status == 200


@lru_cache(maxsize=2)
def _handler(settings: Any) -> ClientHandler:
    """Make the middleware once for the same settings, as a server does."""
    return ClientHandler(enforce_csrf_checks=False)


def _send_in_process(
    method: str, url: str, data: bytes, content_type: str, headers: dict[str, str]
) -> Answer:
    client = Client(raise_request_exception=False)
    client.handler = _handler(django_settings.__dict__["_wrapped"])
    peer = headers.pop("REMOTE_ADDR", "127.0.0.1")
    # In a test's transaction nothing is ever committed: run what waits for that.
    with TestCase.captureOnCommitCallbacks(execute=True):
        response = client.generic(
            method, url, data, content_type=content_type, headers=headers, REMOTE_ADDR=peer
        )
    content = b"".join(response) if response.streaming else response.content
    answer = _answer(response.status_code, content, dict(response.items()), response.cookies)
    assert_documented(method, urlsplit(url).path, answer)
    return answer


def _operation(method: str, path: str) -> dict[str, Any] | None:
    try:
        match = resolve(path)
    except Resolver404:
        return None
    module = match.func.__module__
    if not module.startswith("auth_core.") or ".test" in module:
        return None
    # As drf-spectacular names them.
    route = re.sub(r"<(?:[a-z]+:)?([a-z_]+)>", r"{\1}", match.route).replace("{pk}", "{id}")
    found: dict[str, Any] | None = document()["paths"].get(f"/{route}", {}).get(method.lower())
    return found


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document of this project."""
    made: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return made


def assert_documented(method: str, path: str, answer: Answer) -> None:
    """Demand that the document tells the refusal of an operation of auth_core, with every code in it."""
    operation = _operation(method, path)
    # What a test breaks on purpose is 500 and nobody's promise.
    if operation is None or answer.status < 400 or answer.status == 500:
        return
    told = operation["responses"].get(str(answer.status))
    where = f"{operation['operationId']} answers {answer.status} {answer.code}"
    assert told, f"{where}: the document has no such status"
    component = told["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    known = document()["components"]["schemas"][component]["properties"]["code"]["enum"]
    met = {str(answer.code), *all_codes(answer.body.get("codes", []))} - MADE_UP
    assert met <= {*known}, f"{where}: the document lacks {sorted(met - {*known})}"


def _send_to_server(*request: Any) -> Answer:
    """Send a request; where the server's limits refuse it, wait and send it again."""
    while (answer := _exchange(*request)).status == 429:
        seconds = int(answer.headers["Retry-After"])
        if seconds > PATIENCE_SECONDS:
            pytest.skip(reason=f"the server's limits (RATE_LIMITS) ask to wait for {seconds} s")
        time.sleep(seconds)
    return answer


def _exchange(
    method: str, url: str, data: bytes, content_type: str, headers: dict[str, str]
) -> Answer:
    base = urlsplit(BASE_URL)
    kind = http.client.HTTPSConnection if base.scheme == "https" else http.client.HTTPConnection
    connection = kind(base.netloc, timeout=30)
    try:
        connection.request(method, base.path + url, data, {**headers, "Content-Type": content_type})
        response = connection.getresponse()
        cookies: SimpleCookie = SimpleCookie()
        for value in response.headers.get_all("Set-Cookie") or []:
            cookies.load(value)
        return _answer(response.status, response.read(), dict(response.headers), cookies)
    finally:
        connection.close()


def _answer(status: int, content: bytes, headers: dict[str, str], cookies: Any) -> Answer:
    is_json = "json" in headers.get("Content-Type", "") and content
    return Answer(status, json.loads(content) if is_json else content, headers, cookies)


def at_once(*jobs: Callable[[], Any]) -> list[Any]:
    """Run the jobs in threads that start together, each with a database connection; return their results."""
    start = threading.Barrier(len(jobs))

    def run(job: Callable[[], Any]) -> Any:
        start.wait()
        try:
            return job()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))


@dataclass
class Account:
    """A registered user as its owner knows it."""

    user: Any
    password: str = PASSWORD

    @property
    def credentials(self) -> dict[str, str]:
        """The body of a login, by what the policy has people log in with."""
        name = "email" if policy.LOGIN_WITH == "email" else "username"
        return {name: getattr(self.user, name), "password": self.password}

    def log_in(self, delivery: str = "", **headers: str) -> Api:
        """Log in; return a client that holds the session."""
        client = Api(delivery=delivery)
        answer = client.post("rest_login", self.credentials, **headers)
        assert answer.status == 200, answer.body
        return client.with_tokens_of(answer)


def registration(**changes: Any) -> dict[str, Any]:
    """A body for the registration of somebody new, of the fields that the policy asks for."""
    name = f"u{secrets.token_hex(5)}"
    body = {"email": f"{name}@example.com", "password1": PASSWORD, "password2": PASSWORD}
    if policy.LOGIN_WITH != "email":
        body["username"] = name
    return {**body, **changes}


def stops_the_start(label: str) -> bool:
    """Say whether the settings keep an application of Django, by its label, from starting."""
    try:
        apps.get_app_config(label).ready()
    except env.Misconfigured:
        return True
    return False


def forget_uses() -> None:
    """Let the limits begin anew; those of a server elsewhere are waited for."""
    if BASE_URL:
        return
    Counter.objects.all().delete()


def outbox_is(backend: str) -> override_settings:
    """Have mails go through another backend of Django Tasks."""
    default = {**django_settings.TASKS["default"], "BACKEND": backend}
    return override_settings(TASKS={**django_settings.TASKS, "default": default})


def link_secrets(message: Any) -> dict[str, str]:
    """What the fragment of the link in a mail carries."""
    link = re.search(r"https?://\S+#\S+", message.body)
    assert link, message.body
    return dict(parse_qsl(urlsplit(link.group()).fragment))


def claims_of(token: str | None) -> dict[str, Any]:
    """The claims of a token, unverified."""
    return _part(token, 1)


def header_of(token: str | None) -> dict[str, Any]:
    return _part(token, 0)


def _part(token: str | None, number: int) -> dict[str, Any]:
    assert token
    text = token.split(".")[number]
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return decoded


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "inside: needs access to the process, its database or clock")
    config.addinivalue_line("markers", "slow: starts servers, floods, measures time, or asks much")


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    if not BASE_URL:
        return
    skip = pytest.mark.skip(reason=NEEDS_INSIDE)
    for item in items:
        # pytest-django itself asks for monkeypatch, in every test.
        asked_for = {*item.fixturenames} - {"monkeypatch"} | {*signature(item.function).parameters}
        if item.get_closest_marker("inside") or INSIDE & asked_for:
            item.add_marker(skip)
        # The database here is not the server's: no test may touch it (see `db` below).
        for node in item.listchain():
            node.own_markers[:] = [it for it in node.own_markers if it.name != "django_db"]


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> Generator[None, object, object]:
    """Skip what turns out to need the database of a server elsewhere."""
    try:
        return (yield)
    except RuntimeError as error:
        if BASE_URL and str(error).startswith("Database access not allowed"):
            pytest.skip(reason=NEEDS_INSIDE)
        raise


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """Let the tests that commit empty the audit trail after them: on SQLite that is a DELETE."""
    with django_db_blocker.unblock():
        if connection.vendor == "sqlite":
            with connection.cursor() as cursor:
                cursor.execute("DROP TRIGGER IF EXISTS auth_audit_no_delete")


if BASE_URL:

    @pytest.fixture
    def db() -> None:
        """Stand in for pytest-django's, which would let a test into the database here."""


@pytest.fixture(autouse=True, params=DELIVERIES[policy.TOKEN_DELIVERY])
def _delivery(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Api, "default_delivery", request.param)
        yield


@pytest.fixture(scope="session", autouse=True)
def _fast() -> Iterator[None]:
    # The real hash takes 50 ms; its parameters have tests of their own.
    fast = "django.contrib.auth.hashers.MD5PasswordHasher"
    # Mails are sent at once, also where the team took the outbox in development.
    with (
        override_settings(PASSWORD_HASHERS=[fast, *django_settings.PASSWORD_HASHERS]),
        outbox_is(django_settings.IMMEDIATE_BACKEND),
    ):
        yield


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def make_account(db: Any) -> Callable[..., Account]:
    """Make users with a verified address, as if they had registered and followed the link."""

    def make(*, verified: bool = True, **fields: Any) -> Account:
        body = registration()
        names = {"username": body.get("username"), "email": body["email"]}
        user = get_user_model().objects.create_user(**{**names, "password": PASSWORD, **fields})
        if user.email:
            EmailAddress.objects.create(
                user=user, email=user.email, primary=True, verified=verified
            )
        return Account(user)

    return make


@pytest.fixture
def account(request: pytest.FixtureRequest, db: Any) -> Account:
    if not BASE_URL:
        made: Account = request.getfixturevalue("make_account")()
        return made
    name, password = os.environ.get("CONTRACT_NAME"), os.environ.get("CONTRACT_PASSWORD")
    if not name or not password:
        pytest.skip(reason="CONTRACT_NAME and CONTRACT_PASSWORD name no account of that server")
    return _account_elsewhere(name, password)


@cache
def _account_elsewhere(name: str, password: str) -> Account:
    account = Account(SimpleNamespace(username=name, email=name), password)
    details = account.log_in().get("rest_user_details").body
    return replace(account, user=SimpleNamespace(**details))


@pytest.fixture
def other_account(make_account: Callable[..., Account]) -> Account:
    return make_account()


@pytest.fixture
def mailbox() -> list[Any]:
    """Mails sent so far in this test."""
    return mail.outbox


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """A clock that stands until the test moves it: `clock.shift(seconds)`."""
    with time_machine.travel(datetime.datetime.now(datetime.UTC), tick=False) as traveller:
        yield traveller
