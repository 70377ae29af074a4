"""`regenerate update` on the template itself: any answers to any others, and killed at any time."""

import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from regenerate.cli import main
from tests.conftest import git
from tests.project import QUESTIONS, Bake
from tests.regenerating import commit, committed, snapshot
from tests.variants import VARIANTS

PAIRS = list(permutations(VARIANTS, 2))
TRANSITIONS = [
    pytest.param(old, new, id=f"{old} to {new}", marks=[pytest.mark.slow] if number > 2 else [])
    for number, (old, new) in enumerate(PAIRS[:: len(PAIRS) // 60])
]


@pytest.fixture
def project(tmp_path: Path, bake: Bake, request: pytest.FixtureRequest) -> Path:
    """Return a committed project with the answers that the test is parametrised with."""
    given = VARIANTS[request.getfixturevalue("old")] if "old" in request.fixturenames else {}
    folder = tmp_path / "project"
    shutil.copytree(bake(**given).path, folder)
    return committed(folder)


def words(answers: dict[str, Any]) -> list[str]:
    return [word for name, value in answers.items() for word in ("--set", f"{name}={value}")]


@pytest.mark.parametrize(("old", "new"), TRANSITIONS)
def test_other_answers_make_a_fresh_render_and_the_old_ones_bring_it_back(
    old: str, new: str, project: Path, bake: Bake, tmp_path: Path
) -> None:
    before, fresh = bake(**VARIANTS[old]), bake(**VARIANTS[new])
    first = snapshot(project)
    assert main(["update", str(project), *words({q: fresh.answers[q] for q in QUESTIONS})]) == 0
    assert snapshot(project) == snapshot(committed(shutil.copytree(fresh.path, tmp_path / "fresh")))
    commit(project, "Other answers")
    assert main(["update", str(project)]) == 0
    assert git(project, "status", "--porcelain") == ""
    assert main(["update", str(project), *words({q: before.answers[q] for q in QUESTIONS})]) == 0
    assert snapshot(project) == first
    assert git(project, "diff", "HEAD~1", "--") == ""


def test_answers_that_cannot_work_are_refused_in_the_templates_words(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    given = words({"access_token_minutes": "9999", "refresh_token_days": "0"})
    assert main(["update", str(project), *given]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert "access_token_minutes = '9999'\n    must be a whole number from 1 to 1440" in err
    assert "refresh_token_days = '0'" in err
    assert "Traceback" not in err
    assert git(project, "status", "--porcelain") == ""


@pytest.mark.parametrize(
    "number", [pytest.param(n, marks=[pytest.mark.slow] if n % 10 else []) for n in range(20)]
)
def test_a_kill_at_any_moment_leaves_all_or_nothing(number: int, project: Path) -> None:
    """At moments spread over the whole run; the last step goes on by itself, and to its end."""
    command = [sys.executable, "-m", "regenerate", "update", str(project), "--dry-run"]
    changes = words({"token_delivery": "both", "registration": "invite", "frontend_url": ""})
    before, head = snapshot(project), git(project, "rev-parse", "HEAD")
    start = time.perf_counter()
    subprocess.run([*command, *changes], check=True, capture_output=True)
    seconds = time.perf_counter() - start
    command.remove("--dry-run")
    with subprocess.Popen(
        [*command, *changes], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0
    ) as process:
        time.sleep(seconds * (number + 1) / 20)
        os.killpg(process.pid, (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)[number % 3])
    lock = project / ".git" / "index.lock"
    while lock.exists():
        time.sleep(0.01)
    assert git(project, "rev-parse", "HEAD") == head
    assert git(project, "fsck", "--no-dangling", "--no-progress") == ""
    if git(project, "status", "--porcelain") == "":
        assert snapshot(project) == before
        assert main(["update", str(project), *changes]) == 0
    after = snapshot(project)
    assert git(project, "diff", "--name-only") == ""
    git(project, "reset", "--quiet", "--hard")
    assert snapshot(project) == before
    assert main(["update", str(project), *changes]) == 0
    assert snapshot(project) == after
