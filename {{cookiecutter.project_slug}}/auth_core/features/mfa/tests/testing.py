"""Users with a second factor, and the app that makes its codes."""

import base64
import hmac
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from allauth.account.models import EmailAddress, get_emailconfirmation_model
from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from auth_core import policy
from auth_core.sessions.models import AuthSession
from auth_core.testing import Account, Answer, Api, link_secrets

PERIOD = 30


@dataclass
class App:
    """An authenticator app (RFC 6238)."""

    secret: str

    def code(self, steps: int = 0) -> str:
        """The code of now, or of so many steps later."""
        counter = struct.pack(">Q", int(time.time()) // PERIOD + steps)
        mac = hmac.digest(base64.b32decode(self.secret), counter, "sha1")
        (number,) = struct.unpack_from(">I", mac, mac[-1] & 15)
        return f"{number & 0x7FFFFFFF:010}"[-6:]

    def wrong_code(self) -> str:
        right = {self.code(step) for step in (-1, 0, 1)}
        return next(code for code in (f"{n:06}" for n in range(9)) if code not in right)


@dataclass
class Enrolled:
    """A user who has set up an app, the session that did so, and the recovery codes that were shown."""

    account: Account
    client: Api
    app: App
    recovery_codes: list[str]

    @property
    def user(self) -> Any:
        return self.account.user

    def pending(self, **headers: str) -> str:
        """Log in as far as the password goes; return the token that waits for a code."""
        return pending(self.account, **headers)

    def log_in(self, clock: Any) -> Api:
        """Log in with a code that was not used before."""
        clock.shift(PERIOD)
        answer = verify(self.pending(), self.app.code())
        assert answer.status == 200, answer.body
        return Api().with_tokens_of(answer)


def pending(account: Account, **headers: str) -> str:
    """Log in as far as the password goes; return the token that waits for a second factor."""
    answer = Api().post("rest_login", account.credentials, **headers)
    assert answer.status == 200, answer.body
    assert set(answer.body) == {"mfa_required", "ephemeral_token", "factors"}
    return answer.body["ephemeral_token"]


def verify(token: str, code: str, **headers: str) -> Answer:
    return Api().post("mfa_verify", {"ephemeral_token": token, "code": code}, **headers)


def enrol(account: Account, client: Api | None = None) -> Enrolled:
    client = client or account.log_in()
    begun = client.get("mfa_totp_activate")
    assert begun.status == 200, begun.body
    app = App(begun.body["secret"])
    body = {"activation_token": begun.body["activation_token"], "code": app.code()}
    done = client.post("mfa_totp_activate", body)
    assert done.status == 200, done.body
    return Enrolled(account, client, app, done.body["recovery_codes"])


@pytest.fixture
def enrolled(account: Account, clock: Any) -> Enrolled:
    return enrol(account)


@pytest.fixture
def make_enrolled(make_account: Callable[..., Account], clock: Any) -> Callable[..., Enrolled]:
    return lambda **fields: enrol(make_account(**fields))


# --- What else leads to a token --------------------------------------------------------------


def paths(patterns: Any, before: str = "") -> Iterator[str]:
    """Every path of the URLconf, with its parameters filled in."""
    for pattern in patterns:
        route = str(pattern.pattern)
        for name, converter in pattern.pattern.converters.items():
            kind = type(converter).__name__.removesuffix("Converter").lower()
            value = str(uuid4()) if kind == "uuid" else "1"
            route = route.replace(f"<{kind}:{name}>", value).replace(f"<{name}>", value)
        if isinstance(pattern, URLResolver):
            yield from paths(pattern.url_patterns, before + route)
        elif isinstance(pattern, URLPattern):
            yield f"/{before}{route}"


# Where something else than a second factor proves who it is.
NAMES = [
    "rest_login",
    "reauthenticate",
    "mfa_verify",
    "token_refresh",
    "rest_verify_email",
    "rest_password_reset_confirm",
    "email_change_confirm",
    "email_change_undo",
]
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
SECRETS = {"access", "refresh", "token", "csrf_token", "key"}


def all_that_one_factor_has(account: Account, mailbox: list[Any]) -> dict[str, str]:
    """Return what the password and the mails of an account put into the fields of every endpoint."""
    Api().post("rest_password_reset", {"email": account.user.email})
    AuthSession.objects.all().delete()
    address = EmailAddress.objects.get(user=account.user)
    body = {
        **account.credentials,
        "username": account.user.username,
        "email": account.user.email,
        "key": get_emailconfirmation_model().create(address).key,
        "invitation": "x",
        "old_password": account.password,
        "password1": account.password,
        "password2": account.password,
        # Not another one, which would end what else is tried.
        "new_password1": account.password,
        "new_password2": account.password,
        **link_secrets(mailbox[-1]),
        "ephemeral_token": pending(account),
        "activation_token": "x",
        "refresh": "x",
    }
    if policy.LOGIN_WITH == "email":
        del body["username"]
    return body


def try_every_path(user: Any, body: dict[str, Any]) -> None:
    """Send a body to each path of the project, by each method: nothing of it gives a token of the user."""
    # In one order, since what is tried first may spend what is tried later.
    every, tried = sorted({*paths(get_resolver().url_patterns)}), set()
    # All that the project answers, whatever was chosen: none of what one factor proves is left out.
    assert {reverse(name) for name in NAMES} <= set(every)
    for each in every:
        if settings.ADMIN_PATH and each.startswith(f"/{settings.ADMIN_PATH}/"):
            continue  # a test of its own
        for url in (each, each.rstrip("/"), each.rstrip("/") + "/"):
            for method in METHODS:
                answer = Api().request(method, url or "/", body)
                told = answer.body if isinstance(answer.body, dict) else {}
                if url.endswith("/csrf/"):
                    told = {}  # a token for nobody
                assert not SECRETS & {name for name in told if answer.status < 400}, url
                assert not answer.cookies, url
                assert not AuthSession.objects.filter(user=user.pk).exists(), url
                tried.add(answer.status)
    assert {200, 400, 401, 404, 405} <= tried
