"""PWD: the look-up of breached passwords, against a real server on loopback that plays the range API."""

import hashlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from pwned_passwords_django import api as pwned

from auth_core import policy
from auth_core.audit.lines import JsonFormatter
from auth_core.contract.processes import PRODUCTION, run
from auth_core.features.breached_passwords.validators import (
    DECISION_SECONDS,
    BreachedPasswordValidator,
)
from auth_core.testing import OTHER_PASSWORD, PASSWORD, Account, Api, link_secrets, registration

pytestmark = [pytest.mark.django_db, pytest.mark.inside]

BREACHED = "an unlucky sentence of thirty"
UNTOUCHED = "a sentence that nobody has used"


def sha1(password: str) -> str:
    return hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper()


@dataclass
class RangeApi:
    """Answers as api.pwnedpasswords.com does, and keeps what it was asked."""

    url: str = ""
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    status: int = 200
    body: str = f"{'0' * 35}:3\r\n{sha1(BREACHED)[5:]}:1,234\r\n{'F' * 35}:0\r\n"
    # Seconds before the answer, and between two bytes of it.
    delay: float = 0
    drip: float = 0


@pytest.fixture
def range_api(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[RangeApi]:
    fixture, stopped = RangeApi(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            fixture.asked.append(self.path)
            fixture.headers.append(dict(self.headers.items()))
            stopped.wait(fixture.delay)
            body = fixture.body.encode()
            self.send_response(fixture.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if not fixture.drip:
                self.wfile.write(body)
                return
            for byte in body:
                if stopped.wait(fixture.drip):
                    return
                self.wfile.write(bytes([byte]))
                self.wfile.flush()

        def log_message(self, *args: Any) -> None:
            """Keep the output of the tests clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    fixture.url = f"http://127.0.0.1:{server.server_port}/range/"
    monkeypatch.setattr(pwned.default_client, "api_endpoint", fixture.url)
    settings.CHECK_BREACHED_PASSWORDS = True
    yield fixture
    stopped.set()
    server.shutdown()
    server.server_close()
    thread.join()


def seconds_of(call: Callable[[], Any]) -> tuple[float, Any]:
    begin = time.perf_counter()
    result = call()
    return time.perf_counter() - begin, result


def change(account: Account, new: str) -> Any:
    body = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    return account.log_in().post("rest_password_change", body)


def test_a_breached_password_is_refused_at_the_change(
    range_api: RangeApi, account: Account
) -> None:
    """PWD-07: 400 with code and reason; one that is not on the list passes."""
    refused = change(account, BREACHED)
    assert (refused.status, refused.code) == (400, "password_breached")
    assert "breach" in refused.body["new_password2"][0]
    assert get_user_model().objects.get(pk=account.user.pk).check_password(PASSWORD)
    assert change(account, UNTOUCHED).status == 200


def test_five_digits_of_the_hash_leave(range_api: RangeApi, account: Account) -> None:
    """PWD-07: neither more of the hash, nor the user, nor the password; padding is asked for."""
    assert change(account, BREACHED).status == 400
    assert range_api.asked == [f"/range/{sha1(BREACHED)[:5]}"]
    headers = {name.lower(): value for name, value in range_api.headers[0].items()}
    assert headers["add-padding"] == "true"
    assert set(headers) <= {
        "host",
        "accept",
        "accept-encoding",
        "connection",
        "user-agent",
        "add-padding",
    }
    sent = " ".join(headers.values())
    assert not [word for word in (str(account.user.pk), account.user.email) if word in sent]


def test_padding_is_no_breach(range_api: RangeApi, account: Account) -> None:
    """PWD-07: padded lines have a count of nought, which is not a hit."""
    range_api.body = f"{sha1(UNTOUCHED)[5:]}:0\r\n"
    assert change(account, UNTOUCHED).status == 200


def test_each_spelling_of_a_password_is_found(range_api: RangeApi) -> None:
    """PWD-07: the hash that is asked for is that of NFC, as the stored one is."""
    range_api.body = f"{sha1('Ångström, was: Angstrom')[5:]}:1\r\n"
    with pytest.raises(ValidationError):
        BreachedPasswordValidator().validate("A\u030angstro\u0308m, was: Angstrom")


def test_a_reset_asks_as_well(
    range_api: RangeApi, api: Api, account: Account, mailbox: list[Any]
) -> None:
    """PWD-07: whatever takes a new password runs the same validators."""
    api.post("rest_password_reset", {"email": account.user.email})
    new = {"new_password1": BREACHED, "new_password2": BREACHED}
    answer = api.post("rest_password_reset_confirm", {**link_secrets(mailbox[-1]), **new})
    assert (answer.status, answer.code) == (400, "password_breached")


@pytest.mark.skipif(policy.REGISTRATION != "open", reason="registration is not open by the policy")
def test_a_registration_asks_as_well(range_api: RangeApi, api: Api) -> None:
    """PWD-07: and no account is made."""
    answer = api.post("rest_register", registration(password1=BREACHED, password2=BREACHED))
    assert (answer.status, answer.code) == (400, "password_breached")
    assert not get_user_model().objects.exists()


def test_logging_in_asks_nobody(range_api: RangeApi, account: Account) -> None:
    """PWD-07: a password is looked up when it is chosen, never when it is used."""
    account.log_in()
    assert range_api.asked == []


def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"http://127.0.0.1:{free.getsockname()[1]}/range/"


def is_closed(range_api: RangeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pwned.default_client, "api_endpoint", closed_port())


def has_no_name(range_api: RangeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pwned.default_client, "api_endpoint", "http://nowhere.invalid/range/")


def fails(range_api: RangeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    range_api.status = 503


def moves(range_api: RangeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    range_api.status = 302


def babbles(range_api: RangeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    range_api.body = "<html>a proxy's own page</html>"


def is_slow(range_api: RangeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    range_api.delay = 30


def drips(range_api: RangeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    range_api.drip = 0.3  # every read is in time, all of them take half a minute


FAULTS = [is_closed, has_no_name, fails, moves, babbles, is_slow, drips]


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_without_an_answer_a_password_is_accepted_and_logged(
    fault: Callable[..., None],
    range_api: RangeApi,
    monkeypatch: pytest.MonkeyPatch,
    account: Account,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """PWD-08: decided within a second and a little, one line to count, no password in it."""
    fault(range_api, monkeypatch)
    with caplog.at_level(logging.DEBUG):
        seconds, answer = seconds_of(lambda: change(account, UNTOUCHED))
    assert answer.status == 200
    assert seconds < DECISION_SECONDS + 2
    name = BreachedPasswordValidator.__module__
    lines = [record.getMessage() for record in caplog.records if record.name == name]
    assert len(lines) == 1
    assert lines[0].startswith("Breached passwords: accepted unasked")
    for record in caplog.records:
        line = JsonFormatter().format(record) + str(vars(record))
        assert UNTOUCHED not in line
        assert sha1(UNTOUCHED)[:5] not in line.upper() or record.name.startswith("httpcore")


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_setting_refuses_what_was_not_checked(
    fault: Callable[..., None],
    range_api: RangeApi,
    monkeypatch: pytest.MonkeyPatch,
    account: Account,
    settings: Any,
) -> None:
    """PWD-08: fail-closed answers 400 with a code of its own, as soon."""
    fault(range_api, monkeypatch)
    settings.BREACHED_PASSWORDS_FAIL_CLOSED = True
    seconds, answer = seconds_of(lambda: change(account, UNTOUCHED))
    assert (answer.status, answer.code) == (400, "password_unchecked")
    assert seconds < DECISION_SECONDS + 2
    assert get_user_model().objects.get(pk=account.user.pk).check_password(PASSWORD)


def test_the_own_rules_hold_without_an_answer(
    range_api: RangeApi, monkeypatch: pytest.MonkeyPatch, account: Account
) -> None:
    """PWD-08: a common password is refused whether or not anybody could be asked."""
    is_closed(range_api, monkeypatch)
    answer = change(account, "passwordpassword")
    assert (answer.status, answer.code) == (400, "password_too_common")


@pytest.mark.slow
def test_silent_servers_do_not_pile_up(range_api: RangeApi) -> None:
    """PWD-08: more callers than threads: each is answered in time, and nothing waits for long after."""
    range_api.delay = 30
    validate = BreachedPasswordValidator().validate

    def ask(_: int) -> float:
        return seconds_of(lambda: validate(OTHER_PASSWORD))[0]

    with ThreadPoolExecutor(30) as callers:
        assert max(callers.map(ask, range(30))) < DECISION_SECONDS + 2
    range_api.delay = 0
    time.sleep(DECISION_SECONDS)  # until the threads have given up
    with pytest.raises(ValidationError):
        validate(BREACHED)


@pytest.mark.slow
def test_development_and_tests_ask_nobody(
    monkeypatch: pytest.MonkeyPatch, range_api: RangeApi, account: Account, settings: Any
) -> None:
    """PWD-07: production asks; elsewhere only a setting makes it."""
    show = "from django.conf import settings; print(settings.CHECK_BREACHED_PASSWORDS)"
    variables = {"DJANGO_SETTINGS_MODULE": "config.settings"}
    production = run("-c", show, **{**PRODUCTION, **variables})
    development = run("-c", show, **{**PRODUCTION, **variables, "DJANGO_ENV": "dev"})
    assert [production.stdout, development.stdout] == ["True\n", "False\n"]
    settings.CHECK_BREACHED_PASSWORDS = False
    assert change(account, BREACHED).status == 200
    assert range_api.asked == []


def test_the_policy_endpoint_says_whether_it_asks(api: Api, settings: Any) -> None:
    """PWD-07: so that a form can tell its user."""
    for value in (True, False):
        settings.CHECK_BREACHED_PASSWORDS = value
        assert api.get("password_policy").body["breached_check"] is value
