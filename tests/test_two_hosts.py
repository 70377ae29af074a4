"""Two application hosts on one PostgreSQL: what one knows the other knows; they may restart."""

import json
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.client import HTTPException
from itertools import count, cycle
from pathlib import Path
from typing import Any

import pytest

from scripts.walk import JSON, PASSWORD, Client, clean_environment, free_port, serving
from tests.project import Bake

pytestmark = pytest.mark.slow

PROXIED = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7"}
LOGIN, USER, REFRESH = "/api/auth/login/", "/api/auth/user/", "/api/auth/token/refresh/"
# How often what stands in front asks whether a host is ready.
POLL_SECONDS = 0.1
FAILED_LOGINS_A_MINUTE = 20
# A session may be refreshed sixty times a minute.
PAUSE_SECONDS = 1.1


@dataclass
class Host:
    """A copy of the project, served by gunicorn."""

    folder: Path
    command: list[str]
    variables: dict[str, str]
    port: int = field(default_factory=free_port)
    stack: ExitStack = field(default_factory=ExitStack)

    @property
    def client(self) -> Client:
        return Client(f"http://127.0.0.1:{self.port}", headers=PROXIED)

    def start(self) -> None:
        command = [*self.command, "--bind", f"127.0.0.1:{self.port}"]
        environment = clean_environment(**self.variables)
        self.stack.enter_context(serving(command, self.folder, environment, self.port))

    def stop(self) -> None:
        self.stack.close()

    def ask(self, method: str, path: str, body: Any = None, access: str = "") -> tuple[int, Any]:
        headers = dict(PROXIED) | ({"Authorization": f"Bearer {access}"} if access else {})
        content = None if body is None else json.dumps(body)
        return self.client.exchange(method, path, headers | {"Content-Type": JSON}, content)

    def is_ready(self) -> bool:
        try:
            return self.ask("GET", "/health/ready")[0] == 200
        except (OSError, HTTPException):
            return False


@pytest.fixture
def hosts(bake: Bake, home: Path, database: str, tmp_path: Path) -> Iterator[list[Host]]:
    # No test asks a stranger's server for breached passwords.
    project = bake(database="postgresql", email_verification="none", breached_passwords=False)
    project.make(".env", home)
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
    with ExitStack() as stack:
        found = []
        for name in ("one", "other"):
            folder = tmp_path / name
            shutil.copytree(project.path, folder)
            host = Host(folder, gunicorn, variables)
            stack.callback(host.stop)
            host.start()
            found.append(host)
        yield found


def register(host: Host, name: str) -> dict[str, str]:
    body = {"username": name, "email": f"{name}@example.com"}
    body |= {"password1": PASSWORD, "password2": PASSWORD}
    status, tokens = host.ask("POST", "/api/auth/registration/", body)
    assert status == 201, tokens
    return dict(tokens)


def test_what_one_host_ends_the_other_refuses(hosts: list[Host]) -> None:
    """REV-01: at the next request; also what was renewed there."""
    one, other = hosts
    tokens = register(one, "ada")
    assert other.ask("GET", USER, access=tokens["access"])[0] == 200
    status, renewed = other.ask("POST", REFRESH, {"refresh": tokens["refresh"]})
    assert status == 200
    assert one.ask("GET", USER, access=renewed["access"])[0] == 200
    body = {"refresh": renewed["refresh"]}
    assert one.ask("POST", "/api/auth/logout/", body, renewed["access"])[0] == 200
    for access in (tokens["access"], renewed["access"]):
        assert other.ask("GET", USER, access=access)[0] == 401
    assert other.ask("POST", REFRESH, body)[0] == 401


def test_limits_are_shared(hosts: list[Host]) -> None:
    """THR-03: two hosts allow no more guesses than one."""
    if time.time() % 60 > 40:
        time.sleep(20)  # a new minute would forget
    turns = cycle(hosts)
    for number in range(FAILED_LOGINS_A_MINUTE):
        body = {"username": f"nobody{number}", "password": "wrong"}
        assert next(turns).ask("POST", LOGIN, body)[0] == 400
    for host in hosts:
        assert host.ask("POST", LOGIN, {"username": "nobody", "password": "wrong"})[0] == 429


@dataclass
class Balancer:
    """What stands in front: asks who is ready, and sends each request to the next of them."""

    hosts: list[Host]
    ended: threading.Event = field(default_factory=threading.Event)
    requests: "count[int]" = field(default_factory=count)

    def __post_init__(self) -> None:
        self.ready = list(self.hosts)

    def watch(self) -> None:
        while not self.ended.wait(POLL_SECONDS):
            self.ready = [host for host in self.hosts if host.is_ready()] or self.ready

    def ask(self, *request: Any) -> tuple[int, Any]:
        ready = self.ready
        return ready[next(self.requests) % len(ready)].ask(*request)

    def wait_for(self, host: Host) -> None:
        deadline = time.monotonic() + 60
        while host not in self.ready:
            assert time.monotonic() < deadline
            time.sleep(POLL_SECONDS)

    def live(self, tokens: dict[str, str]) -> list[tuple[int, Any]]:
        """Refresh and read, again and again; return what was answered."""
        answers = []
        while not self.ended.wait(PAUSE_SECONDS):
            answers.append(self.ask("POST", REFRESH, {"refresh": tokens["refresh"]}))
            status, body = answers[-1]
            tokens = body if status == 200 else tokens
            answers.append(self.ask("GET", USER, None, tokens["access"]))
        return answers


def test_nobody_notices_that_hosts_restart(hosts: list[Host]) -> None:
    """REL-10: one after the other, behind a balancer that asks /health/ready."""
    balancer = Balancer(hosts)
    users = [register(hosts[0], f"user{number}") for number in range(4)]
    with ThreadPoolExecutor(5) as pool:
        clients = [pool.submit(balancer.live, tokens) for tokens in users]
        watching = pool.submit(balancer.watch)
        try:
            for host in hosts:
                host.stop()
                assert host not in balancer.ready
                host.start()
                balancer.wait_for(host)
        finally:
            balancer.ended.set()
        watching.result()
        answers = [answer for each in clients for answer in each.result()]
    assert [answer for answer in answers if answer[0] != 200] == []
    assert len(answers) > 50
