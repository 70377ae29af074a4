"""The rendered project's lock file, bill of materials and audit, against services on loopback."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import uv

from tests.project import Bake, BakedProject

pytestmark = pytest.mark.slow

UV = f"UV={uv.find_uv_bin()}"
WEAKNESS = {
    "id": "PYSEC-2026-1",
    "modified": "2026-01-01T00:00:00Z",
    "summary": "A weakness",
    "affected": [{"package": {"ecosystem": "PyPI", "name": "django"}, "versions": []}],
}


@contextmanager
def osv(weak: str) -> Iterator[str]:
    """Answer as osv.dev does, and know a weakness of one package."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            known = {"vulns": [{"id": WEAKNESS["id"], "modified": WEAKNESS["modified"]}]}
            names = [query["package"]["name"] for query in json.loads(body)["queries"]]
            self.answer({"results": [known if name == weak else {} for name in names]})

        def do_GET(self) -> None:
            self.answer(WEAKNESS)

        def answer(self, body: Any) -> None:
            content = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def project(bake: Bake, home: Path) -> BakedProject:
    """A project with a lock file."""
    baked = bake()
    baked.make(".env", home)
    baked.make("lock", home, UV)
    return baked


def audit(project: BakedProject, home: Path, url: str, tool: str = UV) -> tuple[int, str]:
    done = project.run(
        *("make", "audit", "-o", str(home / ".installed"), f"VENV={home}", tool),
        f"ARGS=--service-url {url}",
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_audit_passes_where_nothing_is_known(project: BakedProject, home: Path) -> None:
    with osv("no-package-of-ours") as url:
        status, said = audit(project, home, url)
    assert (status, "no known vulnerabilities" in said) == (0, True), said


def test_the_audit_fails_on_a_weakness(project: BakedProject, home: Path) -> None:
    with osv("django") as url:
        status, said = audit(project, home, url)
    assert status != 0
    assert "PYSEC-2026-1" in said


def test_the_audit_fails_where_it_learns_nothing(project: BakedProject, home: Path) -> None:
    status, _said = audit(project, home, "http://127.0.0.1:1")
    assert status != 0


def test_the_audit_fails_where_packages_were_skipped(
    project: BakedProject, home: Path, tmp_path: Path
) -> None:
    """A tool that is content with less than it was asked for is not believed."""
    content = tmp_path / "uv"
    content.write_text("#!/bin/sh\necho 'Found no known vulnerabilities in 3 packages' >&2\n")
    content.chmod(0o755)
    status, said = audit(project, home, "unused", f"UV={content}")
    assert status != 0
    assert "Not every package" in said


def test_the_bill_of_materials_lists_what_production_installs(
    project: BakedProject, home: Path
) -> None:
    project.make("sbom", home, UV)
    document = json.loads(project.read("var/sbom.json"))
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.5")
    names = {component["name"] for component in document["components"]}
    assert {"django", "dj-rest-auth", "cryptography", "argon2-cffi"} <= names
    assert not names & {"pytest", "ruff"}


def test_nothing_is_installed_that_is_not_locked(project: BakedProject, tmp_path: Path) -> None:
    """Where pyproject.toml asks for what uv.lock does not have, `make install` says what to do."""
    python = tmp_path / "environment"
    project.run(uv.find_uv_bin(), "venv", "--quiet", python)
    pyproject = project.path / "pyproject.toml"
    before = pyproject.read_text("utf-8")
    pyproject.write_text(before.replace("# Yours.", '"six",'), "utf-8")
    try:
        done = project.run("make", "install", UV, f"VENV={python}", check=False)
    finally:
        pyproject.write_text(before, "utf-8")
    assert done.returncode != 0
    assert "make lock" in done.stdout
    assert not (python / ".installed").exists()
