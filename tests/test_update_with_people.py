"""An update with people in it: the users of the old project continue in the new one.

A project of the commit FORMER is filled with people over HTTP, updated to the working tree by
`regenerate update`, migrated and served again. Then the same people continue. A new kind of person
is a new subclass of `Person`. ENDS names what an update may end.
"""

import copy
import http.client
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any, ClassVar, Final
from urllib.parse import urlencode

import pytest

from scripts.demo import mails_in
from scripts.walk import PASSWORD, RECOVERED, Client, Life, Unexpected, answers_of, totp
from tests.conftest import git
from tests.project import PYTHON, ROOT, Answers, BakedProject, environment, run
from tests.regenerating import commit, committed, render
from tests.test_end_to_end import make_admin, running
from tests.test_regenerate_template import EDITS, FILES, work

pytestmark = pytest.mark.slow

FORMER: Final = "7c55c903fd96c74d592798aee0573d72ab06a398"
# What ends with the update: the name of a subclass of Person, and the sentence of UPGRADING.md
# that says so.
ENDS: Final[dict[str, str]] = {
    "Administrator": "Sessions of the admin end: whoever works there logs in again.",
}

PROJECTS: dict[str, Answers] = {
    "tokens in headers, PostgreSQL, many features": {
        "database": "postgresql",
        "token_delivery": "header",
        "registration": "open",
        "email_verification": "mandatory",
        "mfa": "totp_and_passkeys",
        "social_providers": "",
        "login_by_code": True,
        "api_keys": True,
    },
    "tokens in cookies, SQLite": {"database": "sqlite", "token_delivery": "cookie"},
}

# The team has a field of its own, and an endpoint that shows it; with API keys, to these as well.
TEAM_EDITS: Final = [edit for edit in EDITS if edit[0].startswith(("users/", "config/"))]
SCOPES: Final = "auth_core.features.api_keys.permissions"
OPENED_TO_KEYS: Final = [
    ("shop/urls.py", "from django", f"from {SCOPES} import has_scope\nfrom django"),
    ("shop/urls.py", "View):\n", 'View):\n    permission_classes = (has_scope(read="read"),)\n\n'),
]
WITH_APPS: Final = ("totp", "totp_and_passkeys")


@dataclass
class Browser(Client):
    """Keeps cookies; with `csrf_url` it brings CSRF tokens, as docs/contract.md has it."""

    csrf_url: str = ""
    cookies: dict[str, str] = field(default_factory=dict)
    proof: str = ""

    def send(self, *arguments: Any, as_user: bool = False, **options: Any) -> Any:  # noqa: ARG002
        """Send one request: the cookies say whose it is."""
        return super().send(*arguments, **options)

    def exchange(
        self, method: str, path: str, headers: Mapping[str, str], content: str | None
    ) -> tuple[int, Any]:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent = {**headers, "Cookie": cookies}
        if method != "GET" and self.csrf_url:
            self.proof = self.proof or self.new_proof()
            sent["X-CSRF-Token"] = self.proof
        status, answer = super().exchange(method, path, sent, content)
        said = answer if isinstance(answer, dict) else {}
        if said.get("code") == "csrf_failed" and "X-CSRF-Token" not in headers:
            repeated = {**headers, "X-CSRF-Token": self.new_proof()}
            return self.exchange(method, path, repeated, content)
        self.proof = said.get("csrf_token", self.proof)
        return status, answer

    def new_proof(self) -> str:
        self.proof = self.exchange("GET", self.csrf_url, {}, None)[1]["csrf_token"]
        return self.proof

    def heed(self, headers: http.client.HTTPMessage) -> None:
        for line in headers.get_all("Set-Cookie", []):
            for name, cookie in SimpleCookie(line).items():
                self.cookies[name] = cookie.value
                if cookie["max-age"] == "0":
                    del self.cookies[name]


@dataclass(frozen=True)
class Site:
    """A project, and where its old version runs: with the environment and the database."""

    project: BakedProject
    environment: Path
    variables: dict[str, Any]

    def mails(self, address: str) -> Sequence[str]:
        return mails_in(self.project.path / "var" / "mail", address)


@dataclass
class Person(Life):
    """Somebody who uses the old server in `before` and the new one in `after`.

    `client` stays the same, with all that it keeps. A failure quotes the docstring of its class.
    """

    site: Site = field(kw_only=True)
    # The answers with which there is such a person: the keywords of the class.
    needs: ClassVar[Mapping[str, tuple[Any, ...]]]

    def __init_subclass__(cls, **needs: tuple[Any, ...]) -> None:
        cls.needs = needs

    def before(self) -> None:
        raise NotImplementedError

    def after(self) -> None:
        raise NotImplementedError

    def join(self) -> None:
        self.register()
        self.log_in(PASSWORD)

    def enter(self, password: str) -> None:
        self.log_in(password)
        self.see_yourself("See yourself in the new session")

    def keep(self, **values: str) -> None:
        self.client.kept |= values


class AccessToken(Person):
    """An access token is good until it expires."""

    def before(self) -> None:
        self.join()

    def after(self) -> None:
        self.see_yourself("Use the old access token")


class RefreshToken(Person):
    """A session goes on with its refresh token."""

    def before(self) -> None:
        self.join()

    def after(self) -> None:
        self.renew("Exchange the old refresh token")
        self.see_yourself("Use the new access token")


class Password(Person):
    """A password logs in."""

    def before(self) -> None:
        self.register()

    def after(self) -> None:
        self.enter(PASSWORD)


class EndedSession(Person):
    """A session that was ended stays so."""

    def before(self) -> None:
        self.join()
        elsewhere = copy.deepcopy(self)
        path = f"{self.auth}/logout/all/"
        elsewhere.client.send("Log out everywhere", "POST", path, {}, as_user=True)

    def after(self) -> None:
        copy.deepcopy(self).see_yourself("Use a dead access token", expect=401)
        self.renew("Exchange a dead refresh token", expect=401)


class AuthenticatorApp(Person, mfa=WITH_APPS):
    """An app goes on to show codes that finish a login."""

    def before(self) -> None:
        self.join()
        self.set_up_an_app()

    def after(self) -> None:
        self.log_in_halfway("Log in with the password", PASSWORD)
        self.bring_code("Bring the app's code", totp(self.client.kept["SECRET"]))
        self.see_yourself("See yourself in the new session")


class RecoveryCode(Person, mfa=WITH_APPS):
    """Recovery codes are good, unless they were used."""

    def before(self) -> None:
        self.join()
        _, used, unused = self.set_up_an_app()
        self.log_in_halfway("Log in with the password", PASSWORD)
        self.bring_code("Bring a recovery code", used)
        self.keep(USED=used, UNUSED=unused)

    def after(self) -> None:
        self.log_in_halfway("Log in with the password", PASSWORD)
        self.bring_code("A recovery code that was used", self.client.kept["USED"], expect=400)
        self.bring_code("Bring another recovery code", self.client.kept["UNUSED"])
        self.see_yourself("See yourself in the new session")


class Passkey(Person, mfa=("totp_and_passkeys",)):
    """A passkey logs in."""

    def before(self) -> None:
        self.join()
        self.hold("register", name="Phone", as_user=True, expect=201)

    def after(self) -> None:
        self.hold("login", keep=self.tokens)
        self.see_yourself("See yourself in the new session")

    def hold(self, ceremony: str, name: str = "", **options: Any) -> None:
        """Answer a ceremony with the device."""
        path = f"{self.auth}/passkeys/{ceremony}"
        is_user = "as_user" in options
        begun = self.client.send("Begin", "POST", f"{path}/begin/", {}, as_user=is_user)
        device = (self.site.environment / "bin" / "python", ROOT / "tests/inside/passkey.py")
        file = self.site.project.path / "var" / "passkey.json"
        page = self.client.origin.replace("127.0.0.1", "localhost")
        done = run(ROOT, *device, file, page, json.dumps(begun["options"]), check=False)
        if done.returncode:
            raise Unexpected(done.stderr)
        body = {"flow_token": begun["flow_token"], "credential": json.loads(done.stdout)}
        body |= {"name": name} if name else {}
        self.client.send("Use the passkey", "POST", f"{path}/complete/", body, **options)


class PendingRegistration(Person, registration=("open",), email_verification=("mandatory",)):
    """The mailed link of a registration is good."""

    def before(self) -> None:
        self.sign_up()
        self.get_the_link()

    def after(self) -> None:
        self.verify()
        self.enter(PASSWORD)


class ResetLink(Person):
    """The mailed link of a forgotten password is good."""

    def before(self) -> None:
        self.register()
        self.forget_the_password()

    def after(self) -> None:
        self.set_a_new_password()
        self.enter(RECOVERED)


class EmailChange(Person):
    """The link that was mailed to a new address is good."""

    def before(self) -> None:
        self.join()
        self.ask_for_the_change()

    def after(self) -> None:
        self.bring_key("confirm")
        self.log_in(PASSWORD)
        self.has_address(self.new_address)

    @property
    def new_address(self) -> str:
        return f"new.{self.who}@example.com"

    def ask_for_the_change(self) -> None:
        path, body = f"{self.auth}/email/change/", {"email": self.new_address}
        self.client.send("Ask for another address", "POST", path, body, as_user=True)
        self.client.follow_mail(
            lambda: self.site.mails(self.new_address), "change-email", KEY="key"
        )

    def bring_key(self, what: str) -> None:
        path, body = f"{self.auth}/email/change/{what}/", {"key": self.client.kept["KEY"]}
        self.client.send("Follow the mailed link", "POST", path, body)

    def has_address(self, address: str) -> None:
        found = self.see_yourself("See yourself")["email"]
        if found != address:
            raise Unexpected(f"The address is {found}, not {address}")


class EmailUndo(EmailChange):
    """The link that was mailed to an old address is good."""

    def before(self) -> None:
        super().before()
        self.bring_key("confirm")
        self.client.follow_mail(self.mails, "restore-email", KEY="key")

    def after(self) -> None:
        self.bring_key("undo")
        self.log_in(PASSWORD)
        self.has_address(self.email["email"])


class LoginCode(Person, login_by_code=(True,)):
    """A mailed code logs in."""

    def before(self) -> None:
        self.register()
        path, keep = f"{self.auth}/login/code/", {"LOGIN": "login_token"}
        self.client.send("Ask for a code", "POST", path, self.name or self.email, keep=keep)
        (code,) = re.findall(r"^[A-Z0-9-]{6,}$", self.mails()[-1], re.MULTILINE)
        self.keep(CODE=code)

    def after(self) -> None:
        body = {"login_token": self.client.kept["LOGIN"], "code": self.client.kept["CODE"]}
        path = f"{self.auth}/login/code/confirm/"
        self.client.send("Bring the code", "POST", path, body, keep=self.tokens)
        self.see_yourself("See yourself in the new session")


class ApiKey(Person, api_keys=(True,)):
    """An API key opens what it opened."""

    def before(self) -> None:
        self.join()
        body = {"name": "Till", "scopes": ["read"], "days": 30}
        path, keep = f"{self.auth}/api-keys/", {"API_KEY": "key"}
        title = "Make an API key"
        self.client.send(title, "POST", path, body, as_user=True, expect=201, keep=keep)
        self.use_the_key()

    def after(self) -> None:
        self.use_the_key()

    def use_the_key(self) -> None:
        kept = {"ACCESS": self.client.kept["API_KEY"]}
        program = Client(self.client.origin, "Api-Key", kept=kept)
        program.send("Use the API key", "GET", "/shop/", as_user=True)


class Nickname(Person):
    """The team's own field keeps what it holds."""

    def before(self) -> None:
        self.join()
        path, body = f"{self.auth}/user/", {"nickname": "Ann"}
        self.client.send("Choose a nickname", "PATCH", path, body, as_user=True)

    def after(self) -> None:
        self.log_in(PASSWORD)
        found = self.client.send("See the shop", "GET", "/shop/", as_user=True)["buyer"]
        if found != "Ann":
            raise Unexpected(f"The nickname is {found!r}, not 'Ann'")


class Administrator(Person):
    """A session of the admin."""

    def before(self) -> None:
        make_admin(self.site.project, self.site.environment, **self.site.variables)
        self.client = Browser(self.client.origin)
        self.client.exchange("GET", "/admin/login/", {}, None)
        form = {
            "username": "grace",
            "password": PASSWORD,
            "csrfmiddlewaretoken": self.client.cookies["csrftoken"],
        }
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        self.client.exchange("POST", "/admin/login/", kind, urlencode(form))
        self.see_users()

    def after(self) -> None:
        self.see_users()

    def see_users(self) -> None:
        page = self.client.send("List the users in the admin", "GET", "/admin/users/user/")
        if "grace@example.com" not in page:
            raise Unexpected("The admin does not list its own user")


def kinds(of: type[Person] = Person) -> Iterator[type[Person]]:
    for kind in of.__subclasses__():
        yield kind
        yield from kinds(kind)


def people_of(site: Site, origin: str) -> Iterator[Person]:
    """Make one of each kind that the project can have."""
    answers = site.project.answers
    for kind in kinds():
        if all(answers[question] in values for question, values in kind.needs.items()):
            client: Client = Client(origin, answers["auth_header_type"])
            if answers["token_delivery"] == "cookie":
                client = Browser(origin, csrf_url=f"/{answers['auth_url_prefix']}/csrf/")
            # A name like "password" alone is reserved.
            who = f"with.{kind.__name__.lower()}"
            mails = partial(site.mails, f"{who}@example.com")
            yield kind(client, answers, mails, who, site=site)


def failure_of(person: Person) -> str:
    """Let somebody go on; return what went wrong, if anything did."""
    try:
        person.after()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def complaint_about(name: str, failure: str, upgrading: str) -> str:
    """Say what is wrong with how a kind of person fared, if anything is."""
    if name not in ENDS:
        return failure
    if not failure:
        return "goes on, but ENDS says that it ends"
    is_said = " ".join(ENDS[name].split()) in " ".join(upgrading.split())
    return "" if is_said else f"ends, but UPGRADING.md does not say: {ENDS[name]}"


@pytest.mark.parametrize(
    ("ends", "failure", "upgrading", "complaint"),
    [
        ("", "", "", ""),
        ("", "401", "All keys end.", "401"),
        ("All keys end.", "401", "Beware:\nAll keys\nend.", ""),
        ("All keys end.", "401", "", "ends, but UPGRADING.md does not say: All keys end."),
        ("All keys end.", "", "All keys end.", "goes on, but ENDS says that it ends"),
    ],
)
def test_what_ends_must_be_announced(
    ends: str, failure: str, upgrading: str, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if ends:
        monkeypatch.setitem(ENDS, "ApiKey", ends)
    assert complaint_about("ApiKey", failure, upgrading) == complaint


def test_only_what_is_tried_can_end() -> None:
    assert ENDS.keys() <= {kind.__name__ for kind in kinds()}


@pytest.fixture(scope="module")
def repository(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a repository with the commit FORMER and, on top of it, the working tree."""
    ask = ["git", "-C", str(ROOT), "cat-file", "-e", f"{FORMER}^{{commit}}"]
    if subprocess.run(ask, capture_output=True, check=False).returncode:
        pytest.skip(reason=f"no commit {FORMER[:7]} in this history (git fetch --unshallow)")
    folder = tmp_path_factory.mktemp("history") / "cookiecutter-drf-auth"
    git(ROOT, "init", "--quiet", "--bare", "--initial-branch", "main", str(folder))
    git(folder, "fetch", "--quiet", "--depth", "1", str(ROOT), FORMER)
    git(folder, "fetch", "--quiet", str(template), "main")
    files = git(folder, "rev-parse", "FETCH_HEAD^{tree}").strip()
    new = git(folder, "commit-tree", "-p", FORMER, "-m", "The working tree", files).strip()
    git(folder, "update-ref", "refs/heads/main", new)
    return folder


@pytest.fixture(scope="module")
def former_home(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the environment of FORMER's projects: `home`, until what they depend on is different."""

    def bake(**answers: Any) -> BakedProject:
        folder = tmp_path_factory.mktemp("former")
        return BakedProject(render(repository, folder, FORMER, **answers), {}, answers)

    return environment(bake, PYTHON, "5.2", is_newest=False)


@pytest.fixture
def old(
    repository: Path, former_home: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> Site:
    """Render a project of FORMER, in which a team has worked."""
    answers = request.param
    path = render(repository, tmp_path, FORMER, **answers)
    work(path, TEAM_EDITS, FILES)
    work(path, OPENED_TO_KEYS if answers.get("api_keys") else [], {})
    committed(path)
    variables = {}
    if answers["database"] == "postgresql":
        variables = {"DATABASE_URL": request.getfixturevalue("database")}
    return Site(BakedProject(path, answers_of(path), answers), former_home, variables)


@pytest.mark.parametrize("old", PROJECTS.values(), ids=list(PROJECTS), indirect=True)
def test_the_same_people_go_on(old: Site, home: Path, repository: Path) -> None:
    project, variables = old.project, old.variables
    with running(project, old.environment, **variables) as origin:
        people = list(people_of(old, origin))
        for person in people:
            person.before()

    regenerate = (sys.executable, "-m", "regenerate")
    newer = ("--template", str(repository), "--to", "main")
    run(ROOT, *regenerate, "update", project.path, *newer)
    commit(project.path, "Update the template")
    run(ROOT, *regenerate, "check", project.path)

    upgrading = (ROOT / "UPGRADING.md").read_text("utf-8")
    complaints = list[str]()
    with running(project, home, **variables) as origin:
        for person in people:
            person.client.origin = origin
            name = type(person).__name__
            if said := complaint_about(name, failure_of(person), upgrading):
                complaints.append(f"{name}: {type(person).__doc__}\n  {said}")
    if any(" answered 5" in each for each in complaints):
        log = (project.path / "var" / "server.log").read_text("utf-8", "replace")
        complaints.append(f"The server wrote:\n{log[-4000:]}")
    if complaints:
        advice = "What must end has an entry in ENDS and a sentence in UPGRADING.md."
        pytest.fail("\n".join(["After the update:", *complaints, advice]), pytrace=False)
    project.manage(home, "check", "--fail-level", "WARNING", variables=variables)
    project.manage(home, "makemigrations", "--check", "--dry-run", variables=variables)
