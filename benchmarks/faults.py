"""Whether anything is lost while things fail: `python -m benchmarks.faults --minutes 30`.

Serves the rendered project as in production, with a PostgreSQL, a Redis and a mail server of its
own. Clients log in, refresh, read, write, register and ask for mails, and remember what they were
promised. Meanwhile the database dies twice, Redis and the mail server are away for a while, a
worker is killed, the signing key is replaced, and a release with a migration is deployed and rolled
back. The command fails where a promise was not kept, an answer was wrong, or anything but the
database's absence was noticed.
"""

import argparse
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

from aiosmtpd.controller import Controller
from cookiecutter.main import cookiecutter

from benchmarks.servers import (
    DEFAULT,
    PASSWORD,
    ROOT,
    Missing,
    children,
    installed,
    publish,
    render,
    run,
    share,
    statement,
    system,
)
from scripts.walk import clean_environment, free_port

CLIENTS: Final = 24
# Each client waits between two requests: a session may be refreshed once a second.
PAUSE_SECONDS: Final = 0.3
# How long the database is away; how long after its return a request may still be refused; how long
# a mail may take: one that was begun as the database died waits for the end of its lease (300 s).
AWAY_SECONDS, RECOVERY_SECONDS, MAIL_SECONDS = 10, 4, 420
OK, CREATED, UNAUTHORIZED, UNAVAILABLE = 200, 201, 401, 503
NO_ANSWER: Final = 0
# What becomes of a request. A process hashes one password at a time, and few wait for it.
ANSWERED, AWAY = "answered", "503, no database"
BUSY, KILLED = "503, too many passwords at once", "no answer, worker killed"
TASKS_LEFT = """
SELECT json_agg(task) FROM django_tasks_database_dbtaskresult task WHERE status != 'SUCCESSFUL'
"""
# What a release of the team's brings.
BEFORE_FIELD = "    USERNAME_FIELD ="
FIELD = "    nickname = models.CharField(max_length=40, null=True)\n\n"
NEW_MIGRATION = "0099_nickname.py"
MIGRATION = """
from django.db import migrations, models

class Migration(migrations.Migration):
    dependencies = [("users", "{before}")]
    operations = [
        migrations.AddField("user", "nickname", models.CharField(max_length=40, null=True)),
    ]
"""


class Inbox:
    """Counts what a mail server receives."""

    def __init__(self) -> None:
        self.recipients: Counter[str] = Counter()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: ARG002, N802
        """Take a mail; the name is aiosmtpd's."""
        self.recipients.update(envelope.rcpt_tos)
        return "250 OK"


def mail_server(inbox: Inbox, port: int) -> Controller:
    """Receive mails."""
    controller = Controller(inbox, hostname="127.0.0.1", port=port)
    controller.start()
    return controller


@dataclass
class Cluster:
    """A PostgreSQL that can be stopped as a crash does."""

    folder: Path
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        """Return its URL, in the form of DATABASE_URL."""
        return f"postgresql://postgres:not-asked-for@127.0.0.1:{self.port}/postgres"

    def run(self, program: str, *arguments: str) -> None:
        """Run one of its programs, which refuse to run as root."""
        found = shutil.which(program)
        found = found or str(max(Path("/usr/lib/postgresql").glob(f"*/bin/{program}")))
        user = "postgres" if os.geteuid() == 0 else None
        subprocess.run(
            [found, "-D", str(self.folder / "data"), *arguments],
            user=user, group=user, extra_groups=[] if user else None, cwd=self.folder,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True,
        )  # fmt: skip

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-p {self.port} -h 127.0.0.1 -k {self.folder}"
        self.run("pg_ctl", "-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        """Let it die."""
        self.run("pg_ctl", "-w", "-m", "immediate", "stop")

    @contextmanager
    def running(self) -> Iterator[None]:
        """Make it."""
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        self.run("initdb", "--auth", "trust", "--username", "postgres", "--no-locale", "-E", "UTF8")
        self.start()
        try:
            yield
        finally:
            self.stop()


@dataclass
class Server:
    """The project: gunicorn, the mail worker and what they talk to."""

    project: Path
    python: Path
    variables: dict[str, str]
    port: int = field(default_factory=free_port)
    processes: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    def start(self, *words: str) -> "subprocess.Popen[bytes]":
        """Start a process of the project."""
        log = (self.project / f"{words[-1]}.log").open("ab")
        command, environment = [str(self.python), *words], clean_environment(**self.variables)
        process = subprocess.Popen(
            command, cwd=self.project, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        self.processes.append(process)
        return process

    @contextmanager
    def running(self) -> Iterator[None]:
        """Serve, and mail."""
        gunicorn = ("-m", "gunicorn", "--bind", f"127.0.0.1:{self.port}", "config.wsgi")
        self.gunicorn = self.start(*gunicorn)
        self.start("manage.py", "mailworker")
        try:
            while self.ask("GET", "/health/ready", None)[0] != OK:
                time.sleep(0.1)
            yield
        finally:
            for process in self.processes:
                process.terminate()
            for process in self.processes:
                process.wait(timeout=60)

    def manage(self, *words: str) -> str:
        """Run manage.py."""
        return run(self.python, "manage.py", *words, folder=self.project, **self.variables)

    def ask(
        self, method: str, path: str, body: Any, access: str = "", *, client: str = "10.0.0.1"
    ) -> tuple[int, Any]:
        """Send a request as a proxy does; return the status, NO_ANSWER being one, and the body."""
        headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": client}
        headers |= {"Content-Type": "application/json"} if body else {}
        headers |= {"Authorization": f"Bearer {access}"} if access else {}
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, json.dumps(body) if body else None, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        except (OSError, HTTPException):
            return NO_ANSWER, None
        finally:
            connection.close()
        return answer.status, json.loads(text) if text else None


@dataclass
class Ledger:
    """What was asked and answered, and when what may fail."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    # Times between which no database, or no answer of one worker, was to be had.
    excuses: list[list[float]] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def excused(self) -> Iterator[None]:
        """Let requests fail for a while."""
        window = [time.monotonic(), float("inf")]
        self.excuses.append(window)
        yield
        window[1] = time.monotonic() + RECOVERY_SECONDS

    def note(self, kind: str, began: float, status: int, expected: int, body: Any) -> bool:
        """Keep an answer; say whether it was the expected one."""
        ended = time.monotonic()
        excused = any(began <= end and ended >= start for start, end in self.excuses)
        if status == expected:
            outcome = ANSWERED
        elif status == UNAVAILABLE and excused:
            outcome = AWAY
        elif status == NO_ANSWER and excused:
            outcome = KILLED
        elif status == UNAVAILABLE and kind in {"register", "log in"}:
            outcome = BUSY
        else:
            outcome = "wrong"
            self.wrong.append(f"{kind}: {status} instead of {expected}: {body}")
        with self.lock:
            self.outcomes[kind, outcome] += 1
        return status == expected


@dataclass
class Client:
    """Somebody with an account, who knows what the server promised."""

    server: Server
    ledger: Ledger
    name: str
    # First names of which one must be shown: two where it was not said whether the change was made.
    shown: set[str] = field(default_factory=lambda: {""})
    registered: list[str] = field(default_factory=list)
    mailed: list[str] = field(default_factory=list)
    # Where they registered last: of one network only so many may.
    address: str = ""
    # Whether the last refresh may have been made without its answer having come.
    in_doubt: bool = False

    def ask(self, kind: str, expected: int, *request: Any) -> Any:
        """Ask once; return the body where the answer was the expected one."""
        began = time.monotonic()
        status, body = self.server.ask(*request, client=self.address)
        return body if self.ledger.note(kind, began, status, expected, body) else None

    def insist(self, kind: str, expected: int, *request: Any) -> Any:
        """Ask until it is answered."""
        while (body := self.ask(kind, expected, *request)) is None:
            if self.ledger.wrong:
                raise SystemExit("\n".join(self.ledger.wrong))
            time.sleep(0.2)
        return body

    def register(self, name: str) -> bool:
        """Register somebody; who was answered 201 has an account."""
        body = {"username": name, "email": f"{name}@example.com"}
        body |= {"password1": PASSWORD, "password2": PASSWORD}
        self.address = f"10.{secrets.randbelow(250)}.{secrets.randbelow(250)}.1"
        made = self.ask("register", CREATED, "POST", "/api/auth/registration/", body)
        if made:
            self.registered.append(name)
        return made is not None

    def log_in(self) -> None:
        """Begin a session."""
        body = {"username": self.name, "password": PASSWORD}
        self.tokens = self.insist("log in", OK, "POST", "/api/auth/login/", body)
        self.in_doubt = False

    def refresh(self) -> None:
        """Exchange the token; one whose answer did not come may have been used."""
        body, began = {"refresh": self.tokens["refresh"]}, time.monotonic()
        path = ("POST", "/api/auth/token/refresh/", body)
        status, answer = self.server.ask(*path, client=self.address)
        if status == UNAUTHORIZED and self.in_doubt:
            # Beyond the grace that is a replay, as it must be.
            self.ledger.outcomes["refresh, in doubt", ANSWERED] += 1
            self.log_in()
        elif self.ledger.note("refresh", began, status, OK, answer):
            self.tokens, self.in_doubt = answer, False
        else:
            self.in_doubt = True

    def read(self) -> None:
        """Read what was written."""
        user = self.ask("read", OK, "GET", "/api/auth/user/", None, self.tokens["access"])
        if user and user["first_name"] not in self.shown:
            self.ledger.wrong.append(f"read: {user['first_name']!r}, not one of {self.shown}")

    def write(self) -> None:
        """Write something."""
        text = secrets.token_hex(4)
        body, token = {"first_name": text}, self.tokens["access"]
        written = self.ask("write", OK, "PATCH", "/api/auth/user/", body, token)
        self.shown = {text} if written else {*self.shown, text}

    def log_out(self) -> None:
        """End the session: what ended is refused at once."""
        access, body = self.tokens["access"], {"refresh": self.tokens["refresh"]}
        if self.ask("log out", OK, "POST", "/api/auth/logout/", body, access):
            self.ask("read, logged out", UNAUTHORIZED, "GET", "/api/auth/user/", None, access)
        self.log_in()

    def ask_for_mail(self) -> None:
        """Ask for a mail, of a new account: an address gets few in an hour."""
        name = f"m{secrets.token_hex(6)}"
        if self.register(name):
            body = {"email": f"{name}@example.com"}
            if self.ask("mail", OK, "POST", "/api/auth/password/reset/", body):
                self.mailed.append(name)

    def live(self) -> None:
        """Do all of that, refreshing and reading most often."""
        while not self.register(self.name):
            time.sleep(0.2)
        self.log_in()
        often: list[Callable[[], None]] = [self.refresh, self.read, self.read, self.write]
        for turn in range(sys.maxsize):
            if self.ledger.ended.wait(PAUSE_SECONDS):
                return
            rare = {0: self.log_out, 10: self.ask_for_mail}.get(turn % 40)
            (rare or often[turn % len(often)])()


def replace_signing_key(server: Server) -> None:
    """First have every process know the new key, then sign with it; gunicorn reloads each time."""
    for action in ("add", "sign"):
        newest = server.manage("authkeys", "list").splitlines()[-1].split()[0]
        words = ["add"] if action == "add" else ["sign", newest]
        server.manage("authkeys", *words, "--write", ".env")
        server.gunicorn.send_signal(signal.SIGHUP)
        time.sleep(5)


def release(server: Server) -> None:
    """Deploy a new version of the team's: the migration first, which leaves the old one working."""
    models = server.project / "users" / "models.py"
    before = max(path.stem for path in models.parent.glob("migrations/0*.py"))
    migration = models.parent / "migrations" / NEW_MIGRATION
    migration.write_text(MIGRATION.format(before=before), "utf-8")
    server.manage("migrate", "--noinput")
    source = models.read_text("utf-8")
    models.write_text(source.replace(BEFORE_FIELD, FIELD + BEFORE_FIELD), "utf-8")
    server.manage("makemigrations", "--check")
    server.gunicorn.send_signal(signal.SIGHUP)


def roll_back(server: Server) -> None:
    """Go back to the old version, but not with the tables."""
    models = server.project / "users" / "models.py"
    models.write_text(models.read_text("utf-8").replace(FIELD, ""), "utf-8")
    (models.parent / "migrations" / NEW_MIGRATION).unlink()
    server.gunicorn.send_signal(signal.SIGHUP)


@dataclass
class Run:
    """All that runs, and what is done to it."""

    server: Server
    cluster: Cluster
    inbox: Controller
    minutes: float
    count: int
    redis_port: int
    ledger: Ledger = field(default_factory=Ledger)
    memory: list[int] = field(default_factory=list)

    def start_redis(self) -> None:
        """Start a Redis that keeps nothing."""
        words = ["redis-server", "--port", str(self.redis_port), "--bind", "127.0.0.1"]
        words += ["--save", "", "--appendonly", "no"]
        self.redis = subprocess.Popen(words, stdout=subprocess.DEVNULL)

    def stop_redis(self) -> None:
        """Stop it."""
        self.redis.terminate()
        self.redis.wait()

    def lose_database(self) -> None:
        """Let the database die, and come back."""
        with self.ledger.excused():
            self.cluster.stop()
            time.sleep(AWAY_SECONDS)
            self.cluster.start()

    def lose_redis(self) -> None:
        """Let Redis be away for a twentieth of the time: nobody notices."""
        self.stop_redis()
        time.sleep(self.minutes * 3)
        self.start_redis()

    def stop_mail_server(self) -> None:
        """Stop the one that runs."""
        self.inbox.stop()

    def lose_mail_server(self) -> None:
        """Let the mail server be away for as long: mails wait."""
        self.stop_mail_server()
        time.sleep(self.minutes * 3)
        # A controller starts once.
        self.inbox = mail_server(self.inbox.handler, self.inbox.port)

    def kill_worker(self) -> None:
        """Kill a worker, with what it was answering."""
        with self.ledger.excused():
            os.kill(children(self.server.gunicorn.pid)[0], signal.SIGKILL)

    def plan(self) -> dict[float, tuple[str, Callable[[], None]]]:
        """Return what is done when, as a part of the time."""
        return {
            0.1: ("the database dies for 10 s", self.lose_database),
            0.25: ("Redis is away", self.lose_redis),
            0.4: ("the mail server is away", self.lose_mail_server),
            0.55: ("a worker is killed", self.kill_worker),
            0.65: ("the signing key is replaced", partial(replace_signing_key, self.server)),
            0.75: ("a release with a migration is deployed", partial(release, self.server)),
            0.8: ("the release is rolled back", partial(roll_back, self.server)),
            0.88: ("the database dies again", self.lose_database),
        }

    def watch_memory(self) -> None:
        """Add up what the workers take, now and then."""
        while not self.ledger.ended.wait(self.minutes * 60 / 50):
            with suppress(OSError, ValueError):
                self.memory.append(sum(map(share, children(self.server.gunicorn.pid))) // 1024)

    def go(self) -> list[Client]:
        """Let clients live through the plan."""
        clients = [Client(self.server, self.ledger, f"client{n}") for n in range(self.count)]
        began = time.monotonic()
        with ThreadPoolExecutor(self.count + 1) as pool:
            living = [pool.submit(each.live) for each in clients]
            pool.submit(self.watch_memory)
            try:
                for part, (title, act) in self.plan().items():
                    time.sleep(max(0, began + part * self.minutes * 60 - time.monotonic()))
                    print(f"{(time.monotonic() - began) / 60:5.1f} min  {title}", flush=True)
                    act()
                time.sleep(max(0, began + self.minutes * 60 - time.monotonic()))
            finally:
                self.ledger.ended.set()
            for each in living:
                each.result()
        return clients

    def check(self, clients: list[Client]) -> None:
        """Demand that every promise was kept."""
        promised = {name for client in clients for name in client.registered}
        listed = ", ".join(f"'{name}'" for name in sorted(promised))
        found = f"SELECT count(*) FROM users_user WHERE username IN ({listed})"
        if int(statement(self.server.python, self.cluster.url, found)) != len(promised):
            self.ledger.wrong.append("not every registered account is there")
        mails = {f"{name}@example.com" for client in clients for name in client.mailed}
        deadline = time.monotonic() + MAIL_SECONDS
        received = self.inbox.handler.recipients
        while (missing := mails - received.keys()) and time.monotonic() < deadline:
            time.sleep(1)
        if missing:
            tasks = statement(self.server.python, self.cluster.url, TASKS_LEFT)
            came = f"{len(missing)} of {len(mails)} mails did not come"
            self.ledger.wrong.append(f"{came}; tasks that are not done: {tasks}")

    def report(self, clients: list[Client]) -> Iterator[str]:
        """Yield the lines of the report."""
        outcomes = self.ledger.outcomes
        columns = (ANSWERED, AWAY, BUSY, KILLED)
        yield f"| asked for | {' | '.join(columns)} |"
        yield "|---|---|---|---|---|"
        for kind in sorted({kind for kind, _ in outcomes}):
            cells = (f"{outcomes[kind, column]:,}" for column in columns)
            yield f"| {kind} | {' | '.join(cells)} |"
        yield ""
        registered = sum(len(client.registered) for client in clients)
        mails = sum(len(client.mailed) for client in clients)
        quarter = max(1, len(self.memory) // 4)
        first, last = median(self.memory[:quarter]), median(self.memory[-quarter:])
        yield (
            f"{registered:,} promised accounts and {mails:,} promised mails were there in the end; "
            f"no write was lost, no answer wrong. The workers took {first:.0f} MiB in the first "
            f"quarter of the time and {last:.0f} in the last."
        )
        yield ""
        yield f"{self.minutes:g} minutes, {self.count} clients; {system()}."


def main() -> None:
    """Run it, and write the report."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.faults", description=str(__doc__).partition("\n")[0]
    )
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--clients", type=int, default=CLIENTS)
    parser.add_argument("--output", type=Path, default=ROOT / "docs", help="a folder")
    arguments = parser.parse_args()
    if shutil.which("redis-server") is None:
        raise Missing("redis-server is not installed")
    render()
    python = installed(DEFAULT)
    with TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o711)
        (folder / "database").mkdir()
        cluster = Cluster(folder / "database")
        stack.enter_context(cluster.running())
        inbox = mail_server(Inbox(), free_port())
        # No stranger's server is asked for breached passwords.
        answers = {
            "database": "postgresql",
            "email_verification": "none",
            "breached_passwords": False,
        }
        project = Path(
            cookiecutter(str(ROOT), no_input=True, output_dir=name, extra_context=answers)
        )
        redis_port = free_port()
        variables = {
            "DJANGO_ENV": "production",
            "DATABASE_URL": cluster.url,
            "CACHE_URL": f"redis://127.0.0.1:{redis_port}/0",
            "EMAIL_URL": f"smtp://127.0.0.1:{inbox.port}",
            "FRONTEND_URL": "https://app.example.com",
            "ALLOWED_HOSTS": "127.0.0.1",
            "TRUSTED_PROXIES": "1",
        }
        server = Server(project, python, variables)
        run(python, "-m", "auth_core.secrets_file", ".env", folder=project)
        server.manage("migrate", "--noinput")
        count = arguments.clients
        each = Run(server, cluster, inbox, arguments.minutes, count, redis_port)
        each.start_redis()
        stack.callback(each.stop_redis)
        stack.callback(each.stop_mail_server)
        with server.running():
            clients = each.go()
            each.check(clients)
        if wrong := each.ledger.wrong:
            raise SystemExit("\n".join(["Not as promised:", *wrong[:20]]))
        report = "\n".join(each.report(clients))
    publish("faults", report, arguments.output)


if __name__ == "__main__":
    main()
