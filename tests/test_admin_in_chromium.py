"""The admin in a real browser: over http in development, in production behind what ends TLS.

With SHOTS=folder in the environment, pictures of every page are left there, to be looked at.
"""

import os
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from scripts.walk import PASSWORD, clean_environment, free_port, serving
from tests.project import Bake, BakedProject
from tests.test_end_to_end import running
from tests.test_pages import totp

pytestmark = pytest.mark.slow

# Of whoever else is on this host, at another port say, and on a host beside it.
NEIGHBOURS: Final[list[Any]] = [
    {"name": name, "value": "theirs", "domain": domain, "path": "/"}
    for domain in ("localhost", "www.localhost")
    for name in ("sessionid", "csrftoken", "other-sessionid", "access")
]
STEP = 30  # seconds, of a code
# In one process: what takes long is to start one.
PREPARE = """
import django
from django.core.management import call_command
django.setup()
call_command("migrate", verbosity=0)
call_command("collectstatic", interactive=False, verbosity=0)
call_command("createsuperuser", interactive=False, username="grace", email="grace@example.com")
"""
FRESH = "var/fresh.sqlite3"


@pytest.fixture(scope="module")
def project(bake: Bake, home: Path) -> BakedProject:
    # No test asks a stranger's server for breached passwords.
    project = bake(mfa="totp", email_verification="none", breached_passwords=False)
    project.make(".env", home)
    variables = {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": f"sqlite:///{project.path / FRESH}",
        "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
    }
    project.run(home / "bin" / "python", "-c", PREPARE, variables=variables)
    return project


@contextmanager
def development(project: BakedProject, home: Path, tmp_path: Path) -> Iterator[str]:
    database = shutil.copy(project.path / FRESH, tmp_path)
    with running(project, home, DATABASE_URL=f"sqlite:///{database}") as origin:
        yield origin.replace("127.0.0.1", "localhost")


@contextmanager
def production(project: BakedProject, home: Path, tmp_path: Path) -> Iterator[str]:
    port, port_of_tls = free_port(), free_port()
    origin = f"https://localhost:{port_of_tls}"
    variables = {
        "DJANGO_ENV": "production",
        "DATABASE_URL": f"sqlite:///{shutil.copy(project.path / FRESH, tmp_path)}",
        "EMAIL_URL": "smtp://127.0.0.1:25",
        "FRONTEND_URL": origin,
        "ALLOWED_HOSTS": "localhost,127.0.0.1",
        "TRUSTED_PROXIES": "1",
    }
    command = [str(home / "bin" / "gunicorn"), "config.wsgi", "--bind", f"127.0.0.1:{port}"]
    with (
        serving(command, project.path, clean_environment(**variables), port),
        ending_tls(port_of_tls, port, tmp_path),
    ):
        yield origin


@contextmanager
def ending_tls(port: int, behind: int, folder: Path) -> Iterator[None]:
    """Stand in front of a server as a reverse proxy does."""

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            connection = HTTPConnection("127.0.0.1", behind, timeout=20)
            headers = dict(self.headers.items()) | {
                "X-Forwarded-Proto": "https",
                "X-Forwarded-For": "203.0.113.7",
                "Connection": "close",
            }
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            connection.close()

        do_GET = do_POST = pass_on  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-subj", "/CN=localhost", "-days", "1"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = ThreadingHTTPServer(("127.0.0.1", port), Proxy)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign] # it doubts the certificate
    # Each connection shakes hands in its own thread.
    server.socket = context.wrap_socket(server.socket, True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def enrol(page: Page, prefix: str) -> str:
    """Set up a second factor for the administrator, and register somebody; return the secret."""
    secret: str = page.evaluate(
        """async ([auth, password]) => {
          const ask = async (method, path, body, access) => {
            const headers = {"Content-Type": "application/json"};
            if (access) headers.Authorization = `Bearer ${access}`;
            const init = {method, headers, body: body && JSON.stringify(body)};
            const answer = await fetch(`${auth}/${path}/`, init);
            const told = await answer.json();
            if (!answer.ok) throw new Error(`${path}: ${JSON.stringify(told)}`);
            return told;
          };
          const ada = {username: "ada", email: "ada@example.com"};
          await ask("POST", "registration", {...ada, password1: password, password2: password});
          const {access} = await ask("POST", "login", {username: "grace", password});
          window.ask = body => ask("POST", "mfa/totp/activate", body, access);
          const begun = await ask("GET", "mfa/totp/activate", undefined, access);
          window.activation_token = begun.activation_token;
          return begun.secret;
        }""",
        [prefix, PASSWORD],
    )
    # The one before: of each time one code is taken once.
    code = totp(secret, time.time() - STEP)
    page.evaluate("code => ask({activation_token, code})", code)
    return secret


def shoot(page: Page, name: str) -> None:
    if folder := os.environ.get("SHOTS"):
        page.screenshot(path=Path(folder) / f"admin-{name}.png", full_page=True)


@pytest.mark.parametrize("served", [development, production], ids=lambda it: it.__name__)
def test_an_administrator_works(  # noqa: PLR0915 - a life, from login to logout
    served: Callable[..., AbstractContextManager[str]],
    project: BakedProject,
    home: Path,
    browser: Browser,
    tmp_path: Path,
) -> None:
    """Log in with a second factor, find a user, read the trail, change an address, log out."""
    context = browser.new_context(ignore_https_errors=True)
    context.add_cookies(NEIGHBOURS)
    with served(project, home, tmp_path) as origin, context:
        page = context.new_page()
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "console", lambda it: wrong.append(it.text) if "Content Security" in it.text else None
        )
        kind = served.__name__
        page.goto(f"{origin}/account/login")
        secret = enrol(page, f"/{project.answers['auth_url_prefix']}")
        page.goto(f"{origin}/admin/")
        shoot(page, f"{kind}-login")
        log_in(page, code="000000")
        expect(page.get_by_text("The code is missing or not correct.")).to_be_visible()
        shoot(page, f"{kind}-login-refused")
        log_in(page, code=totp(secret, time.time()))
        expect(page.get_by_role("heading", name="Site administration")).to_be_visible()
        shoot(page, f"{kind}-index")

        page.locator("#content a[href='/admin/users/user/']").first.click()
        search(page, "ada@example.com")
        shoot(page, f"{kind}-users")
        page.get_by_role("link", name="ada", exact=True).click()
        page.get_by_label("Email address").fill("ada@new.example")
        shoot(page, f"{kind}-user")
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_text("was changed successfully")).to_be_visible()

        page.goto(f"{origin}/admin/auth_audit/auditevent/")
        search(page, "ada")
        expect(page.get_by_role("cell", name="user_email_changed")).to_be_visible()
        shoot(page, f"{kind}-trail")
        page.get_by_role("link", name="Change password").click()
        page.wait_for_url("**/account/forgot-password")
        page.goto(f"{origin}/admin/auth_sessions/authsession/")
        shoot(page, f"{kind}-sessions")

        ours = cookies_of(context)
        session, csrf = (
            next(it for it in ours if it.endswith(end)) for end in ("-sessionid", "-csrftoken")
        )
        assert session.startswith("__Host-") is csrf.startswith("__Host-") is (kind == "production")
        for name in (session, csrf):
            assert ours[name]["httpOnly"]
            assert ours[name]["sameSite"] == "Lax"
            assert ours[name]["secure"] is (kind == "production")
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_text("Thanks for spending some quality time")).to_be_visible()
        shoot(page, f"{kind}-logged-out")
        page.goto(f"{origin}/admin/")
        expect(page.get_by_label("Password")).to_be_visible()
        assert session not in cookies_of(context)

        # Whose session has ended meanwhile sees a page, and no JSON.
        page.evaluate("document.querySelector('[name=csrfmiddlewaretoken]').value = 'x'")
        log_in(page, code="000000")
        expect(page.get_by_text("Nothing was changed.")).to_be_visible()
        shoot(page, f"{kind}-csrf")
        theirs = [it for it in context.cookies() if it["value"] == "theirs"]
        assert len(theirs) == len(NEIGHBOURS)
        assert wrong == []


def log_in(page: Page, code: str) -> None:
    page.get_by_label("Username").fill("grace")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("Code").fill(code)
    page.get_by_role("button", name="Log in").click()


def search(page: Page, text: str) -> None:
    page.locator("#searchbar").fill(text)
    page.get_by_role("button", name="Search").click()


def cookies_of(context: BrowserContext) -> dict[str, Any]:
    return {it["name"]: it for it in context.cookies() if it["value"] != "theirs"}
