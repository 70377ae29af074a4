"""Processes of this project in an environment of their own: commands, and servers on a free port."""

import os
import re
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from django.conf import settings
from django.db import connection

from auth_core import features, policy
from auth_core.env import BASE_DIR
from auth_core.sessions.keys import Key

T = TypeVar("T")

# A complete production environment; nothing of it is ever reached.
PRODUCTION = {
    "DJANGO_ENV": "production",
    "SECRET_KEY": secrets.token_urlsafe(64),
    "AUTH_SIGNING_KEYS": str(Key.generate(policy.SIGNING_ALGORITHM)),
    **features.new_secrets(),
    **settings.REQUIRED_IN_PRODUCTION,
    "ALLOWED_HOSTS": "api.example.com",
    "FRONTEND_URL": "https://app.example.com",
    "DATABASE_URL": "sqlite:///var/production.sqlite3"
    if policy.DATABASE == "sqlite"
    else "postgresql://api:not-guessable-at-all@127.0.0.1:1/api",
    "EMAIL_URL": "smtps://user:password@mail.example.com:465",
    "CACHE_URL": "",
    "CORS_ALLOWED_ORIGINS": "",
    "TRUSTED_PROXIES": "0",
    "SECRET_KEY_FALLBACKS": "",
}


def environment(**variables: str) -> dict[str, str]:
    """The environment of a child; an empty value counts as missing, also where .env has one."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**inherited, "PYTHONDONTWRITEBYTECODE": "1", **variables}


def database_url() -> str:
    """The database of the running test, for a child; what is not committed it does not see."""
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{database['NAME']}"
    user, password = quote(database["USER"]), quote(database["PASSWORD"])
    place = f"{database['HOST'] or 'localhost'}:{database['PORT'] or 5432}"
    return f"postgresql://{user}:{password}@{place}/{database['NAME']}"


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `python ARGUMENTS...` in the project."""
    return subprocess.run(  # noqa: S603
        [sys.executable, *arguments],
        cwd=BASE_DIR,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def _started(
    command: list[str], log: Path, variables: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("w") as file:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, *command],
            cwd=BASE_DIR,
            env=environment(**variables),
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(timeout=20)


def wait_until(condition: Callable[[], T], log: Path) -> T:
    """Wait for something that is true, and return it."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(0.05)
    raise TimeoutError(log.read_text())


def _wait_for(log: Path, pattern: str) -> int:
    found = wait_until(lambda: re.search(pattern, log.read_text()), log)
    assert found
    return int(found.group(1))


@contextmanager
def gunicorn(folder: Path, overrides: str = "", **variables: str) -> Iterator[int]:
    """Serve with gunicorn.conf.py, some of its names overridden; yields the port."""
    with gunicorn_process(folder, overrides, **variables) as (_process, port):
        yield port


@contextmanager
def gunicorn_process(
    folder: Path, overrides: str = "", **variables: str
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    log, config = folder / "gunicorn.log", folder / "config.py"
    # No load balancer waits to turn away, unless a test is about that.
    settings = (BASE_DIR / "gunicorn.conf.py").read_text() + "\nDRAIN_SECONDS = 0\n"
    config.write_text(settings + overrides)
    command = ["-m", "gunicorn", "config.wsgi", "--config", str(config), "--bind", "127.0.0.1:0"]
    with _started(command, log, variables) as process:
        port = _wait_for(log, r"Listening at: http://127\.0\.0\.1:(\d+)")
        send(port, request("GET", "/health/live"), timeout=60)  # until a worker is up
        yield process, port


@contextmanager
def runserver(folder: Path, **variables: str) -> Iterator[int]:
    """Serve with Django's own server of development; yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = folder / "runserver.log"
    command = ["-u", "manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"]
    with _started(command, log, variables):
        yield _wait_for(log, r"server at http://127\.0\.0\.1:(\d+)")


@contextmanager
def manage(log: Path, *command: str, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run `manage.py COMMAND...` meanwhile."""
    with _started(["-u", "manage.py", *command], log, variables) as process:
        yield process


def send(port: int, raw: bytes, *, timeout: float = 10) -> bytes:
    """Send bytes as they are; return what comes back until the server closes or falls silent."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        received = b""
        # It may answer and close before it has read everything.
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(raw)
        with suppress(ConnectionResetError):
            while part := connection.recv(65_536):
                received += part
        return received


def request(
    method: str, path: str, body: bytes = b"", *headers: str, host: str = "api.example.com"
) -> bytes:
    """Spell a request; without a header of its length the body has none."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def headers_of(answer: bytes) -> dict[str, str]:
    head = answer.partition(b"\r\n\r\n")[0].decode("latin-1")
    pairs = (line.partition(": ") for line in head.split("\r\n")[1:])
    return {name.lower(): value for name, _, value in pairs}
