"""The benchmarks run, and fill each cell; how fast anything was is not judged."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from tests.project import ROOT

pytestmark = pytest.mark.slow

PEERS = {path.parent.name for path in (ROOT / "benchmarks" / "peers").glob("*/requirements.txt")}
FIGURES = r"[\d.e+]+ \([\d.]+x, [\d.]+ ms\)"
# What a peer has not.
MISSING = {("django-rest-knox", "refresh")}


@pytest.fixture
def wrk() -> None:
    if shutil.which("wrk") is None:
        pytest.skip(reason="no wrk on this machine")


def report(
    output: Path, benchmark: str, *options: str, **variables: str
) -> tuple[list[list[str]], str]:
    """Run a benchmark; return the rows of its table, titles first, and all that it wrote."""
    words = ["-m", f"benchmarks.{benchmark}", *options, "--output", str(output)]
    # They share a folder.
    with FileLock(ROOT / ".cache" / "benchmarks.lock"):
        environment = os.environ | variables
        command = [sys.executable, *words]
        subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE)
    text = (output / "benchmarks.md").read_text("utf-8")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    titles, _, *rows = [line.strip("|").split("|") for line in lines]
    return [titles, *rows], text


@pytest.mark.usefixtures("wrk", "postgres")
def test_growth_is_measured(tmp_path: Path) -> None:
    small = ("--sizes", "2000", "--expired", "1500", "--rounds", "1", "--seconds", "0.3")
    # One process of each server is enough for one connection.
    (_, *rows), text = report(tmp_path, "growth", *small, WEB_CONCURRENCY="1")
    assert [row[0].strip() for row in rows] == ["1,000", "2,000"]
    for row in rows:
        assert all(re.fullmatch(r" [\d.]+ \([\d.]+x\) ", cell) for cell in row[1:3]), row
        assert row[3].strip().isdigit()
    assert re.search(r"The purge of 1,500 expired sessions took at most \d+ s\.", text)


def test_faults_lose_nothing(tmp_path: Path) -> None:
    """REL-01: a minute of what `docs/benchmarks.md` shows half an hour of, with fewer clients."""
    if shutil.which("redis-server") is None or not shutil.which("pg_lsclusters"):
        pytest.skip(reason="no redis-server, or no PostgreSQL server of Debian's on this machine")
    (_, *rows), text = report(tmp_path, "faults", "--minutes", "1", "--clients", "8")
    answered = {row[0].strip(): int(row[1].replace(",", "")) for row in rows}
    assert {"log in", "log out", "mail", "read", "refresh", "register", "write"} <= set(answered)
    assert all(answered.values())
    assert "no write was lost, no answer wrong" in text


@pytest.mark.usefixtures("wrk", "postgres")
def test_scaling_is_measured(tmp_path: Path) -> None:
    (_, *rows), _ = report(tmp_path, "scaling", "--rounds", "1", "--seconds", "0.3")
    assert [row[0].strip() for row in rows] == ["1 process", "2 processes", "2 hosts of 1 process"]
    for row in rows:
        assert all(re.fullmatch(r" [\d.e+]+ \([\d.]+x\) ", cell) for cell in row[1:]), row


def test_generation_is_measured(tmp_path: Path) -> None:
    (_, *rows), _ = report(tmp_path, "generation", "--rounds", "1")
    assert len(rows) == 3
    assert all(re.fullmatch(r" [\d.]+x ", row[2]) for row in rows)


@pytest.mark.usefixtures("wrk", "postgres")
def test_every_cell_of_the_peers_is_filled(tmp_path: Path) -> None:
    (titles, *rows), _ = report(tmp_path, "peers", "--quick")
    assert len(rows) == 1 + len(PEERS)
    for label, *cells in rows:
        for title, cell in zip(titles[1:], cells, strict=True):
            where, text = (label.strip(), title.strip()), cell.strip()
            if where in MISSING:
                assert text == "none"
            elif where[1].startswith(("own user", "refresh", "login", "registration")):
                assert re.fullmatch(FIGURES, text), (where, text)
            elif where[1].startswith("SQL"):
                assert re.fullmatch(r"(\d+|none)( / (\d+|none)){3}", text), (where, text)
            else:
                assert text, where
    chart = (tmp_path / "benchmarks-peers.svg").read_text("utf-8")
    assert chart.count("<rect") == 1 + 5 * len(rows) - len(MISSING)
