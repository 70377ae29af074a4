"""Users with a second factor, and the app that makes its codes."""

import base64
import hmac
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from auth_core.testing import Account, Answer, Api

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
        answer = Api().post("rest_login", self.account.credentials, **headers)
        assert answer.status == 200, answer.body
        assert set(answer.body) == {"mfa_required", "ephemeral_token", "factors"}
        return answer.body["ephemeral_token"]

    def log_in(self, clock: Any) -> Api:
        """Log in with a code that was not used before."""
        clock.shift(PERIOD)
        answer = verify(self.pending(), self.app.code())
        assert answer.status == 200, answer.body
        return Api().with_tokens_of(answer)


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
