"""The pytest plugin of this project: an API client over the real URLs, accounts, a mailbox, a clock."""

import json
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import time_machine
from allauth.account.models import EmailAddress
from django.contrib.auth import get_user_model
from django.core import mail
from django.core.cache import cache
from django.test import Client, TestCase
from django.urls import reverse

from auth_core import policy

PASSWORD = "correct horse battery staple"
OTHER_PASSWORD = "four wholly different words"


@dataclass
class Answer:
    status: int
    body: Any
    headers: dict[str, str]

    @property
    def code(self) -> str | None:
        """The machine-readable reason of a refusal."""
        return self.body.get("code") if isinstance(self.body, dict) else None


@dataclass
class Api:
    """Speaks JSON with the project through its URLs, as a client with at most one access token."""

    token: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send one request; a path without a slash is the name of a URL."""
        client = Client(raise_request_exception=False)
        sent = {**self.headers, **headers}
        if self.token:
            sent.setdefault("Authorization", f"{policy.AUTH_HEADER_TYPE} {self.token}")
        data = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        # In a test's transaction nothing is ever committed: run what waits for that.
        with TestCase.captureOnCommitCallbacks(execute=True):
            response = client.generic(
                method,
                path if path.startswith("/") else reverse(path),
                data,
                content_type=sent.pop("content_type", "application/json"),
                headers=sent,
            )
        is_json = "json" in response.get("Content-Type", "")
        content = json.loads(response.content) if is_json and response.content else response.content
        return Answer(response.status_code, content, dict(response.items()))

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.request("POST", path, {} if body is None else body, **headers)

    def patch(self, path: str, body: Any, **headers: str) -> Answer:
        return self.request("PATCH", path, body, **headers)

    def put(self, path: str, body: Any, **headers: str) -> Answer:
        return self.request("PUT", path, body, **headers)


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

    def log_in(self, **headers: str) -> tuple[Api, dict[str, Any]]:
        """Log in; return a client with the access token, and the whole answer."""
        answer = Api().post("rest_login", self.credentials, **headers)
        assert answer.status == 200, answer.body
        return Api(answer.body["access"]), answer.body


def registration(**changes: Any) -> dict[str, Any]:
    """A body for the registration of somebody new, of the fields that the policy asks for."""
    name = f"u{secrets.token_hex(5)}"
    body = {"email": f"{name}@example.com", "password1": PASSWORD, "password2": PASSWORD}
    if policy.LOGIN_WITH != "email":
        body["username"] = name
    return {**body, **changes}


def link_secrets(message: Any) -> dict[str, str]:
    """What the fragment of the link in a mail carries."""
    link = re.search(r"https?://\S+#\S+", message.body)
    assert link, message.body
    return dict(parse_qsl(urlsplit(link.group()).fragment))


@pytest.fixture(autouse=True)
def _fast_and_clean(settings: Any) -> None:
    # The real hash takes 50 ms; its parameters have tests of their own.
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.MD5PasswordHasher",
        *settings.PASSWORD_HASHERS,
    ]
    cache.clear()


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def make_account(db: Any) -> Callable[..., Account]:
    """Make users with a verified address, as if they had registered and followed the link."""

    def make(*, verified: bool = True, **fields: Any) -> Account:
        body = registration()
        user = get_user_model().objects.create_user(
            **{
                "username": body.get("username"),
                "email": body["email"],
                "password": PASSWORD,
                **fields,
            }
        )
        if user.email:
            EmailAddress.objects.create(
                user=user, email=user.email, primary=True, verified=verified
            )
        return Account(user)

    return make


@pytest.fixture
def account(make_account: Callable[..., Account]) -> Account:
    return make_account()


@pytest.fixture
def mailbox() -> list[Any]:
    """Mails sent so far in this test."""
    return mail.outbox


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """A clock that the test moves: `clock.shift(seconds)`."""
    import datetime

    with time_machine.travel(datetime.datetime.now(datetime.UTC), tick=True) as traveller:
        yield traveller
