"""Runs in a rendered project and its environment: Django's checks, migrations, schema, documents.

python -W error checks.py development|production
"""

import argparse
import ast
import json
import os
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import django
from django.core.management import call_command
from django.urls import resolve
from referencing import Registry

# Of the documents: what is served there is not the API.
METRICS_PORT = 9100
FOR_TESTS = {"conftest.py", "testing.py"}


def curl() -> argparse.ArgumentParser:
    """Return a parser of the options that the documents use, and of no others."""
    parser = argparse.ArgumentParser("curl", add_help=False)
    parser.add_argument("url")
    parser.add_argument("-X", dest="method", default="GET")
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("-d", dest="data")
    for jar in ("-b", "-c"):
        parser.add_argument(jar)
    return parser


def curl_lines(document: Path) -> Iterator[list[str]]:
    """Yield the words of each curl line in the blocks of shell code."""
    text = document.read_text("utf-8").replace("\\\n", " ")
    for block in re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for line in filter(None, block.splitlines()):
            program, *words = shlex.split(line)
            if program == "curl":
                yield words


def check_requests(document: Path) -> int:
    """Demand that each curl line of a document asks what is served, and return their number."""
    count = 0
    for words in curl_lines(document):
        request = curl().parse_args(words)
        url = urlsplit(request.url)
        if url.port == METRICS_PORT:
            continue
        func = resolve(url.path).func
        view = getattr(func, "cls", None) or getattr(func, "view_class", None)
        assert not view or hasattr(view, request.method.lower()), f"{document}: {words}"
        assert not request.data or isinstance(json.loads(request.data), dict), words
        count += 1
    return count


def imported(file: Path) -> Iterator[str]:
    """Yield the top-level packages that a file imports, wherever it does."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def check_dependencies() -> None:
    """Demand that what production imports is declared: more is installed here."""
    project = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["project"]
    lines = list(project["dependencies"])
    for name, extra in re.findall(r"^([\w-]+)\[([\w-]+)\]", "\n".join(lines), re.MULTILINE):
        lines += [line for line in requires(name) or [] if re.search(f"extra == .{extra}", line)]
    declared = {normal(re.split(r"[^\w-]", line)[0]) for line in lines}
    distributions = packages_distributions()
    for file in Path().rglob("*.py"):
        if {"tests", "contract", *FOR_TESTS} & set(file.parts):
            continue
        for package in set(imported(file)) - sys.stdlib_module_names:
            if not any(Path(name).exists() for name in (package, f"{package}.py")):
                names = set(map(normal, distributions.get(package, [package])))
                assert names & declared, f"{file} imports {package}, which no dependency brings"


def check_statement() -> None:
    """Demand that the statement about ASVS is the same whatever was chosen."""
    statement = import_module("auth_core.contract.asvs").statement()
    assert statement == Path("docs/asvs.md").read_text("utf-8"), "Run `make conformance`."


def crawl_once() -> None:
    """Keep what jsonschema finds in a registry: it looks through all of it for each reference."""
    crawl: Any = Registry.crawl
    done: dict[int, tuple[Any, Any]] = {}

    def crawl_or_recall(registry: Any) -> Any:
        if id(registry) not in done:
            done[id(registry)] = registry, crawl(registry)
        return done[id(registry)][1]

    Registry.crawl = crawl_or_recall  # type: ignore[assignment]


def development() -> None:
    crawl_once()
    check_dependencies()
    call_command("check", fail_level="WARNING")
    call_command("makemigrations", check_changes=True, dry_run=True, verbosity=0)
    call_command("spectacular", validate=True, fail_on_warn=True, file=os.devnull)
    check_statement()
    assert check_requests(Path("README.md"))
    for document in Path("docs").glob("*.md"):
        check_requests(document)


def production() -> None:
    call_command("check", deploy=True, fail_level="WARNING")


if __name__ == "__main__":
    sys.path.insert(0, os.getcwd())  # noqa: PTH109
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    django.setup()
    {"development": development, "production": production}[sys.argv[1]]()
