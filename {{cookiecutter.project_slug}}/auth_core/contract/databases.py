"""Databases that a test may stop, and a production environment that uses one."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from auth_core import policy
from auth_core.contract.processes import PRODUCTION, run
from auth_core.testing import PASSWORD

ROLE = "api"


@dataclass
class SQLite:
    """A file in a folder, which is taken away."""

    folder: Path

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder}/db.sqlite3"

    @contextmanager
    def stopped(self) -> Iterator[None]:
        away = self.folder.rename(f"{self.folder}.away")
        try:
            yield
        finally:
            away.rename(self.folder)


@dataclass
class PostgreSQL:
    """A cluster of its own on a free port of this host."""

    programs: Path
    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"postgresql://{ROLE}:not-asked-for@127.0.0.1:{self.port}/{ROLE}"

    @contextmanager
    def running(self) -> Iterator[None]:
        trusting = ("--auth", "trust", "--username", "postgres")
        self._run("initdb", *trusting, "--no-sync", "--no-locale", "--encoding", "UTF8")
        self._start()
        try:
            self._create_database()
            yield
        finally:
            self._stop()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        self._stop()
        try:
            yield
        finally:
            self._start()

    def _create_database(self) -> None:
        self.execute(f"CREATE ROLE {ROLE} LOGIN", database="postgres")
        self.execute(f"CREATE DATABASE {ROLE} OWNER {ROLE}", database="postgres")

    def _start(self) -> None:
        options = f"-p {self.port} -h 127.0.0.1 -k {self.folder} -F"
        self._run("pg_ctl", "-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def _stop(self) -> None:
        """Stop as a crash does."""
        self._run("pg_ctl", "-w", "-m", "immediate", "stop")

    def execute(self, statement: str, database: str = ROLE) -> None:
        """Run a statement as superuser."""
        place = f"host=127.0.0.1 port={self.port} user=postgres dbname={database}"
        # Not imported above: a project with SQLite does not have it.
        with import_module("psycopg").connect(place, autocommit=True) as connection:
            connection.execute(statement)

    def _run(self, program: str, *arguments: str) -> None:
        # PostgreSQL refuses to run as root.
        user = "postgres" if os.geteuid() == 0 else None
        subprocess.run(  # noqa: S603
            [str(self.programs / program), "-D", str(self.folder / "data"), *arguments],
            cwd=self.folder,
            user=user,
            group=user,
            extra_groups=[] if user else None,
            # Not a pipe: the server would inherit it, and keep it open.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
            timeout=60,
        )


def server_programs() -> Path | None:
    """Find the folder of initdb and pg_ctl, which Debian keeps off the path."""
    if found := shutil.which("initdb"):
        return Path(found).parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


@contextmanager
def postgresql() -> Iterator[PostgreSQL]:
    """Run a PostgreSQL for the test, or skip it."""
    programs = server_programs()
    if programs is None or find_spec("psycopg") is None:
        pytest.skip(reason="no PostgreSQL server (initdb, pg_ctl) or no psycopg on this machine")
    with tempfile.TemporaryDirectory() as name, socket.create_server(("127.0.0.1", 0)) as free:
        cluster = PostgreSQL(programs, Path(name), free.getsockname()[1])
        free.close()
        if os.geteuid() == 0:
            shutil.chown(name, "postgres", "postgres")
        with cluster.running():
            yield cluster


@contextmanager
def stoppable_database(folder: Path) -> Iterator[SQLite | PostgreSQL]:
    """Give a database of the policy's kind."""
    if policy.DATABASE == "postgresql":
        with postgresql() as cluster:
            yield cluster
    else:
        (folder / "database").mkdir()
        yield SQLite(folder / "database")


def production(folder: Path, database_url: str) -> dict[str, str]:
    """The environment of a server on loopback behind one proxy; its mails stay in the folder."""
    return {
        **PRODUCTION,
        "ALLOWED_HOSTS": "127.0.0.1,api.example.com",
        "TRUSTED_PROXIES": "1",
        "DATABASE_URL": database_url,
        "EMAIL_URL": f"file://{folder}/mail",
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }


def in_django(code: str, **variables: str) -> str:
    """Run code in a process of the project; return what it prints."""
    done = run("-c", f"import django\ndjango.setup()\n{code}", **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout


ACCOUNTS = """
from allauth.account.models import EmailAddress
from django.contrib.auth import get_user_model
from auth_core.accounts.hashers import Argon2idHasher
hasher = Argon2idHasher()
hasher.time_cost = {time_cost}
encoded = hasher.encode({password!r}, hasher.salt())
for n in range({count}):
    address = f"user{{n}}@example.com"
    names = {{"email": address, **({{}} if {by_email} else {{"username": f"user{{n}}"}})}}
    user = get_user_model().objects.create(password=encoded, **names)
    EmailAddress.objects.create(user=user, email=address, primary=True, verified=True)
"""


def migrate(variables: dict[str, str]) -> None:
    done = run("manage.py", "migrate", "--verbosity", "0", **variables)
    assert done.returncode == 0, done.stderr


def create_accounts(variables: dict[str, str], count: int, time_cost: int = 2) -> None:
    """Create user0, user1 ... with PASSWORD, whose hash takes `time_cost` passes."""
    by_email = policy.LOGIN_WITH == "email"
    code = ACCOUNTS.format(count=count, time_cost=time_cost, password=PASSWORD, by_email=by_email)
    in_django(code, **variables)


def credentials(number: int, password: str = PASSWORD) -> dict[str, str]:
    """The body of the login of an account of `create_accounts`."""
    if policy.LOGIN_WITH == "email":
        return {"email": f"user{number}@example.com", "password": password}
    return {"username": f"user{number}", "password": password}
