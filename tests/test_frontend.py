"""The code of a project's docs/frontend.md: compiled, bundled, and run against the project."""

import json
import re
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route

from scripts.walk import PASSWORD
from tests.conftest import Node
from tests.project import Answers, Bake, BakedProject, run
from tests.serving import Server, served

pytestmark = pytest.mark.slow

# Verification would only need a mail in the middle of each test.
VARIANTS: dict[str, Answers] = {
    "header": {"email_verification": "none", "auth_header_type": "JWT"},
    "cookie": {
        "email_verification": "optional",
        "token_delivery": "cookie",
        "auth_url_prefix": "v1/auth",
        "login_with": "email",
        "mfa": "none",
    },
    "both": {
        "email_verification": "none",
        "token_delivery": "both",
        "frontend_url": "https://app.example.com",
        "refresh_url": "refresh",
        "social_providers": "google,openid_connect",
    },
}


def blocks(project: BakedProject) -> dict[str, str]:
    """Return the code of the document by the name of the file in its first line."""
    text = project.read("docs/frontend.md")
    found = re.findall(r"^```\w+\n// (\S+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return dict(found)


@dataclass
class Frontend:
    """A folder with the code, and a server whose pages `/app/*` come from it."""

    server: Server
    folder: Path
    user: str

    @property
    def base(self) -> str:
        return f"{self.server.origin}/{self.server.project.answers['auth_url_prefix']}/"

    @property
    def who(self) -> dict[str, str]:
        return {"username": self.user, "email": f"{self.user}@example.com"}

    def add(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, "utf-8")

    def fulfil(self, route: Route) -> None:
        file = self.folder / route.request.url.partition("/app/")[2].partition("#")[0]
        if file.is_file():
            route.fulfill(path=file)
        else:
            page = '<div id="root"></div><script type="module" src="main.js"></script>'
            route.fulfill(body=page, content_type="text/html")

    def visit(self, context: BrowserContext, fragment: str = "") -> Page:
        page = context.new_page()
        page.route("**/app/**", self.fulfil)
        page.goto(f"{self.server.origin}/app/{fragment}")
        return page


@pytest.fixture(scope="module")
def servers(bake: Bake, home: Path) -> Iterator[Callable[[str], Server]]:
    """Serve each variant once, for all tests here; each has a user of its own."""
    with ExitStack() as stack:
        yield cache(lambda name: stack.enter_context(served(bake(**VARIANTS[name]), home)))


@pytest.fixture(params=VARIANTS)
def frontend(
    request: pytest.FixtureRequest, servers: Callable[[str], Server], node: Node, tmp_path: Path
) -> Frontend:
    server = servers(request.param)
    frontend = Frontend(server, tmp_path / "frontend", f"u{uuid.uuid4().hex[:10]}")
    shutil.copytree(server.project.path / "auth_core" / "client", frontend.folder)
    (frontend.folder / "node_modules").symlink_to(node.modules)
    code = blocks(server.project)
    for name in ("auth.js", "session.tsx"):
        frontend.add(name, code[name])
    frontend.add("main.js", "")
    return frontend


# In the page: a new user, who is then logged in.
REGISTER = """async ({ who, password, path }) => {
  const { auth } = await import("./auth.js");
  await auth.logIn({ ...who, password1: password, password2: password }, path);
  await auth.logOut();
}"""
SIGN_IN = """async ([name, password]) => {
  const { signIn } = await import("./auth.js");
  return signIn(name, password);
}"""
USER = """async () => {
  const { auth } = await import("./auth.js");
  return auth.request("GET", "user/").catch((error) => error.status);
}"""


def register(page: Page, frontend: Frontend) -> str:
    """Return what to log in with."""
    answers = frontend.server.project.answers
    who = {
        k: v for k, v in frontend.who.items() if k == "email" or answers["login_with"] != "email"
    }
    path = f"/{answers['registration_url_prefix']}/"
    page.evaluate(REGISTER, {"who": who, "password": PASSWORD, "path": path})
    return next(iter(who.values()))


def test_the_module_logs_in(frontend: Frontend, browser: Browser) -> None:
    with browser.new_context() as context:
        page = frontend.visit(context, "verify-email#key=a%2Bb")
        link = page.evaluate("async () => (await import('./auth.js')).fromLink()")
        assert link == {"key": "a+b"}
        assert page.url == f"{frontend.server.origin}/app/verify-email"

        name = register(page, frontend)
        assert page.evaluate(USER) == 401
        wrong = page.evaluate(SIGN_IN, [name, "not the password at all"])
        assert wrong["fields"]["non_field_errors"]
        assert page.evaluate(SIGN_IN, [name, PASSWORD])["user"]["email"] == frontend.who["email"]
        page.reload()
        assert page.evaluate(USER)["email"] == frontend.who["email"]

        context.set_offline(True)
        assert page.evaluate(SIGN_IN, [name, PASSWORD])["fields"]


MAIN = """
import { createRoot } from "react-dom/client";
import { auth } from "./auth";
import { SessionProvider, useUser } from "./session";

function Who() {
  const user = useUser();
  return <p>{user === undefined ? "..." : user === null ? "nobody" : user.email}</p>;
}
Object.assign(window, { auth });
createRoot(document.getElementById("root")!).render(
  <SessionProvider>
    <Who />
  </SessionProvider>,
);
"""
STRICT = (
    *("--noEmit", "--strict", "--allowJs", "--skipLibCheck", "--target", "es2022"),
    *("--module", "esnext", "--moduleResolution", "bundler"),
)


def test_react_knows_the_user(frontend: Frontend, browser: Browser, node: Node) -> None:
    """In another tab, too; and an outage logs nobody out."""
    frontend.add("main.tsx", MAIN)
    node("tsc", *STRICT, "--jsx", "react-jsx", "main.tsx", cwd=frontend.folder)
    words = ["--bundle", "--format=esm", "--jsx=automatic", "--external:./auth"]
    node("esbuild", "main.tsx", *words, "--outfile=bundle.js", cwd=frontend.folder)
    bundle = (frontend.folder / "bundle.js").read_text("utf-8")
    # The page's module and the bundle share one client.
    frontend.add("main.js", bundle.replace('"./auth"', '"./auth.js"'))
    with browser.new_context() as context:
        page = frontend.visit(context)
        page.get_by_text("nobody").wait_for()
        name = register(page, frontend)
        other = frontend.visit(context)
        other.get_by_text("nobody").wait_for()
        page.evaluate(SIGN_IN, [name, PASSWORD])
        for each in (page, other):
            each.get_by_text(frontend.who["email"]).wait_for()
        page.evaluate("async () => (await import('./auth.js')).auth.logOut()")
        for each in (page, other):
            each.get_by_text("nobody").wait_for()


# expo-secure-store, as far as it matters: where it refuses a name.
KEYCHAIN = """
const kept = new Map<string, string>();
const checked = (key: string) => {
  if (!/^[A-Za-z0-9._-]+$/.test(key)) throw new Error(`no key: ${key}`);
  return key;
};
export const getItemAsync = async (key: string) => kept.get(checked(key)) ?? null;
export const setItemAsync = async (key: string, value: string): Promise<void> => {
  kept.set(checked(key), value);
};
export const deleteItemAsync = async (key: string): Promise<void> => {
  kept.delete(checked(key));
};
"""
APP = """
import { auth } from "./auth";

const password = "%(password)s";
await auth.logIn({ ...%(who)s, password1: password, password2: password }, "%(path)s");
console.log((await auth.request("GET", "user/")).email);
await auth.logOut();
console.log(await auth.request("GET", "user/").catch((error) => error.status));
"""


def test_an_app_logs_in(frontend: Frontend, node: Node) -> None:
    project, origin = frontend.server.project, frontend.server.origin
    code = blocks(project)
    if project.answers["token_delivery"] == "cookie":
        assert "auth.ts" not in code
        return
    frontend.add("auth.ts", code["auth.ts"].replace("https://api.example.com", origin))
    (frontend.folder / "auth.js").unlink()
    frontend.add("expo-secure-store.ts", KEYCHAIN)
    path = f"{origin}/{project.answers['registration_url_prefix']}/"
    frontend.add(
        "app.ts", APP % {"password": PASSWORD, "who": json.dumps(frontend.who), "path": path}
    )
    keychain = "./expo-secure-store.ts"
    config = {
        "compilerOptions": {"paths": {"expo-secure-store": [keychain]}},
        "files": ["app.ts"],
    }
    frontend.add("tsconfig.json", json.dumps(config))
    node("tsc", *STRICT, "--project", "tsconfig.json", cwd=frontend.folder)
    words = [
        "--bundle",
        "--format=esm",
        f"--alias:expo-secure-store={keychain}",
        "--outfile=app.mjs",
    ]
    node("esbuild", "app.ts", *words, cwd=frontend.folder)
    program = shutil.which("node")
    assert program
    done = run(frontend.folder, program, "app.mjs")
    assert done.stdout.split() == [frontend.who["email"], "401"]


def test_the_generators_are_those_of_the_document(bake: Bake, home: Path, node: Node) -> None:
    project = bake()
    project.make(".env", home)
    project.make("schema", home)
    lines = re.findall(r"^ {4}(npx|uvx) (.*)$", project.read("docs/frontend.md"), re.MULTILINE)
    assert len(lines) == 2
    for tool, words in lines:
        name, *arguments = words.split()
        if tool == "npx":
            node(name, *arguments, cwd=project.path)
        else:
            run(project.path, Path(sys.executable).with_name(name), *arguments)
    assert (project.path / "api.ts").stat().st_size
    made: list[Any] = list(project.path.glob("*-client"))
    assert made
