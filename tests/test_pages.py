"""The built-in pages in Chromium: what a user does and sees, with tokens in headers and in cookies.

With SHOTS=folder in the environment, pictures of every page are left there, to be looked at.
"""

import base64
import email
import email.policy
import hmac
import json
import os
import re
import socket
import struct
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Route, expect

from scripts.walk import (
    CHANGED,
    PASSWORD,
    RECOVERED,
    TOKENS,
    Client,
    clean_environment,
    free_port,
    serving,
)
from tests.conftest import Node
from tests.project import Bake, BakedProject
from tests.test_end_to_end import GRACE, make_admin
from tests.test_passkeys_in_chromium import DEVICE

pytestmark = pytest.mark.slow
expect.set_options(timeout=30_000)

# Serves with a clock that a file sets while it runs, in seconds ahead of ours.
SERVER = """
import datetime, pathlib, runpy, sys, threading, time, time_machine
place, port = pathlib.Path("var/ahead"), sys.argv[1]
place.write_text("0")
clock = time_machine.travel(datetime.datetime.now(datetime.UTC), tick=True).start()
time.time()  # the first look sets it going; before that it stands
def follow(done=0):
    while True:
        time.sleep(0.02)
        wanted = int(place.read_text() or done)
        if wanted != done:
            clock.shift(wanted - done)
            done = wanted
            pathlib.Path("var/arrived").write_text(str(done))
threading.Thread(target=follow, daemon=True).start()
sys.argv = ["manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"]
runpy.run_path("manage.py", run_name="__main__")
"""
ALL = {
    "api_keys": True,
    "social_providers": "google,openid_connect",
    "mfa": "totp_and_passkeys",
    "login_by_code": True,
    "access_token_minutes": "1",
}
DELIVERIES = ["header", "cookie"]


@dataclass
class Site:
    """A project that is served, at a time of its own."""

    origin: str
    project: BakedProject

    @property
    def ahead(self) -> int:
        return int((self.project.path / "var" / "ahead").read_text())

    def later(self, seconds: int) -> None:
        var = self.project.path / "var"
        ahead, arrived = str(self.ahead + seconds), var / "arrived"
        (var / "ahead").write_text(ahead)
        wait_for(lambda: arrived.exists() and arrived.read_text() == ahead)

    def mailed(self, pattern: str, address: str) -> str:
        """Return the newest text of a pattern that an address was mailed."""
        found = list[str]()
        for file in sorted((self.project.path / "var" / "mail").iterdir(), key=written):
            mail = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
            body = mail.get_body(("plain",))
            if mail["To"] == address and body:
                found += re.findall(pattern, body.get_content())
        assert found, f"{address} was mailed nothing like {pattern}"
        return found[-1]

    def link(self, page: str, address: str) -> str:
        return self.mailed(rf"https?://\S+/account/{page}(?:#\S+)?", address)


def written(file: Path) -> int:
    return file.stat().st_mtime_ns


def wait_for(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 10
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert found
    return found


Sites = Callable[[str], Site]


@pytest.fixture(scope="module")
def sites(bake: Bake, home: Path) -> Iterator[Sites]:
    """Serve a project with everything chosen, for all tests here that ask for the same delivery."""
    with ExitStack() as stack:
        yield cache(lambda it: stack.enter_context(served(bake(**ALL, token_delivery=it), home)))


@contextmanager
def served(project: BakedProject, home: Path) -> Iterator[Site]:
    project.make(".env", home)
    project.manage(home, "migrate", "--verbosity", "0")
    port = free_port()
    command = [str(home / "bin" / "python"), "-c", SERVER, str(port)]
    with serving(command, project.path, clean_environment(PORT=str(port)), port):
        yield Site(f"http://127.0.0.1:{port}", project)


@pytest.fixture(params=DELIVERIES)
def site(request: pytest.FixtureRequest, sites: Sites) -> Site:
    return sites(request.param)


@pytest.fixture
def open_browser(browser: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """Open a browser of its own, in which no script may fail nor break the page's policy."""
    complaints = list[str]()

    def listen(message: ConsoleMessage) -> None:
        # Chromium also reports each refusal of the API there, and each lost connection.
        if message.type == "error" and "Failed to load resource" not in message.text:
            complaints.append(message.text)

    def fresh(**options: Any) -> BrowserContext:
        context = browser.new_context(**options)
        context.set_default_timeout(30_000)
        context.on("console", listen)
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        opened.append(context)
        return context

    opened = list[BrowserContext]()
    yield fresh
    for context in opened:
        context.close()
    assert complaints == []


@dataclass
class User:
    """Somebody before a browser."""

    site: Site
    page: Page
    name: str = field(default_factory=lambda: f"u{uuid.uuid4().hex[:10]}")
    password: str = PASSWORD
    email: str = ""

    def __post_init__(self) -> None:
        self.email = self.email or f"{self.name}@example.com"

    def visit(self, page: str) -> None:
        self.page.goto(f"{self.site.origin}/account/{page}")

    def follow(self, page: str, address: str = "") -> None:
        self.page.goto(self.site.link(page, address or self.email))

    def fill(self, form: str, **values: str) -> None:
        """Type into fields of a form and send it, as Enter does, once the page's script listens."""
        self.page.wait_for_load_state()
        for name, value in values.items():
            self.page.locator(f"#{form} [name={name}]").fill(value)
        self.page.locator(f"#{form} [name={name}]").press("Enter")

    def hear(self, text: str) -> None:
        """Wait for a text in a place that screen readers announce."""
        expect(self.page.locator("[role=status]").filter(has_text=text).first).to_be_visible()

    def register(self) -> None:
        self.visit("register")
        passwords = {"password1": self.password, "password2": self.password}
        self.fill("register", username=self.name, email=self.email, **passwords)
        self.hear("Look into your e-mail")
        self.follow("verify-email")
        self.page.get_by_role("button", name="Verify").click()
        self.hear("Your e-mail address is verified")

    def log_in(self) -> None:
        self.visit("login")
        self.fill("login", login=self.name, password=self.password)
        self.see_account()

    def see_account(self) -> None:
        self.page.wait_for_url("**/account/")
        expect(self.page.locator("#identity [data-of=username]")).to_have_text(self.name)

    def is_out(self) -> None:
        self.page.wait_for_url("**/account/login")

    def confirm_password(self, **more: str) -> None:
        expect(self.page.locator("#reauthenticate")).to_be_visible()
        self.fill("reauthenticate", password=self.password, **more)
        expect(self.page.locator("#reauthenticate")).to_be_hidden()

    def elsewhere(self, context: BrowserContext) -> "User":
        return User(self.site, context.new_page(), self.name, self.password)


@pytest.fixture
def user(site: Site, open_browser: Callable[..., BrowserContext]) -> User:
    user = User(site, open_browser(locale="en-GB").new_page())
    user.register()
    user.log_in()
    return user


def totp(secret: str, at: float) -> str:
    """Return the code of RFC 6238 for a moment."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.digest(key, struct.pack(">Q", int(at) // 30), "sha1")
    start = digest[-1] & 15
    number = int.from_bytes(digest[start : start + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**6:06}"


# --- The life of a user --------------------------------------------------------------------


def test_a_user_lives(site: Site, open_browser: Callable[..., BrowserContext]) -> None:
    """Register, follow the mailed link, log in, change what can be changed, log out."""
    ada = User(site, open_browser(locale="en-GB").new_page())
    page = ada.page
    ada.register()
    page.get_by_role("link", name="Log in").click()
    ada.fill("login", login=ada.email, password="not the password at all")
    ada.hear("Unable to log in")
    ada.fill("login", login=ada.email, password=ada.password)
    ada.see_account()

    ada.fill("profile", first_name="Ada", last_name="Lovelace")
    ada.hear("Saved.")
    page.reload()
    expect(page.locator("#profile [name=first_name]")).to_have_value("Ada")

    passwords = {"new_password1": CHANGED, "new_password2": CHANGED}
    ada.fill("password", old_password="wrong wrong wrong wrong", **passwords)
    wrong = page.locator("#password [name=old_password]")
    expect(wrong).to_be_focused()
    expect(wrong).to_have_attribute("aria-invalid", "true")
    ada.fill("password", old_password=ada.password, **passwords)
    ada.hear("Your password is changed")
    ada.password = CHANGED

    # Ten minutes later the password is asked for again.
    site.later(700)
    countess = f"countess-{ada.email}"
    ada.fill("email", email=countess)
    ada.confirm_password()
    ada.hear("A link was sent to the new address")
    ada.follow("change-email", countess)
    page.get_by_role("button", name="Confirm").click()
    ada.hear("This is the e-mail address of your account now")
    page.get_by_role("link", name="Your account").click()
    expect(page.locator("#identity [data-of=email]")).to_have_text(countess)

    with page.expect_download() as download:
        page.get_by_role("button", name="Download your data").click()
    assert json.loads(Path(download.value.path()).read_text("utf-8"))["user"]["email"] == countess

    page.get_by_role("button", name="Log out", exact=True).click()
    ada.is_out()
    ada.hear("You are logged out.")


def test_two_projects_on_one_host_leave_each_other_alone(
    sites: Sites, bake: Bake, home: Path, open_browser: Callable[..., BrowserContext]
) -> None:
    """Cookies know no port: in one browser somebody logs in and out at each (CKE-19, CKE-20)."""
    context, here = open_browser(locale="en-GB"), sites("cookie")
    project = bake(**ALL, token_delivery="cookie", project_slug="sister-api")
    with served(project, home) as there:
        ada, eve = User(here, context.new_page()), User(there, context.new_page())
        for user in (ada, eve):
            user.register()
            user.log_in()
        theirs = {"name": "of-somebody-else", "value": "1", "url": here.origin}
        context.add_cookies([theirs])  # type: ignore[list-item]
        for user in (ada, eve):
            user.page.reload()
            user.see_account()
        eve.page.get_by_role("button", name="Log out", exact=True).click()
        eve.is_out()
        ada.page.reload()
        ada.see_account()
        names = {cookie["name"] for cookie in context.cookies(here.origin)}
        assert names == {"my-api-access", "my-api-refresh", "of-somebody-else"}


def test_a_form_takes_nothing_before_its_script_listens(
    site: Site, open_browser: Callable[..., BrowserContext]
) -> None:
    """On a slow network: what was typed, and Enter, would be lost."""
    page = open_browser().new_page()
    held = list[Route]()
    page.route("**/page.js", lambda route: held.append(route))  # noqa: PLW0108 - it is marked
    with page.expect_request("**/page.js"):
        page.goto(f"{site.origin}/account/login", wait_until="commit")
    page.locator("#login [name=login]").wait_for()
    focus = "document.querySelector('#login [name=login]').focus(), document.activeElement.tagName"
    assert page.evaluate(focus) == "BODY"
    held[0].continue_()
    page.wait_for_load_state()
    assert page.evaluate(focus) == "INPUT"


def test_the_account_is_shown_when_nothing_moves_any_more(user: User) -> None:
    """A list that came later would push the button away that is just being clicked."""
    page = user.page
    held = list[Route]()
    for last in ("sessions", "api-keys", "mfa/status", "passkeys", "social/accounts"):
        address = f"**/api/auth/{last}/"
        page.route(address, lambda route: held.append(route))  # noqa: PLW0108 - it is marked
        with page.expect_request(address):
            page.reload()
        expect(page.locator("#identity [data-of=username]")).to_have_text(user.name)
        expect(page.locator("#sections")).to_be_hidden()
        held.pop().continue_()
        expect(page.locator("#sections")).to_be_visible()
        page.unroute(address)


def test_a_list_that_cannot_be_read_again_says_so(user: User) -> None:
    """The new password has ended the other sessions, which the page still shows."""
    user.page.route("**/api/auth/sessions/", lambda route: route.fulfill(status=503, body="{}"))
    changed = {"new_password1": CHANGED, "new_password2": CHANGED}
    user.fill("password", old_password=user.password, **changed)
    user.hear("Your password is changed")
    expect(user.page.locator("#sessions-answer")).not_to_be_empty()


def test_a_password_is_recovered_and_an_account_deleted(user: User) -> None:
    page = user.page
    page.get_by_role("button", name="Log out", exact=True).click()
    user.is_out()
    page.get_by_role("link", name="Forgot your password?").click()
    user.fill("forgot", email=user.email)
    user.hear("a link is on its way")
    user.follow("reset-password", user.email)
    user.fill("reset", new_password1=RECOVERED, new_password2=RECOVERED)
    user.hear("Your password is changed and every device is logged out.")
    user.password = RECOVERED
    user.log_in()
    page.get_by_role("button", name="Delete the account").click()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Delete the account").click()
    page.get_by_role("button", name="Yes").click()
    user.is_out()
    user.hear("Your account is deleted.")
    user.fill("login", login=user.name, password=user.password)
    user.hear("Unable to log in")


def test_a_change_of_address_is_taken_back(user: User) -> None:
    thiefs = f"thief-{user.email}"
    user.fill("email", email=thiefs)
    user.hear("A link was sent")
    user.follow("change-email", thiefs)
    user.page.get_by_role("button", name="Confirm").click()
    user.hear("This is the e-mail address of your account now")
    user.follow("restore-email")
    user.page.get_by_role("button", name="Restore").click()
    user.hear("Your account has its former e-mail address again")
    user.visit("")
    user.is_out()


def test_a_link_without_its_secret_says_so(user: User) -> None:
    for page in ("reset-password", "change-email", "restore-email"):
        user.visit(page)
        user.hear("This link is incomplete")
        expect(user.page.locator("form")).to_be_hidden()
    user.visit("verify-email")
    user.fill("resend", email=user.email)
    user.hear("If the address waits for its verification")
    user.visit("verify-email#key=used")
    user.page.get_by_role("button", name="Verify").click()
    user.hear("Invalid or expired key.")
    # What a link carries is not left in the address bar.
    assert user.page.url.endswith("/account/verify-email")


def test_the_owner_of_an_address_is_asked_for_the_password(
    site: Site, open_browser: Callable[..., BrowserContext]
) -> None:
    """Two have registered an address; the link is followed on a device that did not."""
    stranger, owner = (User(site, open_browser(locale="en-GB").new_page()) for _ in range(2))
    owner.email = stranger.email
    stranger.password = "correct horse battery strangers"
    for each in (stranger, owner):
        each.visit("register")
        passwords = {"password1": each.password, "password2": each.password}
        each.fill("register", username=each.name, email=each.email, **passwords)
        each.hear("Look into your e-mail")
    phone = owner.elsewhere(open_browser(locale="en-GB"))
    phone.email = owner.email
    phone.follow("verify-email")
    phone.page.get_by_role("button", name="Verify").click()
    expect(phone.page.locator("#verify [name=password]")).to_be_visible()
    expect(phone.page.locator("#anew")).to_be_visible()
    phone.fill("verify", password=owner.password)
    phone.hear("Your e-mail address is verified")
    expect(phone.page.locator("#anew")).to_be_hidden()
    phone.log_in()


def test_the_browser_that_registered_is_not_asked(
    site: Site, open_browser: Callable[..., BrowserContext]
) -> None:
    """Nor does it matter that a stranger has registered the address, too."""
    stranger, owner = (User(site, open_browser(locale="en-GB").new_page()) for _ in range(2))
    stranger.email = owner.email
    stranger.password = "correct horse battery strangers"
    stranger.visit("register")
    passwords = {"password1": stranger.password, "password2": stranger.password}
    stranger.fill("register", username=stranger.name, email=stranger.email, **passwords)
    stranger.hear("Look into your e-mail")
    owner.register()
    owner.log_in()


def test_a_registration_of_somebody_else_is_deleted(
    site: Site, open_browser: Callable[..., BrowserContext]
) -> None:
    stranger = User(site, open_browser(locale="en-GB").new_page())
    stranger.visit("register")
    passwords = {"password1": stranger.password, "password2": stranger.password}
    stranger.fill("register", username=stranger.name, email=stranger.email, **passwords)
    stranger.hear("Look into your e-mail")
    stranger.follow("reject-registration")
    stranger.page.get_by_role("button", name="Delete the registration").click()
    stranger.hear("The registration is deleted")


def test_a_session_is_ended_from_another_browser(
    user: User, open_browser: Callable[..., BrowserContext]
) -> None:
    agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Safari/604.1"
    phone = user.elsewhere(open_browser(user_agent=agent, locale="en-GB"))
    phone.log_in()
    user.page.reload()
    expect(user.page.locator("#sessions li")).to_have_count(2)
    user.page.get_by_role("button", name="Log out: Safari · iPhone").click()
    expect(user.page.locator("#sessions li")).to_have_count(1)
    phone.fill("profile", first_name="Eve")
    phone.is_out()
    user.page.reload()
    user.see_account()
    # All others at once, and then all.
    phone.log_in()
    user.page.reload()
    user.page.get_by_role("button", name="Log out all other devices").click()
    expect(user.page.locator("#sessions li")).to_have_count(1)
    phone.page.reload()
    phone.is_out()
    phone.log_in()
    user.page.get_by_role("button", name="Log out everywhere").click()
    user.is_out()
    phone.page.reload()
    phone.is_out()


def test_a_second_factor_is_set_up_asked_and_removed(user: User) -> None:
    page, site = user.page, user.site
    page.get_by_role("button", name="Set up an authenticator app").click()
    expect(page.get_by_role("img", name="The key below, as a QR code")).to_be_visible()
    assert page.locator("#mfa-activate img").evaluate("it => it.naturalWidth") > 0
    secret = page.locator("#mfa-activate code").inner_text()

    def code() -> str:
        # Each works once: go to another half minute, and some seconds into it, as clocks differ.
        site.later(70 - int(time.time() + site.ahead) % 30)
        return totp(secret, time.time() + site.ahead)

    user.fill("mfa-activate", code="000000")
    expect(page.locator("#mfa-activate-code-error")).to_have_text("The code is not correct.")
    user.fill("mfa-activate", code=code())
    expect(page.locator("#mfa-codes li")).to_have_count(10)
    recovery = page.locator("#mfa-codes li").all_inner_texts()
    page.get_by_role("button", name="I have kept them").click()
    expect(page.locator("#mfa-since")).to_contain_text("Recovery codes left: 10")

    for right in (code(), recovery[0]):
        page.get_by_role("button", name="Log out", exact=True).click()
        user.is_out()
        user.fill("login", login=user.name, password=user.password)
        expect(page.locator("#mfa [name=code]")).to_be_focused()
        expect(page.locator("#login")).to_be_hidden()
        user.fill("mfa", code="000000")
        expect(page.locator("#mfa-code-error")).to_have_text("The code is not correct.")
        user.fill("mfa", code=right)
        user.see_account()

    # A recent login is one with both factors.
    site.later(700)
    page.get_by_role("button", name="New recovery codes").click()
    page.get_by_role("button", name="Yes").click()
    user.fill("reauthenticate", password=user.password)
    expect(page.locator("#reauthenticate [name=code]")).to_be_focused()
    user.fill("reauthenticate", code=code())
    expect(page.locator("#mfa-codes li")).to_have_count(10)
    assert set(page.locator("#mfa-codes li").all_inner_texts()).isdisjoint(recovery)
    page.get_by_role("button", name="I have kept them").click()
    user.fill("mfa-deactivate", code=code())
    expect(page.get_by_role("button", name="Set up an authenticator app")).to_be_visible()


def test_a_passkey_is_added_used_and_removed(user: User) -> None:
    """In place of the password, as the step after it, and where it is asked again."""
    page = user.page
    page.get_by_role("button", name="Add a passkey").click()
    # No browser has them on an address.
    user.hear("Passkeys work on http://localhost:")
    user.site = replace(user.site, origin=user.site.origin.replace("127.0.0.1", "localhost"))
    devices = page.context.new_cdp_session(page)
    devices.send("WebAuthn.enable")
    devices.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})
    user.log_in()
    page.get_by_label("A name for it").fill("My phone")
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.locator("#mfa-codes li")).to_have_count(10)
    expect(page.locator("#passkeys li")).to_contain_text("never used")
    page.get_by_role("button", name="Add a passkey").click()
    user.hear("This device has a passkey of this account already.")
    page.get_by_role("button", name="I have kept them").click()
    expect(page.locator("#mfa-since")).to_contain_text("Recovery codes left: 10")

    page.get_by_role("button", name="Log out", exact=True).click()
    user.is_out()
    page.get_by_role("button", name="Log in with a passkey").click()
    user.see_account()
    expect(page.locator("#passkeys li")).to_contain_text("last used")
    page.get_by_role("button", name="Log out", exact=True).click()
    user.is_out()
    user.fill("login", login=user.name, password=user.password)
    page.get_by_role("button", name="Use a passkey").click()
    user.see_account()

    user.site.later(700)
    page.get_by_role("button", name="Remove: My phone").click()
    page.get_by_role("button", name="Yes").click()
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.locator("#passkeys li")).to_have_count(0)
    expect(page.locator("#mfa-since")).to_be_hidden()
    user.log_in()


def test_a_mailed_code_logs_in(user: User) -> None:
    page = user.page
    page.get_by_role("button", name="Log out", exact=True).click()
    user.is_out()
    user.fill("login-code", login=user.name)
    user.hear("a code is on its way")
    expect(page.locator("#login-code-confirm [name=code]")).to_be_focused()
    user.fill("login-code-confirm", code="BBBB-BBBB")
    expect(page.locator("#login-code-confirm-code-error")).to_be_visible()
    code = user.site.mailed(r"\b[A-Z0-9]{4}-[A-Z0-9]{4}\b", user.email)
    user.fill("login-code-confirm", code=code)
    user.see_account()


def test_an_api_key_is_made_and_revoked(user: User) -> None:
    page = user.page
    page.locator("#key [name=name]").fill("Nightly backup")
    page.get_by_role("button", name="Make a key").click()
    expect(page.locator("#key-scopes-error")).to_be_visible()
    page.get_by_label("Read").check()
    page.get_by_role("button", name="Make a key").click()
    key = page.locator("#new-key code")
    expect(key).to_be_focused()
    assert "_key_" in key.inner_text()
    expect(page.locator("#api-keys li")).to_contain_text("Nightly backup")
    page.get_by_role("button", name="Revoke: Nightly backup").click()
    expect(page.locator("#api-keys li")).to_have_count(0)
    expect(key).to_be_hidden()


def test_who_was_invited_registers_and_is_logged_in(
    bake: Bake, home: Path, open_browser: Callable[..., BrowserContext]
) -> None:
    """Here with addresses for names, and without most of what can be chosen."""
    project = bake(registration="invite", login_with="email", mfa="none")
    with served(project, home) as site:
        make_admin(project, home)
        client = Client(site.origin)
        client.send("", "POST", "/api/auth/login/", {**GRACE, "password": PASSWORD}, keep=TOKENS)
        user = User(site, open_browser(locale="en-GB").new_page())
        body = {"email": user.email}
        client.send("", "POST", "/api/auth/invitations/", body, as_user=True, expect=201)
        passwords = {"password1": PASSWORD, "password2": PASSWORD}
        user.follow("accept-invitation")
        user.fill("accept", **passwords)
        user.page.wait_for_url("**/account/")
        expect(user.page.locator("#identity dd")).to_have_text([user.email])
        expect(user.page.get_by_role("heading", name="Second factor")).to_have_count(0)
        user.page.get_by_role("button", name="Log out", exact=True).click()
        user.is_out()
        expect(user.page.get_by_role("link", name="Create an account")).to_have_count(0)
        user.follow("accept-invitation")
        user.fill("accept", **passwords)
        user.hear("The invitation is not valid or has expired.")
        user.visit("login")
        user.fill("login", email=user.email, password=PASSWORD)
        user.page.wait_for_url("**/account/")


# --- Sessions in tabs ----------------------------------------------------------------------


def refreshes(page: Page) -> list[int]:
    """Return the statuses of the refreshes of a page, as they come in."""
    seen = list[int]()
    page.on("response", lambda it: seen.append(it.status) if "/token/refresh/" in it.url else None)
    return seen


def test_an_expired_access_token_is_renewed_unnoticed(user: User) -> None:
    seen = refreshes(user.page)
    for name in ("Ada", "Augusta"):
        user.site.later(90)
        user.fill("profile", first_name=name)
        user.hear("Saved.")
        user.page.reload()
        expect(user.page.locator("#profile [name=first_name]")).to_have_value(name)
    assert set(seen) == {200}
    assert user.page.url.endswith("/account/")


def test_two_tabs_that_refresh_at_once_stay_logged_in(user: User) -> None:
    tabs = [user, user.elsewhere(user.page.context)]
    tabs[1].visit("")
    tabs[1].see_account()
    seen = [refreshes(tab.page) for tab in tabs]
    for name in ("One", "Two", "Three"):
        user.site.later(90)
        for tab in tabs:
            tab.page.evaluate(
                "name => { document.querySelector('#profile [name=first_name]').value = name;"
                " setTimeout(() => document.querySelector('#profile button').click()) }",
                name,
            )
        for tab in tabs:
            tab.hear("Saved.")
            tab.page.evaluate("document.querySelector('#profile .answer').textContent = ''")
    assert [set(each) for each in seen] == [{200}, {200}]
    for tab in tabs:
        tab.page.reload()
        tab.see_account()


def test_logging_out_in_one_tab_logs_out_the_other(user: User) -> None:
    other = user.elsewhere(user.page.context)
    other.visit("")
    other.see_account()
    other.page.get_by_role("button", name="Log out", exact=True).click()
    other.is_out()
    user.is_out()
    user.visit("")
    user.is_out()


def test_another_user_in_one_tab_is_another_user_in_the_other(
    user: User, site: Site, open_browser: Callable[..., BrowserContext]
) -> None:
    eve = User(site, open_browser(locale="en-GB").new_page())
    eve.register()
    eve.page = user.page.context.new_page()
    eve.log_in()
    expect(user.page.locator("#identity [data-of=username]")).to_have_text(eve.name)


def test_nobody_is_logged_out_while_the_server_is_unreachable(user: User) -> None:
    context = user.page.context
    user.site.later(90)
    context.route("**/api/**", lambda route: route.abort())
    user.fill("profile", first_name="Ada")
    user.hear("The server does not answer.")
    user.page.reload()
    user.hear("The server does not answer.")
    user.page.locator("#state").evaluate("it => { it.textContent = '' }")
    user.page.get_by_role("button", name="Log out", exact=True).click()
    expect(user.page.locator("#state")).to_contain_text("The server does not answer.")
    context.unroute("**/api/**")
    context.route("**/token/refresh/", lambda route: route.fulfill(status=503, body="{}"))
    user.page.reload()
    expect(user.page.get_by_role("button", name="Try again")).to_be_visible()
    context.unroute("**/token/refresh/")
    user.page.get_by_role("button", name="Try again").click()
    user.see_account()


def stop_amid_headers(server: socket.socket) -> None:
    """Answer each request with the beginning of an answer, until the server is shut down."""
    with suppress(OSError):
        while True:
            with server.accept()[0] as connection:
                connection.recv(2**16)
                connection.sendall(b"HTTP/1.1 200 OK\r\n")


def test_an_answer_that_breaks_off_in_its_headers_is_none(user: User) -> None:
    """A server that is stopped may send no more of it; Chromium shows that as an empty one."""
    page = user.page
    with ThreadPoolExecutor(1) as pool, socket.create_server(("127.0.0.1", 0)) as server:
        pool.submit(stop_amid_headers, server)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/"
        try:
            for what, line in (("token/refresh", "#state"), ("sessions", "#sessions-answer")):
                page.route(f"**/api/auth/{what}/", lambda route: route.continue_(url=address))
                user.site.later(90)
                page.reload()
                expect(page.locator(line)).to_contain_text("The server does not answer.")
                page.unroute(f"**/api/auth/{what}/")
        finally:
            server.shutdown(socket.SHUT_RDWR)  # it may wait for another
    page.reload()
    user.see_account()


def test_no_script_finds_more_of_a_token_than_it_must(user: User) -> None:
    """Header: the refresh token, because of reloads. Cookies: nothing."""
    found = user.page.evaluate("[{...localStorage}, {...sessionStorage}, document.cookie]")
    if user.site.project.answers["token_delivery"] == "cookie":
        assert found == [{}, {}, ""]
    else:
        assert len(found[0]) == 1
        assert found[1:] == [{}, ""]


def test_a_login_elsewhere_goes_there_and_a_foreign_return_is_refused(user: User) -> None:
    """Without credentials the provider is not there; tests of the API speak to a real one."""
    user.page.get_by_role("button", name="Log out", exact=True).click()
    user.is_out()
    user.page.get_by_role("button", name="Log in with Google").click()
    user.hear("This provider is not configured.")
    user.visit("social/google?code=stolen&state=stolen")
    user.hear("This login was not begun here")
    assert user.page.url.endswith("/account/social/google")


def test_a_login_elsewhere_comes_back(user: User) -> None:
    """The browser's half: what begins, what is kept, and what is brought to the API."""
    page, context = user.page, user.page.context
    provider = f"{user.site.origin}/account/social/google?code=c&state=s&iss=i"
    begun = json.dumps({"authorization_url": provider, "flow_token": "t"})
    brought = list[Any]()
    context.route("**/social/google/begin/", lambda it: it.fulfill(body=begun))

    def refuse(route: Any) -> None:
        brought.append(route.request.post_data_json)
        route.fulfill(
            status=409, body=json.dumps({"detail": "Link first.", "code": "account_exists"})
        )

    context.route("**/api/auth/social/google/", refuse)
    user.visit("login")
    page.get_by_role("button", name="Log in with Google").click()
    user.hear("Link first.")
    assert brought == [{"flow_token": "t", "state": "s", "code": "c", "iss": "i"}]
    assert page.evaluate("({...sessionStorage})") == {}


def test_pages_can_be_used_by_keyboard_alone(user: User) -> None:
    page = user.page
    page.get_by_role("button", name="Log out", exact=True).click()
    user.is_out()
    expect(page.locator("#login")).to_be_visible()
    keys = page.keyboard
    keys.press("Tab")
    keys.type(user.name)
    keys.press("Tab")
    keys.type(user.password)
    keys.press("Tab")
    expect(page.get_by_role("button", name="Log in", exact=True)).to_be_focused()
    keys.press("Enter")
    user.see_account()
    page.get_by_role("button", name="Delete the account").focus()
    keys.press("Enter")
    expect(page.locator("#confirm")).to_be_visible()
    keys.press("Escape")
    expect(page.locator("#confirm")).to_be_hidden()
    expect(page.get_by_role("button", name="Delete the account")).to_be_focused()


# --- How it looks --------------------------------------------------------------------------


@pytest.fixture(scope="session")
def axe(node: Node) -> str:
    """Return the source of axe-core."""
    return (node.modules / "axe-core" / "axe.min.js").read_text("utf-8")


LOOKS: dict[str, dict[str, Any]] = {
    "light": {"locale": "en-GB", "color_scheme": "light"},
    "dark": {"locale": "en-GB", "color_scheme": "dark"},
    "phone": {"locale": "de-DE", "viewport": {"width": 360, "height": 740}},
    "arabic": {"locale": "ar", "color_scheme": "light"},
    "arabic phone": {
        "locale": "ar",
        "color_scheme": "dark",
        "viewport": {"width": 360, "height": 740},
    },
}
PAGES = {
    "login": "login",
    "register": "register",
    "verify-email": "verify-email#key=k",
    "resend-email": "verify-email",
    "reject-registration": "reject-registration#key=k",
    "forgot-password": "forgot-password",
    "reset-password": "reset-password#uid=u&token=t",
    "incomplete": "reset-password",
    "change-email": "change-email#key=k",
    "restore-email": "restore-email#key=k",
    "undo-factor": "undo-factor#key=k",
    "social": "social/google?code=c&state=s",
}


@pytest.mark.parametrize("look", LOOKS)
def test_no_page_hinders_anybody(
    look: str, axe: str, sites: Sites, open_browser: Callable[..., BrowserContext]
) -> None:
    """By axe-core's rules of WCAG 2.2 AA and good practice, and without sideways scrolling."""
    site = sites("cookie")
    somebody = User(site, open_browser(locale="en-GB").new_page())
    somebody.register()
    # Beside a second window Chromium draws the first one twice a second, and each click waits.
    somebody.page.context.close()
    user = somebody.elsewhere(open_browser(**LOOKS[look]))
    page = user.page

    def judge(name: str) -> None:
        if folder := os.environ.get("SHOTS"):
            page.screenshot(path=Path(folder) / f"{look} {name}.png", full_page=True)
        page.evaluate(axe)
        found = page.evaluate("axe.run().then(it => it.violations)")
        assert [(each["id"], [it["html"] for it in each["nodes"]]) for each in found] == [], name
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name

    for name, path in PAGES.items():
        page.goto("about:blank")
        user.visit(path)
        page.wait_for_load_state("networkidle")
        judge(name)
    user.visit("login")
    user.fill("login", login=user.name, password="not the password at all")
    expect(page.locator("#login .answer")).not_to_be_empty()
    judge("login refused")
    user.fill("login", login=user.name, password=user.password)
    user.see_account()
    page.wait_for_load_state("networkidle")
    judge("account")
    page.locator("#key [name=name]").fill("Nightly backup")
    page.locator("#key [name=scopes]").first.check()
    page.locator("#key button").click()
    expect(page.locator("#api-keys li")).to_have_count(1)
    page.locator("#mfa-begin").click()
    expect(page.locator("#mfa-activate img")).to_be_visible()
    user.fill("password", old_password="wrong", new_password1=CHANGED, new_password2=CHANGED)
    expect(page.locator("#password-old_password-error")).to_be_visible()
    judge("account in use")
    page.locator("#delete button").click()
    judge("confirm")
    page.locator("#confirm [data-cancel]").click()
    site.later(700)
    page.locator("#export button").click()
    expect(page.locator("#reauthenticate")).to_be_visible()
    judge("reauthenticate")
