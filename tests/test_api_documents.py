"""What others make of a project's OpenAPI document: linters, generators, newman, Chromium."""

import http.client
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

from tests.conftest import CLIENTS, Node
from tests.project import ROOT, Answers, Bake, BakedProject, run
from tests.serving import Server, served

pytestmark = pytest.mark.slow

RENDERS: dict[str, Answers] = {
    "header": {"mfa": "none"},
    "cookie": {"token_delivery": "cookie", "login_with": "email", "auth_url_prefix": "v1/auth"},
    "all": {
        "token_delivery": "both",
        "registration": "invite",
        "api_keys": True,
        "social_providers": "google,github,openid_connect",
        "signing_algorithm": "EdDSA",
        "auth_header_type": "JWT",
        "email_verification": "optional",
    },
    "tutorial": {
        "login_with": "username",
        "email_verification": "none",
        "tutorial_contract": True,
        "auth_header_type": "JWT",
    },
}


@pytest.fixture(scope="module")
def documents(bake: Bake, home: Path) -> Callable[[str], Path]:
    """Write the OpenAPI document of a render, once for all tests here."""

    @cache
    def written(name: str) -> Path:
        project = bake(**RENDERS[name])
        project.make(".env", home)
        project.manage(home, "spectacular", "--format", "openapi-json", "--file", "openapi.json")
        return project.path / "openapi.json"

    return written


@pytest.fixture(params=RENDERS)
def document(
    request: pytest.FixtureRequest, documents: Callable[[str], Path], tmp_path: Path
) -> Path:
    return Path(shutil.copy(documents(request.param), tmp_path))


def test_a_linter_finds_no_error(document: Path, node: Node) -> None:
    node("redocly", "lint", "--config", CLIENTS / "redocly.yaml", document, cwd=document.parent)


USE = """\
import type { paths, components } from "./api";

type Login = paths["%s"]["post"];
type Answer = Login["responses"][200]["content"]["application/json"];
type Refusal = Login["responses"][400]["content"]["application/json"];

export function why(refusal: Refusal): string {
  switch (refusal.code) {
    case "invalid_credentials":
      return "Wrong name or password.";
    // @ts-expect-error: no code of a login
    case "no_such_code":
      return "";
    default:
      return refusal.request_id;
  }
}
export const expires = (it: Answer) => "access_expiration" in it && it.access_expiration;
export type User = components["schemas"]["User"];
"""


def test_the_client_for_typescript_compiles(document: Path, node: Node) -> None:
    """openapi-typescript's, strictly; a code that no login has is an error."""
    folder = document.parent / "client"
    folder.mkdir()
    node("openapi-typescript", document, "--output", folder / "api.ts", cwd=folder)
    paths = json.loads(document.read_text("utf-8"))["paths"]
    login = next(
        path for path, it in paths.items() if it.get("post", {}).get("operationId") == "login"
    )
    (folder / "use.ts").write_text(USE % login, "utf-8")
    node("tsc", "--noEmit", "--strict", "--skipLibCheck", "use.ts", cwd=folder)


def test_the_client_for_python_compiles(document: Path) -> None:
    """openapi-python-client's, every operation of it, and mypy has no complaint."""
    folder = document.parent
    program = Path(sys.executable).with_name("openapi-python-client")
    words = ["generate", "--path", str(document), "--output-path", "client", "--meta", "none"]
    done = run(folder, program, *words, "--fail-on-warning", check=False)
    # Not having its formatter on PATH is a warning, too.
    assert "Unable to" not in done.stdout + done.stderr, done.stdout
    for methods in json.loads(document.read_text("utf-8"))["paths"].values():
        for operation in methods.values():
            assert list(folder.glob(f"client/api/*/{operation['operationId']}.py")), operation
    # What the clients import is the same: of each worker a cache of its own, as none may wait.
    worker = os.environ.get("PYTEST_XDIST_WORKER", "alone")
    cache_of_mypy = f"--cache-dir={ROOT / '.cache' / 'mypy' / f'clients-{worker}'}"
    run(folder, sys.executable, "-m", "mypy", "--config-file=", cache_of_mypy, "client")


# --- The requests, against a running server ------------------------------------------------------


REQUESTS: dict[str, Answers] = {
    "header": {},
    "cookie": {"token_delivery": "cookie", "auth_url_prefix": "v1/auth", "refresh_url": "refresh"},
    "both, by e-mail, unverified": {
        "token_delivery": "both",
        "login_with": "email",
        "email_verification": "none",
        "auth_header_type": "JWT",
        "api_keys": True,
        "social_providers": "google",
    },
}


@pytest.fixture(scope="module")
def migrated(bake: Bake, home: Path) -> Callable[[str], BakedProject]:
    """Render a project, its files of requests and its database once; each test takes a copy."""

    @cache
    def migrated(name: str) -> BakedProject:
        project = bake(**REQUESTS[name])
        project.make("schema", home)
        project.manage(home, "migrate")
        return project

    return migrated


@pytest.fixture(params=REQUESTS)
def server(
    request: pytest.FixtureRequest,
    migrated: Callable[[str], BakedProject],
    home: Path,
    tmp_path: Path,
) -> Iterator[Server]:
    project = migrated(request.param)
    copy = replace(project, path=shutil.copytree(project.path, tmp_path / project.path.name))
    with served(copy, home) as server:
        yield server


def test_newman_runs_the_collection(server: Server, node: Node) -> None:
    """Registration, the key of the mail, then the rest: every answer is one that is promised."""
    project = server.project
    collection = project.path / "var" / "postman_collection.json"
    folders = [it["name"] for it in json.loads(collection.read_text("utf-8"))["item"]]
    variables = ["--env-var", f"base_url={server.origin}"]

    def newman(*words: str) -> dict[str, Any]:
        report = project.path / "report.json"
        export = ["--reporters", "json,cli", "--reporter-json-export", str(report)]
        node("newman", "run", collection, *variables, *words, *export, cwd=project.path)
        done: dict[str, Any] = json.loads(report.read_text("utf-8"))["run"]
        assert done["failures"] == []
        assert done["stats"]["assertions"]["total"] == done["stats"]["requests"]["total"] > 0
        return done

    newman("--folder", folders[0])
    if any(name.startswith("2 ") for name in folders):
        variables += ["--env-var", f"verification_key={server.key_of_mail('verify-email')}"]
    done = newman(*(word for name in folders[1:] for word in ("--folder", name)))
    walked = [it["response"]["code"] for it in done["executions"]]
    assert walked.count(200) > 8


def test_the_http_file_runs(server: Server) -> None:
    """As the REST Client of VS Code reads it: variables, answers by names of requests, cookies."""
    project = server.project
    client = HttpFile(project.read("var/requests.http"), server)
    client.run()
    operations = sum(
        len(methods) for methods in json.loads(project.read("var/schema.json"))["paths"].values()
    )
    assert len(client.answers) > operations


class HttpFile:
    """Runs an .http file in order; each request answers with a status that its comment lists."""

    def __init__(self, text: str, server: Server) -> None:
        self.server = server
        self.variables = dict(re.findall(r"^@(\w+) = (.*)$", text, re.MULTILINE))
        self.variables["base_url"] = server.origin
        self.blocks = re.split(r"^### .*\n", text, flags=re.MULTILINE)[1:]
        self.answers: dict[str, Any] = {}
        self.cookies: SimpleCookie = SimpleCookie()

    def run(self) -> None:
        for block in self.blocks:
            lines = [line for line in block.splitlines() if not re.match(r"# (?!@|\d)", line)]
            statuses, name = lines[0].removeprefix("# "), lines[1].removeprefix("# @name ")
            if "{{verification_key}}" in block and not self.variables["verification_key"]:
                self.variables["verification_key"] = self.server.key_of_mail("verify-email")
            status, answer = self.send("\n".join(lines[2:]))
            assert str(status) in statuses.split(", "), (name, status, answer)
            self.answers[name] = answer

    def value(self, expression: re.Match[str]) -> str:
        name, _, path = expression[1].partition(".response.body.$.")
        if not path:
            return str(self.variables[name])
        return str(self.answers[name].get(path, ""))

    def send(self, text: str) -> tuple[int, Any]:
        head, _, body = re.sub(r"\{\{(.*?)\}\}", self.value, text).strip().partition("\n\n")
        request, *headers = head.splitlines()
        method, url = request.split(" ")
        sent = dict(line.split(": ", 1) for line in headers)
        sent["Cookie"] = "; ".join(
            f"{it.key}={it.value}" for it in self.cookies.values() if it.value
        )
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
        try:
            connection.request(method, urlsplit(url).path, body or None, sent)
            response = connection.getresponse()
            for cookie in response.headers.get_all("Set-Cookie") or []:
                self.cookies.load(cookie)
            content = response.read()
            return response.status, json.loads(content) if content else {}
        finally:
            connection.close()


def test_the_files_are_the_same_every_time(bake: Bake, home: Path) -> None:
    project = bake(token_delivery="both", api_keys=True)
    project.make(".env", home)
    made: list[list[str]] = []
    for folder in ("one", "two"):
        project.manage(home, "requestfiles", folder, variables={"PYTHONHASHSEED": str(len(made))})
        made.append(
            [
                project.read(f"{folder}/{name}")
                for name in ("requests.http", "postman_collection.json")
            ]
        )
    assert made[0] == made[1]


@pytest.fixture(scope="module")
def defaults(bake: Bake, home: Path) -> Iterator[Server]:
    with served(bake(), home) as server:
        yield server


@pytest.mark.parametrize(
    ("path", "shown"), [("/api/docs/", ".opblock"), ("/api/docs/redoc/", "[data-section-id]")]
)
def test_the_pages_work_in_a_browser(
    path: str, shown: str, defaults: Server, browser: Browser
) -> None:
    """Under the strict content policy: no script is refused, nothing comes from elsewhere."""
    server = defaults
    with browser.new_context() as context:
        page = context.new_page()
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda it: problems.append(it.text) if it.type == "error" else None)
        foreign: list[str] = []
        page.on("response", lambda it: foreign.append(it.url))
        page.goto(server.origin + path)
        page.locator(shown).first.wait_for()
        # ReDoc's own logo, which the policy refuses, and without which it goes on.
        assert [it for it in problems if "redoc/logo" not in it] == []
        assert [url for url in foreign if not url.startswith((server.origin, "data:"))] == []
