"""The supply chain: versions, hashes, lints of what stands in the repository, and what is served."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from auth_core import policy
from auth_core.contract.processes import PRODUCTION, run
from auth_core.env import BASE_DIR

pytestmark = pytest.mark.inside

OURS = ("auth_core", "config", "users")


@pytest.fixture(autouse=True)
def _delivery() -> None:
    """Nothing here depends on how tokens travel: once is enough."""


@cache
def recipe(target: str) -> str:
    """What `make TARGET` would do, nothing of which is done."""
    done = subprocess.run(  # noqa: S603
        ["make", "--dry-run", "--always-make", target, "VENV=.venv"],  # noqa: S607
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def lock() -> dict[str, Any]:
    """The lock file, or nothing where no `make install` has written it."""
    file = BASE_DIR / "uv.lock"
    return tomllib.loads(file.read_text(encoding="utf-8")) if file.exists() else {"package": []}


def sources(*, tests: bool = False) -> Iterator[Path]:
    """The Python files of this project; with its tests, or without."""
    for folder in OURS:
        for path in sorted((BASE_DIR / folder).rglob("*.py")):
            is_test = {"contract", "tests"} & {*path.parts} or path.name == "testing.py"
            if tests or not is_test:
                yield path


def name_of(path: Path) -> str:
    return path.relative_to(BASE_DIR).as_posix()


def test_the_audit_asks_for_every_locked_package() -> None:
    """SUP-01: `make audit` fails on a weakness, on an error, and where fewer were looked up than are locked.

    The template's own tests run it against a service that knows a weakness, one that is away, and one
    that knows none.
    """
    commands = recipe("audit")
    assert "audit --locked" in commands
    assert "exit $status" in commands
    assert "grep -c '^\\[\\[package\\]\\]' uv.lock" in commands
    assert "Not every package" in commands


def test_what_is_installed_has_a_hash() -> None:
    """SUP-02: only what uv.lock names is installed, by its hashes; a bill of materials can be had."""
    for package in lock()["package"]:
        source = package["source"]
        if "registry" in source:
            files = [*package.get("wheels", ()), *filter(None, [package.get("sdist")])]
            assert files
            assert all(file["hash"].startswith("sha256:") for file in files), package["name"]
        else:
            assert "virtual" in source, f"{package['name']} comes from {source}"
    makefile = (BASE_DIR / "Makefile").read_text(encoding="utf-8")
    assert "LOCKED = $(if $(wildcard uv.lock),--locked)" in makefile
    assert re.search(r"sync .*\$\(LOCKED\)", makefile)
    assert "--format cyclonedx1.5" in recipe("sbom")


FLOORS: dict[str, str | dict[str, str]] = {
    "django": {"5.2": "5.2.19", "6.0": "6.0.10", "6.1": "6.1.3"},
    "djangorestframework": "3.18",
    "djangorestframework-simplejwt": "5.5.1",
    "pyjwt": "2.15",
    "django-allauth": "65.21.1",
    "dj-rest-auth": "7.2",
}


@pytest.mark.parametrize("name", FLOORS)
def test_no_version_with_a_known_weakness_is_allowed(name: str) -> None:
    """SUP-03: what is installed, locked and allowed is not older than the last release with a security fix."""
    installed = Version(version(name))
    given = FLOORS[name]
    series = f"{installed.major}.{installed.minor}"
    floor = Version(given if isinstance(given, str) else given[series])
    assert installed >= floor
    for package in lock()["package"]:
        if package["name"] == name:
            assert Version(package["version"]) >= floor
    project = tomllib.loads((BASE_DIR / "pyproject.toml").read_text(encoding="utf-8"))
    declared = [
        it for it in map(Requirement, project["project"]["dependencies"]) if it.name == name
    ]
    assert declared
    older = [f"{floor.major}.{floor.minor}.{n}" for n in range(floor.micro)]
    older += [f"{floor.major}.{n}.99" for n in range(floor.minor)] + [f"{floor.major - 1}.99"]
    assert not [it for it in older if declared[0].specifier.contains(it)]


# What ruff's security rules find and is no defect: S105 takes names of things for passwords; the SQL
# of this migration is put together of its own constants.
FINDINGS = {("auth_core/audit/migrations/0002_append_only.py", "S608")}


def test_the_security_linter_finds_nothing() -> None:
    """SUP-04: flake8-bandit's rules, no comment that silences them honoured, find nothing but what is listed."""
    files = [name_of(path) for path in sources()]
    command = ["ruff", "check", "--isolated", "--ignore-noqa", "--no-cache"]
    command += ["--select", "S", "--ignore", "S105"]
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", *command, "--output-format", "json", *files],
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    found = {(name_of(Path(it["filename"])), it["code"]) for it in json.loads(done.stdout)}
    assert found <= FINDINGS


FORBIDDEN = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "mark_safe",
    "SafeString",
    "system",
    "popen",
    "raw",
    "extra",
}


@pytest.mark.parametrize("path", [*sources()], ids=name_of)
def test_nothing_dangerous_is_called(path: Path) -> None:
    """SUP-04: no eval, exec, shell, raw SQL or mark_safe."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            is_compiled_pattern = name == "compile" and ast.unparse(called) == "re.compile"
            assert name not in FORBIDDEN or is_compiled_pattern, ast.unparse(node)
            assert "shell" not in {keyword.arg for keyword in node.keywords}
        elif isinstance(node, ast.ImportFrom | ast.Import):
            modules = {alias.name for alias in node.names} | {getattr(node, "module", None)}
            assert not modules & {"pickle", "marshal", "shelve", "subprocess", "mark_safe", "yaml"}


ROUTES = """
import json
from django.contrib import admin
from django.urls import get_resolver

def walk(patterns, prefix=""):
    for it in patterns:
        path = prefix + str(it.pattern)
        if hasattr(it, "url_patterns"):
            yield from walk(it.url_patterns, path)
        else:
            view = getattr(it.callback, "view_class", getattr(it.callback, "cls", it.callback))
            yield path, view.__module__

print(json.dumps([*walk(get_resolver().url_patterns)]))
"""


@pytest.mark.slow
def test_production_serves_nothing_for_tests_and_no_pages_of_others() -> None:
    """SUP-05: in production's URLs no route of a test, demo or debugger; none of allauth's HTML pages."""
    variables = {**PRODUCTION, "DJANGO_SETTINGS_MODULE": "config.settings"}
    done = run("-c", f"import django\ndjango.setup()\n{ROUTES}", **variables)
    assert done.returncode == 0, done.stderr
    routes: list[tuple[str, str]] = json.loads(done.stdout)
    assert (f"{policy.AUTH_URL_PREFIX}/login/", "auth_core.accounts.views") in map(tuple, routes)
    for path, module in routes:
        assert not re.search(r"\b(test|tests|demo|debug|__debug__|silk|example)\b", path), path
        assert module.split(".")[0] not in {"allauth", "dj_rest_auth", "debug_toolbar", "silk"}
        assert module != "django.views.static"
        is_admins = module.startswith("django.contrib.")
        assert not is_admins or path.startswith("admin/"), (path, module)


# Which modules may use primitives; everybody may use django.core.signing, django.utils.crypto, secrets.
CRYPTOGRAPHY = {
    "digests.py": {"hashlib"},
    "accounts/adapter.py": {"hashlib"},
    "sessions/keys.py": {"cryptography", "hashlib", "hmac", "jwt"},
    "sessions/tokens.py": {"jwt"},
    "features/social/providers.py": {"jwt"},  # of a feature that may be there
    "features/api_keys/keys.py": {"zlib"},  # of a feature that may be there
    "features/mfa/encryption.py": {"cryptography"},
    "features/passkeys/webauthn.py": {"fido2"},
}
PRIMITIVES = {
    *("cryptography", "jwt", "hashlib", "hmac", "argon2", "jwcrypto", "jose", "authlib", "joserfc"),
    *("Crypto", "Cryptodome", "nacl", "rsa", "ecdsa", "passlib", "bcrypt", "scrypt", "ssl", "zlib"),
    *("fido2", "webauthn"),
    *("random", "crypt", "simplecrypt", "pyaes", "tinyec", "oscrypto"),
}


@pytest.mark.parametrize("path", [*sources()], ids=name_of)
def test_cryptography_comes_from_those_who_know(path: Path) -> None:
    """SUP-06: only cryptography, PyJWT, fido2 and argon2-cffi (by Django), only in the modules that need them."""
    imported: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            imported.add(str(node.module).split(".")[0])
    assert imported & PRIMITIVES <= CRYPTOGRAPHY.get(
        name_of(path).removeprefix("auth_core/"), set()
    )
