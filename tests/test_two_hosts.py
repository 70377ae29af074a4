"""Two application hosts on one PostgreSQL: what one knows the other knows; they may restart."""

import json
import re
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count, cycle
from pathlib import Path
from typing import Any

import pytest

from scripts.walk import JSON, PASSWORD, Client, clean_environment, free_port, serving
from tests.conftest import a_database
from tests.project import Bake, BakedProject

pytestmark = pytest.mark.slow

PROXIED = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7"}
LOGIN, USER, REFRESH = "/api/auth/login/", "/api/auth/user/", "/api/auth/token/refresh/"
# How often what stands in front asks whether a host is ready.
POLL_SECONDS = 0.1
FAILED_LOGINS_A_MINUTE = 20
# A session may be refreshed sixty times a minute.
PAUSE_SECONDS = 1.1


@dataclass(eq=False)
class Host:
    """A copy of the project, served by gunicorn."""

    project: BakedProject
    command: list[str]
    variables: dict[str, str]
    port: int = field(default_factory=free_port)
    stack: ExitStack = field(default_factory=ExitStack)
    # How many requests a balancer sent here.
    taken: int = 0

    @property
    def client(self) -> Client:
        return self.client_at(PROXIED["X-Forwarded-For"])

    def client_at(self, address: str) -> Client:
        headers = PROXIED | {"X-Forwarded-For": address}
        return Client(f"http://127.0.0.1:{self.port}", headers=headers)

    def start(self) -> None:
        command = [*self.command, "--bind", f"127.0.0.1:{self.port}"]
        environment = clean_environment(**self.variables)
        self.stack.enter_context(serving(command, self.project.path, environment, self.port))

    def stop(self) -> None:
        self.stack.close()

    def is_ready(self) -> bool:
        try:
            return ask(self.client, "GET", "/health/ready")[0] == 200
        except (OSError, HTTPException):
            return False


def ask(
    client: Client, method: str, path: str, body: Any = None, access: str = ""
) -> tuple[int, Any]:
    headers = {**client.headers, "Content-Type": JSON}
    headers |= {"Authorization": f"Bearer {access}"} if access else {}
    return client.exchange(method, path, headers, None if body is None else json.dumps(body))


# For the contract, which logs in more often than anybody may.
NO_LIMITS = """
from auth_core.settings import RATE_LIMITS
RATE_LIMITS = dict.fromkeys(RATE_LIMITS, "1000000/m/ip")
LOGIN_FREE_FAILURES = 1_000_000
"""


@contextmanager
def two_hosts(
    bake: Bake, home: Path, database: str, tmp_path: Path, settings: str = ""
) -> Iterator[list[Host]]:
    """Serve one project twice; both start, and in the end drain, at the same time."""
    # No test asks a stranger's server for breached passwords.
    project = bake(database="postgresql", email_verification="none", breached_passwords=False)
    project.make(".env", home)
    with (project.path / "config" / "settings_team.py").open("a") as team:
        team.write(settings)
    variables = {
        "DJANGO_ENV": "production",
        "DATABASE_URL": database,
        "EMAIL_URL": "smtp://127.0.0.1:25",
        "FRONTEND_URL": "https://app.example.com",
        "ALLOWED_HOSTS": "127.0.0.1",
        "TRUSTED_PROXIES": "1",
    }
    project.manage(home, "migrate", variables=variables)
    gunicorn = [str(home / "bin" / "gunicorn"), "config.wsgi"]
    found = []
    for name in ("one", "other"):
        folder = tmp_path / name
        shutil.copytree(project.path, folder)
        found.append(Host(replace(project, path=folder), gunicorn, variables))
    with ThreadPoolExecutor(len(found)) as pool:
        try:
            list(pool.map(Host.start, found))
            yield found
        finally:
            list(pool.map(Host.stop, found))


@pytest.fixture(scope="module")
def shared(
    bake: Bake, home: Path, postgres: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Host]]:
    """Give two hosts to all tests that want the limits as they are."""
    folder = tmp_path_factory.mktemp("hosts")
    with a_database(postgres, home) as database, two_hosts(bake, home, database, folder) as two:
        yield two


@pytest.fixture
def hosts(shared: list[Host]) -> list[Host]:
    """Give both, running, whatever a test that failed has left behind."""
    for host in shared:
        if not host.is_ready():
            host.stop()
            host.start()
    return shared


@pytest.fixture
def unlimited(bake: Bake, home: Path, database: str, tmp_path: Path) -> Iterator[list[Host]]:
    with two_hosts(bake, home, database, tmp_path, NO_LIMITS) as two:
        yield two


def register(client: Client, name: str) -> dict[str, str]:
    body = {"username": name, "email": f"{name}@example.com"}
    body |= {"password1": PASSWORD, "password2": PASSWORD}
    status, tokens = ask(client, "POST", "/api/auth/registration/", body)
    assert status == 201, tokens
    return dict(tokens)


def test_what_one_host_ends_the_other_refuses(hosts: list[Host]) -> None:
    """REV-01: at the next request; also what was renewed there."""
    one, other = (host.client for host in hosts)
    tokens = register(one, "ada")
    assert ask(other, "GET", USER, access=tokens["access"])[0] == 200
    status, renewed = ask(other, "POST", REFRESH, {"refresh": tokens["refresh"]})
    assert status == 200
    assert ask(one, "GET", USER, access=renewed["access"])[0] == 200
    body = {"refresh": renewed["refresh"]}
    assert ask(one, "POST", "/api/auth/logout/", body, renewed["access"])[0] == 200
    for access in (tokens["access"], renewed["access"]):
        assert ask(other, "GET", USER, access=access)[0] == 401
    assert ask(other, "POST", REFRESH, body)[0] == 401


def test_limits_are_shared(hosts: list[Host]) -> None:
    """THR-03: two hosts allow no more guesses than one."""
    if time.time() % 60 > 40:
        time.sleep(20)  # a new minute would forget
    # From an address of its own: the other tests' clients go on.
    clients = [host.client_at("198.51.100.7") for host in hosts]
    turns = cycle(clients)
    for number in range(FAILED_LOGINS_A_MINUTE):
        body = {"username": f"nobody{number}", "password": "wrong"}
        assert ask(next(turns), "POST", LOGIN, body)[0] == 400
    for client in clients:
        body = {"username": "nobody", "password": "wrong"}
        assert ask(client, "POST", LOGIN, body)[0] == 429


@dataclass
class Balancer:
    """What stands in front: asks who is ready, and sends each request to the next of them."""

    hosts: list[Host]
    ended: threading.Event = field(default_factory=threading.Event)
    turns: "count[int]" = field(default_factory=count)
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.ready = list(self.hosts)

    @contextmanager
    def serving(self) -> Iterator[Client]:
        handler = partial(Forwarding, self)
        server = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        with ThreadPoolExecutor(2) as pool:
            running = [pool.submit(server.serve_forever, 0.05), pool.submit(self.watch)]
            try:
                yield Client(f"http://127.0.0.1:{self.port}")
            finally:
                self.ended.set()
                server.shutdown()
                server.server_close()
            for each in running:
                each.result()

    def watch(self) -> None:
        while not self.ended.wait(POLL_SECONDS):
            self.ready = [host for host in self.hosts if host.is_ready()] or self.ready

    def next(self) -> Host:
        ready = self.ready
        return ready[next(self.turns) % len(ready)]

    def wait_for(self, host: Host) -> None:
        deadline = time.monotonic() + 60
        while host not in self.ready:
            assert time.monotonic() < deadline
            time.sleep(POLL_SECONDS)


class Forwarding(BaseHTTPRequestHandler):
    """A request on its way to a host, over a connection of its own."""

    protocol_version = "HTTP/1.1"

    def __init__(self, balancer: Balancer, *arguments: Any) -> None:
        self.balancer = balancer
        super().__init__(*arguments)

    def forward(self) -> None:
        host = self.balancer.next()
        host.taken += 1
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        connection = HTTPConnection("127.0.0.1", host.port, timeout=60)
        try:
            connection.request(self.command, self.path, content, {**self.headers, **PROXIED})
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in {"connection", "content-length", "transfer-encoding"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def __getattr__(self, name: str) -> Any:
        """Take every method that is there, or is not."""
        if name.startswith("do_"):
            return self.forward
        raise AttributeError(name)

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


def live(client: Client, ended: threading.Event, tokens: dict[str, str]) -> list[tuple[int, Any]]:
    """Refresh and read, again and again; return what was answered."""
    answers = []
    while not ended.wait(PAUSE_SECONDS):
        answers.append(ask(client, "POST", REFRESH, {"refresh": tokens["refresh"]}))
        status, body = answers[-1]
        tokens = body if status == 200 else tokens
        answers.append(ask(client, "GET", USER, access=tokens["access"]))
    return answers


def test_nobody_notices_that_hosts_restart(hosts: list[Host]) -> None:
    """REL-10: one after the other, behind a balancer that asks /health/ready."""
    balancer = Balancer(hosts)
    users = [register(hosts[0].client, f"user{number}") for number in range(4)]
    ended = threading.Event()
    with balancer.serving() as client, ThreadPoolExecutor(len(users)) as pool:
        clients = [pool.submit(live, client, ended, tokens) for tokens in users]
        try:
            for host in hosts:
                host.stop()
                assert host not in balancer.ready
                host.start()
                balancer.wait_for(host)
        finally:
            ended.set()
        answers = [answer for each in clients for answer in each.result()]
    assert [answer for answer in answers if answer[0] != 200] == []
    assert len(answers) > 50


def test_both_keep_the_contract(unlimited: list[Host], home: Path) -> None:
    """`make contract BASE_URL=...`, whose requests reach the one and the other in turns."""
    register(unlimited[0].client, "ada")
    with Balancer(unlimited).serving() as client:
        place = (f"BASE_URL={client.origin}", "NAME=ada", f"PASSWORD={PASSWORD}")
        done = unlimited[0].project.make("contract", home, *place)
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed, done.stdout[-3000:]
    assert int(passed[1]) > 400
    assert all(host.taken > 100 for host in unlimited)
