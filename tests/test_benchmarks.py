"""The benchmark of peers runs, and fills each cell; how fast anything was is not judged."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project import ROOT

pytestmark = pytest.mark.slow

PEERS = {path.parent.name for path in (ROOT / "benchmarks" / "peers").glob("*/requirements.txt")}
FIGURES = r"[\d.e+]+ \([\d.]+x, [\d.]+ ms\)"
# What a peer has not.
MISSING = {("django-rest-knox", "refresh")}


@pytest.mark.usefixtures("postgres")
def test_every_cell_of_the_peers_is_filled(tmp_path: Path) -> None:
    if shutil.which("wrk") is None:
        pytest.skip(reason="no wrk on this machine")
    command = [sys.executable, "-m", "benchmarks.peers", "--quick", "--output", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    lines = (tmp_path / "benchmarks.md").read_text("utf-8").splitlines()
    titles, _, *rows = [line.strip("|").split("|") for line in lines if line.startswith("|")]
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
