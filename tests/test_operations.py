"""The commands of a project's docs/operations.md, run as they stand there, while it is served."""

import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cache
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from uv import find_uv_bin

from scripts.demo import mails_in
from scripts.walk import CHANGED, JSON, PASSWORD, Client, clean_environment, free_port, serving
from tests.conftest import a_database
from tests.project import Answers, Bake, BakedProject

pytestmark = pytest.mark.slow

VARIANTS: dict[str, Answers] = {
    "sqlite": {"mfa": "none", "email_verification": "none"},
    "postgresql": {
        "database": "postgresql",
        "login_with": "email",
        "email_verification": "optional",
        "signing_algorithm": "EdDSA",
        "api_keys": True,
        "social_providers": "google",
        "metrics": True,
    },
}
PRODUCTION = {
    "DJANGO_ENV": "production",
    "DATABASE_URL": "sqlite:///var/db.sqlite3",
    "ALLOWED_HOSTS": "api.example.com",
    "FRONTEND_URL": "https://app.example.com",
    "EMAIL_URL": "smtps://user:password@mail.example.com:465",
    "GOOGLE_CLIENT_ID": "xxxxxxxx",
    "GOOGLE_CLIENT_SECRET": "xxxxxxxx",
}
Tokens = dict[str, str]


@dataclass
class Operated:
    """A project that is served, and can be stopped, changed and served again."""

    project: BakedProject
    home: Path
    variables: dict[str, str]
    stack: ExitStack = field(default_factory=ExitStack)

    @property
    def python(self) -> str:
        return str(self.home / "bin" / "python")

    def stop(self) -> None:
        self.stack.close()

    def restart(self) -> None:
        self.stop()
        port = free_port()
        words = [self.python, "manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"]
        environment = clean_environment(PORT=str(port), **self.variables)
        self.stack.enter_context(serving(words, self.project.path, environment, port))
        self.client = Client(f"http://127.0.0.1:{port}")

    def commands(self, section: str, block: int = 0) -> list[str]:
        """Return the lines of a block of commands."""
        text = self.project.read("docs/operations.md")
        _, found, rest = text.partition(f"\n## {section}\n")
        assert found, f"docs/operations.md has no section {section}"
        blocks = re.findall(
            r"^ *```sh\n(.*?)^ *```$", rest.partition("\n## ")[0], re.MULTILINE | re.DOTALL
        )
        return [line.strip() for line in blocks[block].splitlines()]

    def shell(self, *lines: str) -> str:
        script = re.sub(
            r"^manage\.py ", f"{self.python} manage.py ", "\n".join(lines), flags=re.MULTILINE
        )
        script = script.replace(".venv/bin", str(self.home / "bin"))
        return self.project.run("bash", "-euc", script, variables=self.variables).stdout

    def set(self, name: str, value: str) -> None:
        """Write a variable into .env."""
        env = self.project.path / ".env"
        kept = [it for it in env.read_text("utf-8").splitlines() if not it.startswith(f"{name}=")]
        env.write_text("\n".join([*kept, f"{name}={value}", ""]), "utf-8")

    def new_secret(self, name: str) -> str:
        made = self.project.make("secret", self.home).stdout
        found = re.search(rf"^{name}=(\S+)$", made, re.MULTILINE)
        assert found, made
        return found[1]

    # --- What a user does -------------------------------------------------------------------

    def path(self, name: str) -> str:
        return f"/{self.project.answers['auth_url_prefix']}/{name}/"

    @property
    def who(self) -> dict[str, str]:
        by_email = self.project.answers["login_with"] == "email"
        return {"email": "ada@example.com"} | ({} if by_email else {"username": "ada"})

    def register(self) -> Tokens:
        body = {**self.who, "password1": PASSWORD, "password2": PASSWORD}
        path = f"/{self.project.answers['registration_url_prefix']}/"
        tokens: Tokens = self.client.send("Register", "POST", path, body, expect=201)
        return tokens

    def log_in(self, password: str = PASSWORD, expect: int = 200) -> Tokens:
        body = {**self.who, "password": password}
        path = self.path("login")
        tokens: Tokens = self.client.send("Log in", "POST", path, body, expect=expect)
        return tokens

    def accepts(self, tokens: Tokens) -> bool:
        """Say whether a session is alive, by both of its tokens; the refresh token is used."""
        sent = {"Authorization": f"Bearer {tokens['access']}"}
        reads, _ = self.client.exchange("GET", self.path("user"), sent, None)
        refresh = f"/{self.project.answers['refresh_url']}/"
        body = json.dumps({"refresh": tokens["refresh"]})
        renews, _ = self.client.exchange("POST", refresh, {"Content-Type": JSON}, body)
        assert (reads, renews) in {(200, 200), (401, 401)}
        return reads == 200

    def set_password_by_mail(self) -> None:
        self.client.follow_mail(self.mails, "reset-password", UID="uid", TOKEN="token")
        body = {"uid": self.client.kept["UID"], "token": self.client.kept["TOKEN"]}
        body |= {"new_password1": CHANGED, "new_password2": CHANGED}
        self.client.send("Set a password", "POST", self.path("password/reset/confirm"), body)

    def mails(self) -> Sequence[str]:
        return mails_in(self.project.path / "var" / "mail")

    def must_recover(self) -> None:
        """Demand that the old password is void, and the mailed link sets another."""
        self.log_in(expect=400)
        self.set_password_by_mail()
        self.log_in(CHANGED)


@pytest.fixture(scope="module")
def migrated(
    request: pytest.FixtureRequest, bake: Bake, home: Path
) -> Iterator[Callable[[str], Operated]]:
    """Render and migrate a variant once; each test takes a copy of it, and of its database."""
    with ExitStack() as stack:

        @cache
        def migrated(name: str) -> Operated:
            project, variables = bake(**VARIANTS[name]), {}
            if project.answers["database"] == "postgresql":
                postgres = request.getfixturevalue("postgres")
                variables["DATABASE_URL"] = stack.enter_context(a_database(postgres, home))
            project.make(".env", home)
            project.manage(home, "migrate", variables=variables)
            return Operated(project, home, variables)

        yield migrated


@pytest.fixture(params=VARIANTS)
def operated(
    request: pytest.FixtureRequest, migrated: Callable[[str], Operated], tmp_path: Path
) -> Iterator[Operated]:
    first = migrated(request.param)
    folder = shutil.copytree(first.project.path, tmp_path / first.project.path.name)
    operated = Operated(replace(first.project, path=folder), first.home, {})
    with ExitStack() as stack, operated.stack:
        if original := first.variables.get("DATABASE_URL"):
            postgres = request.getfixturevalue("postgres")
            copy = stack.enter_context(a_database(postgres, first.home, original))
            operated.variables["DATABASE_URL"] = copy
        operated.restart()
        yield operated


def test_no_block_is_forgotten(bake: Bake) -> None:
    """Whoever adds commands to the document runs them here."""
    source = Path(__file__).read_text("utf-8")
    for answers in VARIANTS.values():
        for section in bake(**answers).read("docs/operations.md").split("\n## ")[1:]:
            title, _, text = section.partition("\n")
            named = re.findall(rf'commands\("{title}"(?:, (\d))?\)', source)
            assert {int(it or 0) for it in named} == set(range(text.count("```sh"))), title


@pytest.mark.parametrize("operated", ["postgresql"], indirect=True)
def test_metrics_are_served(operated: Operated) -> None:
    serve, ask = (
        line.replace("9100", port)
        for port in [str(free_port())]
        for line in operated.commands("Metrics")
    )
    operated.variables["PORT"] = str(free_port())
    printed = operated.shell(
        f"{serve} > gunicorn.log & server=$!",
        f"until {ask} --silent --output metrics.txt; do sleep 0.1; done",
        "kill -INT $server; wait $server; cat metrics.txt",
    )
    assert "auth_mail_waiting 0.0" in printed


class Collector(BaseHTTPRequestHandler):
    """Takes what OpenTelemetry sends, in which texts stand as they are."""

    received: ClassVar[list[bytes]] = []

    def do_POST(self) -> None:
        self.received.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture
def collector() -> Iterator[HTTPServer]:
    Collector.received.clear()
    with HTTPServer(("127.0.0.1", 0), Collector) as server, ThreadPoolExecutor(1) as pool:
        pool.submit(server.serve_forever, 0.05)
        yield server
        server.shutdown()


@pytest.mark.parametrize("operated", ["postgresql"], indirect=True)
def test_requests_are_traced(operated: Operated, collector: HTTPServer, tmp_path: Path) -> None:
    """LOG-02: of passwords, tokens and addresses nothing leaves with a trace."""
    operated.stop()
    project, environment = operated.project, tmp_path / "environment"
    uv = find_uv_bin()
    add, install = "\n".join(operated.commands("Traces")).replace("\\\n", "").splitlines()
    assert (add.split()[0], install) == (".venv/bin/uv", "make install")
    # In an environment of its own: the other one is for all tests.
    project.run(uv, "venv", "--quiet", "--python", operated.python, environment)
    project.run(uv, *add.split()[1:], "--python", environment / "bin" / "python")
    target = {"UV_PROJECT_ENVIRONMENT": str(environment)}
    project.run(uv, "sync", "--quiet", "--locked", variables=target)

    document, wsgi = project.read("docs/operations.md"), project.path / "config" / "wsgi.py"
    begin, call = re.findall(r"^(?:from opent.*|initialize\(\))", document, re.MULTILINE)
    text = project.read("config/wsgi.py").replace("import os\n", f"import os\n\n{begin}\n", 1)
    wsgi.write_text(text.replace("\napplication =", f"\n{call}\napplication =", 1), "utf-8")

    port = free_port()
    *exports, serve = operated.commands("Traces", 1)
    serve = serve.replace(".venv", str(environment)) + f" --bind 127.0.0.1:{port}"
    script = "\n".join([*exports, f"exec {serve}"]).replace("4318", str(collector.server_port))
    variables = {**operated.variables, "DJANGO_ENV": "dev", "OTEL_BSP_SCHEDULE_DELAY": "100"}
    operated.client = Client(f"http://127.0.0.1:{port}")
    command = ["bash", "-euc", script]
    with serving(command, project.path, clean_environment(**variables), port):
        tokens = operated.register()
        assert operated.accepts(tokens)
    sent = b"".join(Collector.received).decode("utf-8", "replace")
    for text in ("POST api/auth/registration/", "x_request_id", "INSERT INTO", "UPDATE"):
        assert text in sent
    for text in (PASSWORD, *tokens.values(), "ada@example.com", "argon2"):
        assert str(text) not in sent


def test_a_release_is_deployed(operated: Operated) -> None:
    operated.stop()
    operated.variables = PRODUCTION | operated.variables
    printed = operated.shell(*operated.commands("A new release"))
    assert "static files copied" in printed
    assert "no issues" in printed


def test_a_signing_key_is_replaced(operated: Operated) -> None:
    """TOK-23: a leaked one at once; step by step, without a leak, nobody is logged out."""
    tokens = operated.register()
    add, show, sign, retire = operated.commands("A signing key leaked")
    operated.shell(add)
    operated.restart()
    assert operated.accepts(tokens)
    old, new = (line.split()[0] for line in operated.shell(show).splitlines())
    tokens = operated.log_in()
    operated.shell(sign.replace("NEW_KID", new))
    operated.restart()
    assert operated.accepts(tokens)
    tokens, newer = tokens | {"refresh": operated.log_in()["refresh"]}, operated.log_in()
    operated.shell(retire.replace("OLD_KID", old))
    operated.restart()
    assert not operated.accepts({"access": tokens["access"], "refresh": tokens["access"]})
    assert operated.accepts(newer)


@pytest.mark.parametrize("operated", ["postgresql"], indirect=True)
def test_the_secret_key_is_replaced(operated: Operated) -> None:
    """CRY-03: at once, all sessions end; with the old one as a fallback nobody notices."""
    tokens = operated.register()
    env = dict(it.split("=", 1) for it in operated.project.read(".env").splitlines() if "=" in it)
    operated.set("SECRET_KEY_FALLBACKS", env["SECRET_KEY"])
    operated.set("SECRET_KEY", operated.new_secret("SECRET_KEY"))
    operated.restart()
    assert operated.accepts(tokens)
    tokens = operated.log_in()
    operated.set("SECRET_KEY_FALLBACKS", "")
    operated.set("SECRET_KEY", operated.new_secret("SECRET_KEY"))
    operated.restart()
    assert not operated.accepts(tokens)
    operated.log_in()


def test_a_database_is_restored(operated: Operated) -> None:
    """What ended since the backup stays ended, by the steps of the document."""
    thief = operated.register()
    operated.shell(*operated.commands("Backup"))
    logout = {"refresh": thief["refresh"]}
    operated.client.send("Log out", "POST", operated.path("logout"), logout)
    later = operated.log_in()
    operated.stop()
    if "DATABASE_URL" in operated.variables:
        script = (
            'psql --quiet "$DATABASE_URL" -c "DROP SCHEMA public CASCADE; CREATE SCHEMA public"'
        )
        operated.shell(script)
    else:
        (operated.project.path / "var" / "db.sqlite3").unlink()
    operated.shell(*operated.commands("Backup", 1))
    operated.set("SECRET_KEY", operated.new_secret("SECRET_KEY"))
    operated.restart()
    assert not operated.accepts(thief)
    assert not operated.accepts(later)
    operated.log_in()

    line = '{"time": "...", "event": "authn_password_change", "user_id": "1"}\n'
    noise = line.replace("authn_password_change", "authn_login_success")
    (operated.project.path / "app.log").write_text(line + noise, "utf-8")
    printed = operated.shell(*operated.commands("The database was restored to yesterday"))
    assert printed == line
    operated.shell(*operated.commands("The database was restored to yesterday", 1))
    operated.must_recover()


def test_a_database_leaked(operated: Operated) -> None:
    tokens = operated.register()
    printed = operated.shell(*operated.commands("The database leaked"))
    assert "1 passwords voided" in printed
    assert not operated.accepts(tokens)
    operated.must_recover()


def test_somebody_is_in_an_account(operated: Operated) -> None:
    tokens = operated.register()
    operated.shell(*operated.commands("A user says that somebody is in the account", 1))
    assert not operated.accepts(tokens)
    tokens = operated.log_in()
    operated.shell(*operated.commands("A user says that somebody is in the account"))
    assert not operated.accepts(tokens)
    operated.must_recover()


@pytest.mark.parametrize("operated", ["postgresql"], indirect=True)
def test_somebody_is_kept_out(operated: Operated) -> None:
    tokens = operated.register()
    for command in operated.commands("Somebody must be kept out"):
        assert operated.accepts(tokens)
        operated.shell(command)
        assert not operated.accepts(tokens)
        tokens = operated.log_in()


@pytest.mark.parametrize("operated", ["sqlite"], indirect=True)
def test_addresses_are_listed(operated: Operated) -> None:
    printed = operated.shell(*operated.commands("Addresses that no account could take today"))
    assert printed.count("0 addresses to decide on.") == 2


def test_without_second_factors_no_command_is_about_them(bake: Bake) -> None:
    assert "reencryptmfa" not in bake(**VARIANTS["sqlite"]).read("docs/operations.md")


@pytest.mark.parametrize("operated", ["postgresql"], indirect=True)
def test_second_factors_are_encrypted_anew(operated: Operated) -> None:
    made = dict(it.split("=", 1) for it in operated.project.read(".env").splitlines() if "=" in it)
    keys = [operated.new_secret("MFA_ENCRYPTION_KEYS"), made["MFA_ENCRYPTION_KEYS"]]
    operated.set("MFA_ENCRYPTION_KEYS", ",".join(keys))
    operated.restart()
    operated.shell(*operated.commands("MFA_ENCRYPTION_KEYS leaked"))
    operated.set("MFA_ENCRYPTION_KEYS", keys[0])
    operated.restart()
