"""Starts what is measured: an environment, a database and a server for each of the peers."""

import json
import os
import platform
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import uv
from cookiecutter.main import cookiecutter

from scripts.walk import clean_environment, free_port

ROOT: Final = Path(__file__).resolve().parent.parent
PEERS: Final = Path(__file__).resolve().parent / "peers"
CACHE: Final = ROOT / ".cache" / "benchmarks"
PASSWORD: Final = "correct horse battery staple"  # noqa: S105 - of users who exist for a minute
# Of a role that may create databases.
DATABASE_URL: Final = os.environ.get(
    "DATABASE_URL_FOR_TESTS", "postgresql://postgres@127.0.0.1:5432/postgres"
)
OURS: Final = "ours"
CONNECTIONS_AT_MOST: Final = 18
# Of others: what is started from here on raises it.
LOAD_BEFORE: Final = os.getloadavg()[0]
# A kept connection stays with the worker that took it; of the 16 that wrk opens at once one of two
# workers would now and then take all.
GUNICORN: Final = (
    "-m", "gunicorn", "--bind", "127.0.0.1:{port}", "--worker-connections", "{held}",
)  # fmt: skip
DJANGO: Final = (
    *GUNICORN, "--config", str(PEERS / "common" / "gunicorn.conf.py"),
    "django.core.wsgi:get_wsgi_application()",
)  # fmt: skip
RENDERED: Final = (*GUNICORN, "config.wsgi")
UVICORN: Final = ("-m", "uvicorn", "app:app", "--port", "{port}", "--workers", "2")


class Missing(SystemExit):
    """Ends the run with one line: something that it needs is not on this machine."""


@dataclass(frozen=True)
class Request:
    """A kind of request: METHOD path, and the body with {NAME} and {TOKEN} in it."""

    target: str
    body: str = ""

    @property
    def method(self) -> str:
        """Post what has a body."""
        return "POST" if self.body else "GET"


def names_and(**passwords: str) -> str:
    """Return a body with a user's name."""
    return json.dumps({"username": "{NAME}", **passwords})


LOGIN: Final = names_and(password=PASSWORD)


@dataclass(frozen=True)
class Peer:
    """A project: how it is called, started and asked, and what it does not do that another does."""

    name: str
    label: str
    user: Request
    login: Request
    register: Request
    refresh: Request | None
    # What a faster figure is owed to.
    leaves_out: str
    command: tuple[str, ...] = DJANGO
    scheme: str = "Bearer"
    # The names of the tokens in an answer.
    access: str = "access"
    refreshed: str = "refresh"

    @property
    def folder(self) -> Path:
        """Return where its code is."""
        return CACHE / "project" / "my-api" if self.is_rendered else PEERS / self.name

    @property
    def is_rendered(self) -> bool:
        """Say whether it is the rendered project, however it is set."""
        return self.command is RENDERED

    def request(self, kind: str) -> Request:
        """Return what it is asked for "user" or "refresh"; raises ValueError where it has none."""
        found: Request | None = getattr(self, kind)
        if found is None:
            raise ValueError(f"{self.name} has no {kind}")
        return found

    def options(self, kind: str, tokens: list[str]) -> dict[str, Any]:
        """Return what `load` needs to send tokens: in the header, or to be exchanged."""
        sent = {"scheme": self.scheme} if kind == "user" else {"next": self.refreshed}
        return {"tokens": tokens, **sent}


REGISTRATION: Final = names_and(email="{NAME}@example.com", password=PASSWORD)
TWICE: Final = names_and(email="{NAME}@example.com", password1=PASSWORD, password2=PASSWORD)
STATELESS: Final = "revocation of access tokens"
DEFAULT: Final = Peer(
    OURS, "this template's default project",
    Request("/api/auth/user/"),
    Request("/api/auth/login/", LOGIN),
    Request("/api/auth/registration/", TWICE),
    Request("/api/auth/token/refresh/", '{"refresh": "{TOKEN}"}'),
    "-",
    RENDERED,
)  # fmt: skip
EVERY_PEER: Final = (
    DEFAULT,
    Peer(
        "stock", "dj-rest-auth + simplejwt, stock",
        Request("/auth/user/"),
        Request("/auth/login/", LOGIN),
        Request("/auth/registration/", TWICE),
        Request("/auth/token/refresh/", '{"refresh": "{TOKEN}"}'),
        f"{STATELESS}, reuse detection, throttling, mandatory verification, audit trail",
    ),
    Peer(
        "djoser", "djoser + simplejwt",
        Request("/auth/users/me/"),
        Request("/auth/jwt/create/", LOGIN),
        Request("/auth/users/", REGISTRATION),
        Request("/auth/jwt/refresh/", '{"refresh": "{TOKEN}"}'),
        f"{STATELESS}, reuse detection, throttling, verification, audit trail",
    ),
    Peer(
        "allauth_headless", "allauth headless, its JWT strategy",
        Request("/user/"),
        Request("/_allauth/app/v1/auth/login", LOGIN),
        Request("/_allauth/app/v1/auth/signup", REGISTRATION),
        Request("/_allauth/app/v1/tokens/refresh", '{"refresh_token": "{TOKEN}"}'),
        f"{STATELESS} (by default), reuse detection, throttling (turned off here), audit trail",
        access="access_token", refreshed="refresh_token",
    ),
    Peer(
        "knox", "django-rest-knox",
        Request("/user/"),
        Request("/login/", LOGIN),
        Request("/register/", REGISTRATION),
        None,
        "short-lived tokens (none to refresh), throttling, verification, audit trail; "
        "registration is the project's own",
        scheme="Token", access="token",
    ),
    Peer(
        "ninja", "django-ninja + ninja-jwt",
        Request("/api/user"),
        Request("/api/token/pair", LOGIN),
        Request("/api/register", REGISTRATION),
        Request("/api/token/refresh", '{"refresh": "{TOKEN}"}'),
        f"{STATELESS}, reuse detection, throttling, verification, audit trail; "
        "registration is the project's own",
    ),
    Peer(
        "fastapi_jwt", "FastAPI + SQLModel equivalent",
        Request("/user"),
        Request("/login", LOGIN),
        Request("/register", REGISTRATION),
        Request("/refresh", '{"refresh": "{TOKEN}"}'),
        f"{STATELESS}, reuse detection, throttling, verification, audit trail, rules for passwords",
        UVICORN,
    ),
)  # fmt: skip


def run(*command: str | Path, folder: Path = ROOT, **variables: str) -> str:
    """Run a command to its end and return what it printed; what failed is shown."""
    words = [str(word) for word in command]
    environment = clean_environment(**variables)
    done = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def installed(peer: Peer) -> Path:
    """Return the Python of a peer's environment under .cache, made anew where the pins changed."""
    source = "pyproject.toml" if peer.is_rendered else "requirements.txt"
    wanted = (peer.folder / source).read_text("utf-8")
    environment = CACHE / "environments" / (OURS if peer.is_rendered else peer.name)
    stamp, python = environment / "installed.txt", environment / "bin" / "python"
    if not stamp.exists() or stamp.read_text("utf-8") != wanted:
        tool = uv.find_uv_bin()
        run(tool, "venv", "--quiet", "--clear", "--python", sys.executable, environment)
        requirements = ("--requirements", peer.folder / source)
        run(tool, "pip", "install", "--quiet", "--python", python, *requirements)
        stamp.write_text(wanted, "utf-8")
    return python


def render() -> None:
    """Render the default project, for PostgreSQL."""
    os.environ["TEMPLATE_REGENERATE"] = "1"  # the hooks print nothing
    folder = CACHE / "project"
    shutil.rmtree(folder, ignore_errors=True)
    cookiecutter(
        str(ROOT), no_input=True, output_dir=str(folder), extra_context={"database": "postgresql"}
    )


@dataclass
class Server:
    """A peer that is being served, on its own database."""

    peer: Peer
    python: Path
    variables: dict[str, str]
    # Of its files.
    name: str
    port: int = 0
    process: "subprocess.Popen[bytes] | None" = None
    users: dict[str, int] = field(default_factory=dict)

    def python_run(self, *words: str | Path, **variables: str) -> str:
        """Run its Python in its folder and environment."""
        folder = self.peer.folder
        return run(self.python, *words, folder=folder, **(self.variables | variables))

    def seed(self, prefix: str, count: int, **variables: str) -> None:
        """Make users whose names begin with `prefix`, each verified."""
        own = self.peer.folder / "seed.py"
        script = own if own.exists() else PEERS / "common" / "seed.py"
        self.python_run(script, prefix, str(count), PASSWORD, **variables)
        self.users[prefix] = count

    @contextmanager
    def serving(self, held: int = 0, **variables: str) -> Iterator[None]:
        """Start the server, each worker holding so many connections, and stop it in the end."""
        self.port = free_port()
        held = held or CONNECTIONS_AT_MOST // int(variables.get("WEB_CONCURRENCY", "2"))
        words = [word.format(port=self.port, held=held) for word in self.peer.command]
        log = CACHE / f"{self.name}.log"
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [str(self.python), *words],
                cwd=self.peer.folder,
                env=clean_environment(**(self.variables | variables)),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            self.wait()
            yield
        finally:
            self.process.send_signal(signal.SIGINT)  # at once, where SIGTERM drains first
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def wait(self) -> None:
        """Return once it answers."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                self.ask(self.peer.user)
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise SystemExit(f"{self.peer.name} did not start: see {CACHE / self.name}.log")

    def ask(self, request: Request, name: str = "", token: str = "") -> tuple[int, Any, int]:
        """Send one request; return the status, the body, and how many statements were counted."""
        headers = {
            "Content-Type": "application/json",
            "X-Forwarded-Proto": "https",
            "X-Forwarded-For": "10.0.0.1",
        }
        if token and request is self.peer.user:
            headers["Authorization"] = f"{self.peer.scheme} {token}"
        body = request.body.replace("{NAME}", name).replace("{TOKEN}", token)
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(request.method, request.target, body or None, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        is_json = answer.headers.get_content_type() == "application/json"
        queries = int(answer.headers.get("X-Queries", -1))
        return answer.status, json.loads(text) if is_json and text else text, queries

    def log_in(self, name: str) -> tuple[str, str]:
        """Return an access and a refresh token of a user; empty where there is none to refresh."""
        status, body, _ = self.ask(self.peer.login, name)
        if status != 200:  # noqa: PLR2004
            raise SystemExit(f"{self.peer.name}: a login was answered with {status}: {body}")
        # allauth's stand in an object of their own.
        found = {**body, **body.get("meta", {})}
        return found[self.peer.access], found.get(self.peer.refreshed, "")

    def workers(self) -> list[int]:
        """List the processes that answer."""
        return children(self.process.pid) if self.process else []

    def cpu_seconds(self) -> float:
        """Return the processor time of the workers so far; the database's is not theirs."""
        ticks = 0
        for pid in self.workers():
            fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])  # utime, stime
        return ticks / os.sysconf("SC_CLK_TCK")

    def mebibytes(self) -> float:
        """Return the memory of a worker (its proportional share, PSS), the mean of all."""
        workers = self.workers()
        return sum(map(share, workers)) / len(workers) / 1024


def children(pid: int) -> list[int]:
    """List the workers among what a server has started (uvicorn has a helper, too)."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
    sizes = {int(child): share(int(child)) for child in found}
    return [child for child, size in sizes.items() if size * 2 > max(sizes.values())]


def share(pid: int) -> int:
    """Return a process's proportional share of memory, in KiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def statement(python: Path, url: str, text: str) -> str:
    """Run one statement in a database; return the first column of the last row, or nothing."""
    code = (
        "import psycopg, sys\n"
        "done = psycopg.connect(sys.argv[1], autocommit=True).execute(sys.argv[2])\n"
        "print(done.fetchall()[-1][0] if done.description else '')"
    )
    return run(python, "-c", code, url, text).strip()


@contextmanager
def prepared(peer: Peer, suffix: str = "") -> Iterator[Server]:
    """Install a peer and make its database, which is dropped in the end."""
    python = installed(peer)
    database = f"benchmark_{peer.name}{suffix}_{os.getpid()}"
    statement(python, DATABASE_URL, f'CREATE DATABASE "{database}"')
    url = urlsplit(DATABASE_URL)._replace(path=f"/{database}").geturl()
    folders = f"{peer.folder}{os.pathsep}{PEERS / 'common'}"
    variables = {"DATABASE_URL": url, "SECRET_KEY": secrets.token_urlsafe(64)}
    variables |= {"PYTHONPATH": folders, "DJANGO_SETTINGS_MODULE": "settings"}
    server = Server(peer, python, variables, f"{peer.name}{suffix}")
    try:
        if peer.is_rendered:
            configure(server)
        if peer.command == UVICORN:
            made = "from app import SQLModel, engine; SQLModel.metadata.create_all(engine)"
            server.python_run("-c", made)
        else:
            server.python_run("-m", "django", "migrate", "--verbosity", "0")
        yield server
    finally:
        statement(python, DATABASE_URL, f'DROP DATABASE "{database}" WITH (FORCE)')


def configure(server: Server) -> None:
    """Set the environment of production, behind one proxy; mails become rows of the database."""
    server.variables |= {
        "DJANGO_SETTINGS_MODULE": "rendered_settings",
        "DJANGO_ENV": "production",
        "ALLOWED_HOSTS": "127.0.0.1",
        "TRUSTED_PROXIES": "1",
        "FRONTEND_URL": "https://app.example.com",
        "EMAIL_URL": "smtp://127.0.0.1:25",
    }
    made = server.python_run("-m", "auth_core.secrets_file", "-")
    server.variables |= dict(line.split("=", 1) for line in made.splitlines())


def load(server: Server, request: Request, seconds: float, **options: Any) -> Mapping[str, float]:
    """Let wrk send a kind of request; return its figures, `rate` being successes in a second."""
    wrk = shutil.which("wrk")
    if wrk is None:
        raise Missing("wrk is not installed: apt-get install wrk (or brew install wrk)")
    connections = options.pop("connections", 16)
    tokens = CACHE / f"{server.name}.tokens"
    tokens.write_text("".join(f"{token}\n" for token in options.pop("tokens", ())), "ascii")
    variables = {name.upper(): str(value) for name, value in options.items()}
    variables |= {"METHOD": request.method, "TARGET": request.target, "TOKENS": str(tokens)}
    if request.body:
        variables["BODY"] = request.body
    # A busy machine may answer nothing at all in one second.
    for duration in (seconds, 4 * seconds, 16 * seconds):
        words = (
            wrk, "--threads", "1", "--connections", str(connections),
            "--duration", f"{max(1, duration):.0f}s", "--timeout", "30s",
            "--script", str(Path(__file__).with_name("load.lua")),
            f"http://127.0.0.1:{server.port}",
        )  # fmt: skip
        printed = run_wrk(words, duration, variables)
        line = next(line for line in printed.splitlines() if line.startswith("FIGURES "))
        figures: dict[str, float] = json.loads(line.removeprefix("FIGURES "))
        if figures["requests"]:
            break
    done = figures["requests"] - figures["refused"]
    figures["rate"] = done / (figures["microseconds"] / 1e6)
    # A few of few are no share, and in one second a busy machine answers few.
    tolerated = max(2, 0.01 * figures["requests"]) if seconds > 1 else figures["requests"] - 1
    if figures["refused"] + figures["broken"] > tolerated:
        raise SystemExit(f"{server.peer.name}: {request.target} was refused too often: {figures}")
    return figures


def run_wrk(command: Sequence[str], seconds: float, variables: Mapping[str, str]) -> str:
    """Run wrk, which counts whole seconds; for a part of one it is interrupted, and reports."""
    if seconds >= 1:
        return run(*command, folder=ROOT, **variables)
    process = subprocess.Popen(
        # Until it listens to the signal, it ignores it, and takes its second.
        ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command],
        cwd=ROOT,
        env=clean_environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        printed = process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        printed = process.communicate()[0]
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{printed}")
    return printed


def system() -> str:
    """Name the day, the machine and the Python."""
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores ({platform.machine()}), "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    )


def machine(python: Path) -> str:
    """Name the database, too, and how busy it was before: other work shows in every figure."""
    version = statement(python, DATABASE_URL, "SHOW server_version")
    return f"{system()}, PostgreSQL {version.split()[0]}, load average before {LOAD_BEFORE:.1f}"


def publish(name: str, report: str, folder: Path) -> None:
    """Print a report, and put it into its place in the benchmarks.md of a folder."""
    print(report)
    folder.mkdir(parents=True, exist_ok=True)
    document = folder / "benchmarks.md"
    begin, end = f"<!-- {name}: written by the command -->", f"<!-- end of {name} -->"
    text = document.read_text("utf-8") if document.exists() else f"{begin}\n{end}\n"
    before, _, rest = text.partition(begin)
    after = rest.partition(end)[2]
    document.write_text(f"{before}{begin}\n\n{report}\n\n{end}{after}", "utf-8")
