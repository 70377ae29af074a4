"""A login at another provider in a real browser: a page of another origin, a real provider."""

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from scripts.walk import clean_environment
from tests.project import Bake, BakedProject
from tests.test_end_to_end import running

pytestmark = pytest.mark.slow

# What a frontend needs for it, and no more.
PAGE = """<!doctype html>
<title>Shop</title>
<button>Log in</button>
<p></p>
<script>
const api = "API", byCookie = BY_COOKIE, provider = "social/openid_connect/";
let csrf;

async function call(method, path, body, access) {
  const headers = {"Content-Type": "application/json"};
  if (byCookie && method !== "GET") {
    csrf ??= (await call("GET", "csrf/")).csrf_token;
    headers["X-CSRF-Token"] = csrf;
  }
  if (access) headers.Authorization = `Bearer ${access}`;
  const credentials = byCookie ? "include" : "omit";
  const options = {method, headers, credentials, body: body && JSON.stringify(body)};
  return (await fetch(`${api}/${path}`, options)).json();
}

async function begin() {
  const begun = await call("POST", `${provider}begin/`, {});
  sessionStorage.setItem("flow_token", begun.flow_token);
  location = begun.authorization_url;
}

async function finish() {
  const granted = Object.fromEntries(new URLSearchParams(location.search));
  history.replaceState(null, "", "/");
  const flow_token = sessionStorage.getItem("flow_token") ?? "none";
  const answer = await call("POST", provider, {flow_token, ...granted});
  const user = answer.user && await call("GET", "user/", null, answer.access);
  document.querySelector("p").textContent = user?.email ?? answer.code;
}

document.querySelector("button").onclick = begin;
if (location.pathname === "/social/openid_connect") finish();
</script>
"""


class Frontend(BaseHTTPRequestHandler):
    """Serves the same page at any path, as frontends do."""

    page = ""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(self.page.encode())

    def log_message(self, *_args: Any) -> None:
        """Be silent."""


@contextmanager
def serving_pages() -> Iterator[tuple[type[Frontend], str]]:
    """Serve what the handler's `page` is set to, at an origin of its own."""
    handler = type("Handler", (Frontend,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield handler, f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def provider_of(project: BakedProject, home: Path) -> Iterator[str]:
    """Start the OpenID provider that the project's own tests start; give its issuer."""
    code = (
        "import sys\n"
        "from auth_core.features.social.tests.testing import running\n"
        "with running() as provider:\n"
        "    print(provider.issuer, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(  # at the end its standard input is closed, and it stops
        [str(home / "bin" / "python"), "-c", code],
        cwd=project.path,
        env=clean_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout
        yield process.stdout.readline().strip()


def add_user(issuer: str, sub: str, **claims: Any) -> None:
    request = urllib.request.Request(  # noqa: S310 - of loopback
        f"{issuer}/users/{sub}",
        json.dumps(claims).encode(),
        {"Content-Type": "application/json"},
        method="PUT",
    )
    urllib.request.urlopen(request, timeout=5).close()  # noqa: S310


def go_to_the_provider(page: Page, frontend: str, sub: str) -> None:
    """Press the page's button, and say at the provider who one is; stop before that is sent."""
    page.goto(frontend)
    page.get_by_role("button", name="Log in").click()
    page.get_by_placeholder("sub").fill(sub)


@pytest.mark.parametrize("delivery", ["header", "cookie"])
def test_a_user_logs_in_at_a_provider(
    delivery: str, bake: Bake, home: Path, browser: Browser
) -> None:
    """Who is new registers and comes back; a link with somebody else's grant logs nobody in."""
    project = bake(
        social_providers="openid_connect",
        token_delivery=delivery,
        frontend_url="https://app.example.com",
    )
    with provider_of(project, home) as issuer, serving_pages() as (pages, frontend):
        add_user(issuer, "ada", email="ada@example.com", email_verified=True)
        with running(
            project,
            home,
            OPENID_CONNECT_ISSUER=issuer,
            OPENID_CONNECT_CLIENT_ID="the-client",
            OPENID_CONNECT_CLIENT_SECRET="the-secret-of-the-client",
            FRONTEND_URL=frontend,
            CORS_ALLOWED_ORIGINS=frontend,
        ) as api:
            by_cookie = json.dumps(delivery == "cookie")
            prefix = f"{api}/{project.answers['auth_url_prefix']}"
            pages.page = PAGE.replace("API", prefix).replace("BY_COOKIE", by_cookie)
            for _ in range(2):
                log_in(browser, frontend, delivery, api)
            refuse_a_foreign_grant(browser, frontend)


def log_in(browser: Browser, frontend: str, delivery: str, api: str) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        go_to_the_provider(page, frontend, "ada")
        page.get_by_role("button", name="Authorize").click()
        expect(page.get_by_role("paragraph")).to_have_text("ada@example.com")
        # Neither the code nor a token stays where a script, a log or the history finds it.
        assert page.url == f"{frontend}/"
        names = {cookie["name"] for cookie in context.cookies(api) if cookie["httpOnly"]}
        assert names == ({"my-api-access", "my-api-refresh"} if delivery == "cookie" else set())
        assert page.evaluate("document.cookie") == ""


def refuse_a_foreign_grant(browser: Browser, frontend: str) -> None:
    """Open in one browser what the provider granted in another."""
    with browser.new_context() as attacker, browser.new_context() as victim:
        page = attacker.new_page()
        page.route(f"{frontend}/social/**", lambda route: route.abort())
        go_to_the_provider(page, frontend, "mallory")
        with page.expect_request(f"{frontend}/social/**") as sent:
            page.get_by_role("button", name="Authorize").click()
        link = sent.value.url
        assert "code=" in urlsplit(link).query
        lured = victim.new_page()
        lured.goto(link)
        expect(lured.get_by_role("paragraph")).to_have_text("invalid_state")
        assert victim.cookies() == []
