"""The JavaScript client in Node, against a server of its own; test_pages.py has it in Chromium."""

import re
import shutil
from pathlib import Path

import pytest

from tests.project import ROOT, SOURCE, run

CLIENT = ROOT / SOURCE / "auth_core" / "client" / "client.js"


def test_the_client_does_what_its_types_promise() -> None:
    node = shutil.which("node")
    if not node:
        pytest.skip(reason="no Node on this machine")
    tests = ROOT / "tests" / "client" / "client.test.mjs"
    done = run(
        ROOT, node, "--test", "--test-reporter=tap", tests, variables={"CLIENT": str(CLIENT)}
    )
    assert re.search(r"^\S+ pass [1-9]", done.stdout, re.MULTILINE), done.stdout
    assert re.search(r"^\S+ skipped 0", done.stdout, re.MULTILINE), done.stdout


def test_the_client_needs_nothing_else() -> None:
    """A reader finishes it in ten minutes; a team copies one file, and its types."""
    text = CLIENT.read_text("utf-8")
    assert not re.search(r"^import |\bimport\(|\brequire\(", text, re.MULTILINE)
    assert len(text.splitlines()) < 220


def test_what_the_client_exports_has_types() -> None:
    def exported(file: Path) -> set[str]:
        names = re.findall(
            r"^export (?:class|function) (\w+)", file.read_text("utf-8"), re.MULTILINE
        )
        return set(names)

    assert (
        exported(CLIENT) == exported(CLIENT.with_suffix(".d.ts")) == {"AuthError", "createClient"}
    )
    returned = CLIENT.read_text("utf-8").rpartition("\n  return {")[2]
    given = set(re.findall(r"^ {4}(?:async )?(\w+)[(:,]", returned, re.MULTILINE))
    types = re.search(
        r"interface Client \{(.*?)\n\}", CLIENT.with_suffix(".d.ts").read_text(), re.DOTALL
    )
    assert types
    assert given == set(re.findall(r"^  (\w+)[<(]", types[1], re.MULTILINE))
