"""Failures under a real gunicorn in production mode: the database stopped, a server stopped, a flood."""

import json
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from auth_core import policy, testing
from auth_core.contract.databases import (
    PostgreSQL,
    SQLite,
    create_accounts,
    credentials,
    in_django,
    migrate,
    production,
    stoppable_database,
)
from auth_core.contract.processes import gunicorn, gunicorn_process
from auth_core.testing import Answer, Api, registration

pytestmark = [pytest.mark.inside, pytest.mark.slow]

DELIVERY = "cookie" if policy.TOKEN_DELIVERY == "cookie" else "header"


@pytest.fixture(autouse=True)
def _delivery() -> None:
    """Nothing here depends on how tokens travel: once is enough."""


# The hash of a password of the accounts here takes about a second; a login renews it.
TIME_COST = 60
ACCOUNTS = 400
DRAIN_SECONDS = 1


@dataclass
class Place:
    """A database with accounts, and an environment to serve it in."""

    database: SQLite | PostgreSQL
    variables: dict[str, str]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("place")
    with stoppable_database(folder) as database:
        variables = production(folder, database.url)
        migrate(variables)
        create_accounts(variables, ACCOUNTS, TIME_COST)
        yield Place(database, variables)


def client() -> Api:
    """A client behind the proxy, at an address of its own."""
    address = ".".join(str(1 + secrets.randbelow(250)) for _ in range(4))
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": address}
    return Api(delivery=DELIVERY, headers=headers)


@pytest.fixture
def talk_to(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Callable[[int], None]:
    """Have clients talk to the server at a port."""
    settings.PRODUCTION = True  # of which the names of cookies depend

    def talk(port: int) -> None:
        monkeypatch.setattr(testing, "BASE_URL", f"http://127.0.0.1:{port}")

    return talk


@dataclass
class Load:
    """Threads that do one thing each again and again, and keep what was answered, and when."""

    answers: list[tuple[str, float, float, Answer]] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def repeat(self, name: str, act: Callable[[], Answer]) -> None:
        deadline = time.monotonic() + 60
        while not self.ended.wait(0.2) and time.monotonic() < deadline:
            begin = time.monotonic()
            answer = act()
            self.answers.append((name, begin, time.monotonic(), answer))

    def between(self, begin: float, end: float) -> list[tuple[str, float, Answer]]:
        """What was asked and answered in that time, and how long it took."""
        return [(n, b - a, it) for n, a, b, it in [*self.answers] if begin <= a and b <= end]

    def wait_for(self, count: int, kinds: set[str], *, succeeded: bool) -> float:
        """Wait until each kind was asked and answered so often from now on; return since when."""
        begin = time.monotonic()
        while time.monotonic() < begin + 30:
            names = [
                n
                for n, _, it in self.between(begin, time.monotonic())
                if (it.status < 300) == succeeded
            ]
            if all(names.count(kind) >= count for kind in kinds):
                return begin
            time.sleep(0.05)
        raise TimeoutError(
            [(n, it.status, it.body) for n, _, it in self.between(begin, time.monotonic())][-9:]
        )


class Refresher:
    """Refreshes one session; asks again with the same token after a failure."""

    def __init__(self, account: int) -> None:
        answer = client().post("rest_login", credentials(account))
        assert answer.status == 200, answer.body
        self.session = client().with_tokens_of(answer)

    def __call__(self) -> Answer:
        answer = self.session.send_refresh()
        if answer.status == 200:
            self.session = self.session.with_tokens_of(answer)
        return answer


# Defects of every kind, put into the workers.
BROKEN = """
workers = 1

def post_worker_init(worker):
    from unittest.mock import patch

    def fail(*args, **kwargs):
        raise RuntimeError("canary of the inside")

    def fail_at_one_path(self, request):
        if request.path == "/broken":
            fail()

    patch("auth_core.accounts.views.VerifyEmailView.post", fail).start()
    patch("auth_core.accounts.serializers.LoginSerializer.validate", fail).start()
    patch("rest_framework.permissions.IsAuthenticated.has_permission", fail).start()
    patch("django.middleware.common.CommonMiddleware.process_request", fail_at_one_path).start()
"""


def test_a_defect_is_500_and_logged_once(place: Place, tmp_path: Path, talk_to: Any) -> None:
    """REL-05: in a view, a serializer, a permission, middleware: 500 as JSON with the request id only.

    The log has one line with the trace, under the same id.
    """
    defects: list[Callable[[], Answer]] = [
        lambda: client().post("rest_verify_email", {"key": "key"}),
        lambda: client().post("rest_login", credentials(0)),
        lambda: client().get("rest_user_details"),
        lambda: client().get("/broken"),
    ]
    with gunicorn(tmp_path, BROKEN, **place.variables) as port:
        talk_to(port)
        answers = [defect() for defect in defects]
    log = (tmp_path / "gunicorn.log").read_text().splitlines()
    for answer in answers:
        assert (answer.status, answer.code) == (500, "server_error")
        assert answer.headers["Content-Type"] == "application/json"
        assert set(answer.body) == {"detail", "code", "request_id"}
        assert "canary" not in json.dumps(answer.body)
        traces = [line for line in log if "canary" in line and answer.body["request_id"] in line]
        assert len(traces) == 1
        assert "Traceback" in json.loads(traces[0])["exception"]
    assert len([line for line in log if "canary" in line]) == len(defects)


def test_the_database_is_stopped_under_load(place: Place, tmp_path: Path, talk_to: Any) -> None:
    """REL-01: 503 with Retry-After in less than two seconds, ready no, live yes; then all works again.

    Nobody restarts the server, no session is lost, and each account is there with its address and its
    entry on the audit trail, or not at all.
    """
    with gunicorn(tmp_path, **place.variables) as port:
        talk_to(port)
        registered = survive(place.database)
    facts = json.loads(in_django(HALF_MADE, **place.variables))
    assert facts["half-made"] == []
    assert registered <= set(facts["complete"])
    log = (tmp_path / "gunicorn.log").read_text()
    assert '"logger": "django.request", "message": "Internal Server Error' not in log


def survive(database: Any) -> set[str]:
    """Stop the database under load, look, start it, look; return the addresses that were registered."""
    registered: set[str] = set()

    def register() -> Answer:
        body = registration()
        answer = client().post("rest_register", body)
        if answer.status == 201:
            registered.add(body["email"])
        return answer

    acts: dict[str, Callable[[], Answer]] = {
        "log in": lambda: client().post("rest_login", credentials(0)),
        "refresh": Refresher(0),
        "see": (lambda session: lambda: session.get("rest_user_details"))(Refresher(0).session),
    }
    if policy.REGISTRATION == "open":
        acts["register"] = register
    load, kinds = Load(), {*acts}
    with ThreadPoolExecutor(len(acts)) as pool:
        running = [pool.submit(load.repeat, *act) for act in acts.items()]
        try:
            load.wait_for(2, kinds, succeeded=True)
            with database.stopped():
                stopped = load.wait_for(3, kinds, succeeded=False)
                assert_down(load.between(stopped, time.monotonic()))
            load.wait_for(3, kinds, succeeded=True)
        finally:
            load.ended.set()
        for each in running:
            each.result()
    assert client().get("health_ready").status == 200
    statuses = {answer.status for _, _, _, answer in load.answers}
    assert statuses <= {200, 201, 503}, statuses
    return registered


def assert_down(answers: list[tuple[str, float, Answer]]) -> None:
    for name, duration, answer in answers:
        assert (answer.status, answer.code) == (503, "unavailable"), (name, answer.body)
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.headers["Content-Type"] == "application/json"
        assert set(answer.body) == {"detail", "code", "request_id"}
        assert duration < 2
    ready = client().get("health_ready")
    assert (ready.status, ready.code) == (503, "unavailable")
    assert client().get("health_live").body == {"status": "ok"}


HALF_MADE = """
import json
from allauth.account.models import EmailAddress
from django.contrib.auth import get_user_model
from auth_core.accounts.models import Registration
from auth_core.audit.models import AuditEvent
complete, half_made = [], []
for user in get_user_model().objects.exclude(email__startswith="user") | (
    get_user_model().objects.filter(email=None)
):
    registration = Registration.objects.filter(user=user, activated_at=None).first()
    if registration is not None:
        user.email, address = registration.email, True
    else:
        address = EmailAddress.objects.filter(user=user, email=user.email).exists()
    event = AuditEvent.objects.filter(event="user_created", user_id=user.pk).exists()
    (complete if address and event else half_made).append(user.email)
print(json.dumps({"complete": complete, "half-made": half_made}))
"""


def test_a_stopping_server_says_so_and_finishes_its_work(
    place: Place, tmp_path: Path, talk_to: Any
) -> None:
    """REL-10: after SIGTERM ready is 503 while all is served; a login in flight then completes."""
    overrides = f"workers = 1\nDRAIN_SECONDS = {DRAIN_SECONDS}\n"
    with (
        gunicorn_process(tmp_path, overrides, **place.variables) as (process, port),
        ThreadPoolExecutor(1) as pool,
    ):
        talk_to(port)
        assert client().get("health_ready").status == 200
        process.send_signal(signal.SIGTERM)
        begin = time.monotonic()
        while client().get("health_ready").status != 503:
            assert time.monotonic() < begin + 0.5
        assert client().get("health_live").status == 200
        time.sleep(max(0, begin + DRAIN_SECONDS - 0.3 - time.monotonic()))
        in_flight = pool.submit(client().post, "rest_login", credentials(1))
        while "Handling signal: term" not in (tmp_path / "gunicorn.log").read_text():
            assert time.monotonic() < begin + DRAIN_SECONDS + 5
            time.sleep(0.01)
        assert time.monotonic() > begin + DRAIN_SECONDS - 0.1
        assert not in_flight.done()
        assert in_flight.result().status == 200
        assert process.wait(timeout=20) == 0


def test_a_flood_of_logins_leaves_room_for_the_others(
    place: Place, tmp_path: Path, talk_to: Any
) -> None:
    """REL-11: logins for four times the threads, each of its own account and address: others do not wait for a hash.

    Who finds no place to hash is told to come again; nothing is a 500.
    """
    with gunicorn(tmp_path, "workers = 1\n", **place.variables) as port:
        talk_to(port)
        session = Refresher(0).session
        accounts = iter(range(3, ACCOUNTS))
        load, flood = Load(), 4 * 4

        def attack() -> Answer:
            return client().post("rest_login", credentials(next(accounts), "wrong"))

        with ThreadPoolExecutor(flood) as pool:
            running = [pool.submit(load.repeat, "attack", attack) for _ in range(flood)]
            begin = load.wait_for(1, {"attack"}, succeeded=False)
            reads: list[float] = []
            while len(reads) < 5 or not hashed(load, begin):
                before = time.monotonic()
                assert before < begin + 60
                assert session.get("rest_user_details").status == 200
                reads.append(time.monotonic() - before)
            load.ended.set()
            for each in running:
                each.result()
    refused = [answer for _, _, _, answer in load.answers if answer.status == 503]
    assert {answer.status for _, _, _, answer in load.answers} <= {400, 429, 503}
    assert refused
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in refused)
    # Both under the same load, whatever else this machine does.
    assert median(reads) < median(hashed(load, begin)) / 2


def hashed(load: Load, begin: float) -> list[float]:
    """How long the answers took that a password was hashed for."""
    answers = load.between(begin, time.monotonic())
    return [duration for _, duration, answer in answers if answer.status == 400]
