"""The life of a user over HTTP: `make demo` prints it, the end-to-end tests demand it."""

import base64
import hmac
import http.client
import json
import os
import re
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

PASSWORD: Final = "correct horse battery staple"
CHANGED: Final = "four wholly different words"
RECOVERED: Final = "nobody expects this sentence"
TOKENS: Final = {"ACCESS": "access", "REFRESH": "refresh"}
JSON: Final = "application/json"
# What configures a project: this machine's values of it must not reach the walk.
PROJECT_VARIABLES: Final = frozenset(
    """
    ALLOWED_HOSTS ARGS AUTH_SIGNING_KEYS CACHE_URL CORS_ALLOWED_ORIGINS DATABASE_URL
    DEFAULT_FROM_EMAIL DJANGO_ENV DJANGO_SETTINGS_MODULE EMAIL_URL FRONTEND_URL MAKEFLAGS
    GITHUB_CLIENT_ID GITHUB_CLIENT_SECRET GOOGLE_CLIENT_ID GOOGLE_CLIENT_SECRET MAKELEVEL
    METRICS_ADDRESS MFA_ENCRYPTION_KEYS MFLAGS OPENID_CONNECT_CLIENT_ID OPENID_CONNECT_CLIENT_SECRET
    OPENID_CONNECT_ISSUER PASSKEY_ORIGINS PASSKEY_RP_ID PORT SECRET_KEY SECRET_KEY_FALLBACKS
    SOCIAL_REDIRECT_URIS TRUSTED_PROXIES VENV VIRTUAL_ENV
    """.split()
)


class Unexpected(Exception):
    """The project answered otherwise than it promises."""


@dataclass(frozen=True)
class Step:
    """A request as a curl line with its answer; or a mail, which has no curl line and no status."""

    title: str
    curl: str
    status: int
    body: Any
    kept: Mapping[str, str]


@dataclass
class Client:
    """Sends JSON, and keeps what it is given under the names that its curl lines use."""

    origin: str
    header_type: str = "Bearer"
    headers: Mapping[str, str] = field(default_factory=dict)
    report: Callable[[Step], None] = lambda _: None
    kept: dict[str, str] = field(default_factory=dict)

    def send(
        self,
        title: str,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        as_user: bool = False,
        expect: int = 200,
        keep: Mapping[str, str] | None = None,
    ) -> Any:
        """Send one request; `keep` maps the name of something kept to its field in the answer."""
        headers = dict(self.headers)
        if as_user:
            headers["Authorization"] = f"{self.header_type} {self.kept['ACCESS']}"
        if body is not None:
            headers["Content-Type"] = JSON
        content = None if body is None else json.dumps(body)
        curl = self.curl(method, path, headers, content)
        status, answer = self.exchange(method, path, headers, content)
        kept = {n: answer[f] for n, f in (keep or {}).items()} if status == expect else {}
        self.kept |= kept
        self.report(Step(title, curl, status, answer, kept))
        if status != expect:
            raise Unexpected(f"{title}: {method} {path} answered {status}, not {expect}: {answer}")
        return answer

    def exchange(
        self, method: str, path: str, headers: Mapping[str, str], content: str | None
    ) -> tuple[int, Any]:
        """Send one request; return the status and the body, decoded where it is JSON."""
        connection = http.client.HTTPConnection(urlsplit(self.origin).netloc, timeout=30)
        try:
            connection.request(method, path, content, dict(headers))
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        self.heed(answer.headers)
        is_json = answer.headers.get_content_type() == JSON
        return answer.status, json.loads(text) if is_json and text else text

    def heed(self, headers: http.client.HTTPMessage) -> None:
        """Do what an answer asks of its client: nothing here, but a browser keeps cookies."""

    def curl(self, method: str, path: str, headers: Mapping[str, str], content: str | None) -> str:
        """Spell a request as curl, with $NAMES for what earlier answers gave."""
        parts = [f"curl -X {method} {self.origin}{path}"]
        parts += [f'-H "{name}: {value}"' for name, value in headers.items()]
        parts += [] if content is None else [f"-d '{content}'"]
        line = " \\\n     ".join(parts)
        for name, value in self.kept.items():
            # The shell expands nothing between single quotes: the variable stands outside of them.
            line = line.replace(f'"{value}"', f"\"'${name}'\"").replace(value, f"${name}")
        return line

    def follow_mail(self, mails: Callable[[], Sequence[str]], page: str, **keep: str) -> None:
        """Wait for the mail that links to a page, and keep what its link carries."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            links = re.findall(rf"https?://\S+/{page}#\S+", "\n".join(mails()))
            if links:
                carried = dict(parse_qsl(urlsplit(links[-1]).fragment))
                kept = {name: carried[field] for name, field in keep.items()}
                self.kept |= kept
                self.report(Step("A mail arrives, with a link", "", 0, links[-1], kept))
                return
            time.sleep(0.05)
        raise Unexpected(f"No mail with a link to {page} came within ten seconds")


@dataclass
class Life:
    """A user's life at a project with these `answers`; `mails` returns the texts so far."""

    client: Client
    answers: Mapping[str, Any]
    mails: Callable[[], Sequence[str]]
    who: str = "ada"

    def __post_init__(self) -> None:
        """Place the endpoints and name the user as the answers have it."""
        self.auth = f"/{self.answers['auth_url_prefix']}"
        self.registration = f"/{self.answers['registration_url_prefix']}"
        self.refresh_url = f"/{self.answers['refresh_url']}/"
        self.name = {"username": self.who} if self.answers["login_with"] != "email" else {}
        self.email = {"email": f"{self.who}@example.com"}
        # No answer shows a token that is in a cookie.
        self.tokens = {} if self.answers["token_delivery"] == "cookie" else TOKENS

    def live(self) -> None:
        """Register, log in, refresh, change and recover the password, add a factor, log out."""
        self.register()
        self.log_in(PASSWORD)
        self.use_the_token()
        self.refresh()
        self.log_in(PASSWORD)
        self.change_the_password()
        self.recover_the_password()
        self.log_in(RECOVERED)
        if self.answers["mfa"] != "none":
            self.add_a_second_factor()
        self.log_out()

    def register(self) -> None:
        """Become a user, whose address is verified where the project asks for that."""
        self.sign_up()
        if self.answers["email_verification"] == "mandatory":
            body = (self.name or self.email) | {"password": PASSWORD}
            title = "Log in before the address is verified"
            self.client.send(title, "POST", f"{self.auth}/login/", body, expect=400)
        if self.answers["email_verification"] != "none":
            self.get_the_link()
            self.verify()

    def sign_up(self) -> None:
        """Ask for an account."""
        body = self.name | self.email | {"password1": PASSWORD, "password2": PASSWORD}
        self.client.send("Register", "POST", f"{self.registration}/", body, expect=201)

    def get_the_link(self) -> None:
        """Wait for the mail that asks whose the address is."""
        self.client.follow_mail(self.mails, "verify-email", KEY="key")

    def verify(self) -> None:
        """Bring the key of that mail."""
        body = {"key": self.client.kept["KEY"]}
        path = f"{self.registration}/verify-email/"
        self.client.send("Verify the address", "POST", path, body)

    def log_in(self, password: str) -> None:
        """Start a session."""
        body = (self.name or self.email) | {"password": password}
        self.client.send("Log in", "POST", f"{self.auth}/login/", body, keep=self.tokens)

    def see_yourself(self, title: str, expect: int = 200) -> Any:
        """Read one's own user with the latest access token."""
        return self.client.send(title, "GET", f"{self.auth}/user/", as_user=True, expect=expect)

    def use_the_token(self) -> None:
        """Do with an access token what it is for."""
        self.see_yourself("See yourself")
        path, body = f"{self.auth}/user/", {"first_name": "Ada"}
        user = self.client.send("Change yourself", "PATCH", path, body, as_user=True)
        if user["first_name"] != "Ada":
            raise Unexpected(f"The change was not kept: {user}")
        path, body = f"{self.auth}/token/verify/", {"token": self.client.kept["ACCESS"]}
        self.client.send("Ask whether a token is valid", "POST", path, body)

    def refresh(self) -> None:
        """Exchange refresh tokens, then replay an old one: the session ends for everybody."""
        kept = self.client.kept
        kept["STOLEN"] = kept["REFRESH"]
        for title in ("Stay logged in: each refresh token works once", "Refresh again"):
            self.renew(title)
        self.see_yourself("See yourself with the new token")
        title = "Replay the refresh token of the login ($STOLEN), as a thief would"
        body = {"refresh": kept["STOLEN"]}
        self.client.send(title, "POST", self.refresh_url, body, expect=401)
        self.see_yourself("The session has ended, for the thief as well", expect=401)

    def renew(self, title: str, expect: int = 200) -> None:
        """Exchange the latest refresh token."""
        body = {"refresh": self.client.kept["REFRESH"]} if self.tokens else {}
        keep = self.tokens if expect == http.client.OK else None
        self.client.send(title, "POST", self.refresh_url, body, expect=expect, keep=keep)

    def change_the_password(self) -> None:
        """Change the password while logged in."""
        body = {"old_password": PASSWORD, "new_password1": CHANGED, "new_password2": CHANGED}
        path = f"{self.auth}/password/change/"
        self.client.send("Change the password", "POST", path, body, as_user=True)
        self.see_yourself("This session goes on, all others have ended")

    def recover_the_password(self) -> None:
        """Set a new password by mail; whoever was logged in is so no more."""
        self.forget_the_password()
        self.set_a_new_password()
        self.see_yourself("The token from before is dead", expect=401)

    def forget_the_password(self) -> None:
        """Ask for the mail with which a new one can be set, and wait for it."""
        path = f"{self.auth}/password/reset/"
        self.client.send("Forget the password", "POST", path, self.email)
        self.client.follow_mail(self.mails, "reset-password", RESET_UID="uid", RESET_TOKEN="token")

    def set_a_new_password(self) -> None:
        """Bring what that mail carried."""
        body = {"uid": self.client.kept["RESET_UID"], "token": self.client.kept["RESET_TOKEN"]}
        body |= {"new_password1": RECOVERED, "new_password2": RECOVERED}
        path = f"{self.auth}/password/reset/confirm/"
        self.client.send("Set a new one", "POST", path, body)

    def add_a_second_factor(self) -> None:
        """Set up an authenticator app, log in with its code and with a recovery code, remove it."""
        first, recovery_code, another = self.set_up_an_app()
        self.log_in_halfway("Log in: the password is not enough any more", RECOVERED)
        self.bring_code("A code that was used is refused", first, expect=400)
        self.bring_code("Bring the app's next code", totp(self.client.kept["SECRET"]))
        self.see_yourself("See yourself")
        self.log_in_halfway("Log in without the app", RECOVERED)
        self.bring_code("Bring a recovery code instead; each works once", recovery_code)
        path, body = f"{self.auth}/mfa/totp/deactivate/", {"code": another}
        self.client.send("Remove the second factor", "POST", path, body, as_user=True)

    def set_up_an_app(self) -> tuple[str, str, str]:
        """Return the code that was used for it, and two of the recovery codes."""
        kept = self.client.kept
        path = f"{self.auth}/mfa/totp/activate/"
        keep = {"SECRET": "secret", "ACTIVATION": "activation_token"}
        title = "Get a secret for an authenticator app"
        self.client.send(title, "GET", path, as_user=True, keep=keep)
        # Also that of the step before is right; so a login need not wait for the next one.
        first = totp(kept["SECRET"], -1)
        body = {"activation_token": kept["ACTIVATION"], "code": first}
        title = "Bring the app's first code; recovery codes are shown this once"
        answer = self.client.send(title, "POST", path, body, as_user=True)
        recovery_code, another, *_ = answer["recovery_codes"]
        return first, recovery_code, another

    def log_in_halfway(self, title: str, password: str) -> None:
        """Log in as far as the password goes."""
        body = (self.name or self.email) | {"password": password}
        keep = {"PENDING": "ephemeral_token"}
        self.client.send(title, "POST", f"{self.auth}/login/", body, keep=keep)

    def bring_code(self, title: str, code: str, expect: int = 200) -> None:
        """Finish a login with a code."""
        body = {"ephemeral_token": self.client.kept["PENDING"], "code": code}
        path = f"{self.auth}/mfa/verify/"
        keep = self.tokens if expect == http.client.OK else None
        self.client.send(title, "POST", path, body, expect=expect, keep=keep)

    def log_out(self) -> None:
        """End the session; both its tokens die."""
        self.client.send("Log out", "POST", f"{self.auth}/logout/", {}, as_user=True)
        self.see_yourself("The access token is refused", expect=401)
        title, body = "So is the refresh token", {"refresh": self.client.kept["REFRESH"]}
        self.client.send(title, "POST", self.refresh_url, body, expect=401)


def totp(secret: str, steps: int = 0) -> str:
    """Return what an authenticator app shows now, or so many 30 seconds later (RFC 6238)."""
    second = time.time() % 30
    # A step begins a little later on a server whose clock differs, and a busy one takes its time.
    if not 1 < second < 24:  # noqa: PLR2004
        time.sleep((31 - second) % 30)
    counter = struct.pack(">Q", int(time.time()) // 30 + steps)
    mac = hmac.digest(base64.b32decode(secret), counter, "sha1")
    (number,) = struct.unpack_from(">I", mac, mac[-1] & 15)
    return f"{number & 0x7FFFFFFF:010}"[-6:]


def answers_of(project: Path) -> dict[str, Any]:
    """Return the answers that a project was rendered with."""
    cruft = json.loads((project / ".cruft.json").read_text(encoding="utf-8"))
    answers: dict[str, Any] = cruft["context"]["cookiecutter"]
    return answers


def clean_environment(**variables: str) -> dict[str, str]:
    """Return this process's environment without what configures a project, plus `variables`."""
    return {k: v for k, v in os.environ.items() if k not in PROJECT_VARIABLES} | variables


def free_port(*wanted: int) -> int:
    """Return the first of the wanted ports that is free on loopback, else any free one."""
    for port in (*wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise Unexpected("No port is free on 127.0.0.1")


@contextmanager
def serving(
    command: Sequence[str], project: Path, environment: Mapping[str, str], port: int
) -> Iterator[None]:
    """Run a server until the block ends; it must answer /health/live within 30 seconds."""
    log = project / "var" / "server.log"
    log.parent.mkdir(exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=project, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            wait_until_live(process, Client(f"http://127.0.0.1:{port}"), log)
            yield
        finally:
            process.terminate()
            process.wait(timeout=20)


def wait_until_live(process: "subprocess.Popen[bytes]", client: Client, log: Path) -> None:
    """Return when the server answers; raise with what it wrote when it does not."""
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if client.exchange("GET", "/health/live", {}, None)[0] == http.client.OK:
                return
        except OSError:
            time.sleep(0.1)
    raise Unexpected(f"The server did not start:\n{log.read_text(errors='replace')[-4000:]}")
