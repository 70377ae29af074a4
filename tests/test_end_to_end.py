"""A user's life against a running server: real HTTP, real SMTP, a real database."""

import email
import email.policy
import http.client
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from scripts.walk import PASSWORD, TOKENS, Client, Life, clean_environment, free_port, serving
from tests.project import PRESETS, Answers, Bake, BakedProject

pytestmark = pytest.mark.slow

GRACE = {"email": "grace@example.com"}


class Inbox:
    """Keeps what a mail server on loopback receives."""

    def __init__(self) -> None:
        self.recipients: list[str] = []
        self.texts: list[str] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, N802
        assert isinstance(envelope.content, bytes)
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        body = message.get_body(("plain",))
        assert body
        self.recipients += envelope.rcpt_tos
        self.texts.append(str(body.get_content()))
        return "250 OK"


@pytest.fixture
def inbox() -> Iterator[tuple[Inbox, str]]:
    """Run a mail server; give what it keeps, and its EMAIL_URL."""
    received, port = Inbox(), free_port()
    controller = Controller(received, hostname="127.0.0.1", port=port)
    controller.start()
    yield received, f"smtp://127.0.0.1:{port}"
    controller.stop()


@contextmanager
def running(
    project: BakedProject, environment: Path, *, ahead: int = 0, **variables: str
) -> Iterator[str]:
    """Serve the project for development, with a clock that is some seconds ahead of ours."""
    project.make(".env", environment)
    port = free_port()
    code = (
        "import datetime, runpy, sys, time, time_machine\n"
        # In the same process: what takes long is to start one.
        "sys.argv = ['manage.py', 'migrate', '--verbosity', '0']\n"
        "runpy.run_path('manage.py', run_name='__main__')\n"
        f"then = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds={ahead})\n"
        "time_machine.travel(then, tick=True).start()\n"
        "time.time()  # the first look sets it going; before that it stands\n"
        f"sys.argv = ['manage.py', 'runserver', '--noreload', '127.0.0.1:{port}']\n"
        "runpy.run_path('manage.py', run_name='__main__')\n"
    )
    command = [str(environment / "bin" / "python"), "-W", "error", "-c", code]
    with serving(command, project.path, clean_environment(**variables, PORT=str(port)), port):
        yield f"http://127.0.0.1:{port}"


class InvitedLife(Life):
    """The same life, begun by an invitation of `grace`, who was made by `make admin`."""

    def register(self) -> None:
        title, name = "Log in to invite", {"username": "grace"} if self.name else GRACE
        body = name | {"password": PASSWORD}
        self.client.send(title, "POST", f"{self.auth}/login/", body, keep=TOKENS)
        path = f"{self.auth}/invitations/"
        self.client.send("Invite", "POST", path, self.email, as_user=True, expect=201)
        self.client.follow_mail(self.mails, "accept-invitation", KEY="invitation")
        passwords = {"password1": PASSWORD, "password2": PASSWORD}
        body = self.name | {"invitation": self.client.kept["KEY"]} | passwords
        path = f"{self.registration}/"
        self.client.send("Accept", "POST", path, body, expect=201, keep=TOKENS)
        self.client.send("Again", "POST", path, body, expect=400)


LIVES: dict[str, Answers] = {
    "defaults": {},
    "otherwise": {
        "django_version": "5.2",
        "login_with": "email",
        "email_verification": "optional",
        "frontend_url": "https://app.example.com",
        "auth_header_type": "JWT",
        "auth_url_prefix": "v1/auth",
        "registration_url_prefix": "v1",
        "refresh_url": "refresh",
        "project_name": "O'Brien & Söhne 🚀",
    },
    "by invitation": {"registration": "invite"},
    "by invitation, to a frontend": {
        "registration": "invite",
        "login_with": "email",
        "email_verification": "none",
        "frontend_url": "https://app.example.com",
    },
    "signed with Ed25519": {"signing_algorithm": "EdDSA", "login_with": "username"},
}


@pytest.mark.parametrize("answers", LIVES.values(), ids=list(LIVES))
def test_a_user_lives(answers: Answers, bake: Bake, home: Path, inbox: tuple[Inbox, str]) -> None:
    project = bake(**answers)
    received, email_url = inbox
    is_invited = project.answers["registration"] == "invite"
    with running(project, home, EMAIL_URL=email_url) as origin:
        if is_invited:
            make_admin(project, home)
        client = Client(origin, project.answers["auth_header_type"])
        life = InvitedLife if is_invited else Life
        life(client, project.answers, lambda: received.texts).live()
    assert set(received.recipients) == {"ada@example.com"}


def make_admin(project: BakedProject, environment: Path, **variables: str) -> None:
    """Create `grace` as `make admin` would, without asking."""
    variables |= {"DJANGO_SUPERUSER_PASSWORD": PASSWORD}
    words = ["createsuperuser", "--noinput", f"--email={GRACE['email']}"]
    words += [] if project.answers["login_with"] == "email" else ["--username=grace"]
    project.manage(environment, *words, variables=variables)


@contextmanager
def mail_worker(
    project: BakedProject, home: Path, environment: Mapping[str, str]
) -> Iterator[None]:
    command = [str(home / "bin" / "python"), "manage.py", "mailworker", "--interval", "0.1"]
    process = subprocess.Popen(command, cwd=project.path, env=environment)
    try:
        yield
    finally:
        process.terminate()
        assert process.wait(timeout=20) == 0


def test_a_user_lives_in_production(
    bake: Bake, home: Path, inbox: tuple[Inbox, str], database: str, redis: str
) -> None:
    """gunicorn behind a proxy that ends TLS, a mail worker, PostgreSQL, Redis, SMTP."""
    # No test asks a stranger's server for breached passwords, and this one has known ones.
    project = bake(**PRESETS["spa"], breached_passwords=False)
    received, email_url = inbox
    project.make(".env", home)
    flush = "import redis, sys; redis.Redis.from_url(sys.argv[1]).flushdb()"
    project.run(home / "bin" / "python", "-c", flush, redis)
    port = free_port()
    variables = {
        "DJANGO_ENV": "production",
        "DATABASE_URL": database,
        "CACHE_URL": redis,
        "EMAIL_URL": email_url,
        "FRONTEND_URL": "https://app.example.com",
        "ALLOWED_HOSTS": "127.0.0.1",
        "TRUSTED_PROXIES": "1",
    }
    project.manage(home, "migrate", variables=variables)
    command = [str(home / "bin" / "gunicorn"), "config.wsgi", "--workers", "2"]
    command += ["--bind", f"127.0.0.1:{port}"]
    proxied = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7"}
    environment = clean_environment(**variables)
    with (
        mail_worker(project, home, environment),
        serving(command, project.path, environment, port),
    ):
        plain = Client(f"http://127.0.0.1:{port}")
        path = f"/{project.answers['auth_url_prefix']}/user/"
        plain.send("Plain http is refused", "GET", path, expect=http.client.FORBIDDEN)
        client = Client(f"http://127.0.0.1:{port}", headers=proxied)
        Life(client, project.answers, lambda: received.texts).live()
    assert all("https://app.example.com/" in text for text in received.texts if "#" in text)


def test_the_tutorials_requests_work_verbatim(bake: Bake, home: Path) -> None:
    """Its four requests, one hour of lifetime, and a token that is refreshed in time."""
    project = bake(**PRESETS["tutorial"])
    user = {"username": "ada", "password1": "correct horse battery staple"}
    user |= {"password2": user["password1"]}
    credentials = {"username": "ada", "password": user["password1"]}
    with running(project, home) as now:
        client = Client(now, "JWT")
        client.send("Register", "POST", "/rest-auth/registration/", user, expect=201)
        keep = {"ACCESS": "token"}
        client.send("Log in", "POST", "/rest-auth/login/", credentials, keep=keep)
        first = client.kept["ACCESS"]
        see(now, first, expect=200)
    with running(project, home, ahead=50 * 60) as later:
        client = Client(later, "JWT")
        client.send("Refresh", "POST", "/refresh-token/", {"token": first}, keep=keep)
        second = client.kept["ACCESS"]
        assert second != first
        see(later, second, expect=200)
    with running(project, home, ahead=70 * 60) as expired:
        see(expired, first, expect=401)
        client = Client(expired, "JWT", kept={"ACCESS": second})
        client.send("An expired token", "POST", "/refresh-token/", {"token": first}, expect=401)
        see(expired, second, expect=200)
        client.send("Log out", "POST", "/rest-auth/logout/", as_user=True)
        see(expired, second, expect=401)


def see(origin: str, token: str, *, expect: int) -> Any:
    client = Client(origin, "JWT", kept={"ACCESS": token})
    return client.send("See yourself", "GET", "/rest-auth/user/", as_user=True, expect=expect)
