"""`regenerate update` on the template itself: any answers to any others, and killed at any time."""

import json
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
from cookiecutter.main import cookiecutter

from regenerate.cli import main
from tests.conftest import git
from tests.project import QUESTIONS, SOURCE, Bake
from tests.regenerating import commit, committed, snapshot
from tests.variants import VARIANTS

# The other transitions and moments are tried at night: TRANSITIONS=60.
SOME = int(os.environ.get("TRANSITIONS", "9"))
PAIRS = list(permutations(VARIANTS, 2))
TRANSITIONS = [
    pytest.param(old, new, id=f"{old} to {new}", marks=[pytest.mark.slow] if number else [])
    for number, (old, new) in enumerate(PAIRS[:: len(PAIRS) // SOME])
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
    assert "cookiecutter's" not in err
    assert git(project, "status", "--porcelain") == ""


@pytest.mark.parametrize(
    "number",
    [pytest.param(n, marks=[pytest.mark.slow] if n else []) for n in range(0, 20, -(-60 // SOME))],
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


def test_a_teams_work_survives_an_update_across_two_versions(
    template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At every extension point, with auth_core/ moved as a whole."""
    source = tmp_path / "template"
    git(tmp_path, "clone", "--quiet", str(template), str(source))
    git(source, "tag", "v0.1.0")
    render(source, tmp_path, "v0.1.0")
    project = committed(tmp_path / "my-api")

    def append(folder: Path, name: str, text: str) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((path.read_text("utf-8") if path.exists() else "") + text, "utf-8")

    for name in ("users/models.py", "users/serializers.py", "config/settings_team.py"):
        append(project, name, "\nOURS = 1\n")
    append(project, "users/migrations/0002_field.py", "OURS = 1\n")
    append(project, "shop/apps.py", "OURS = 1\n")
    append(project, "config/urls.py", "\nOURS = 1\n")
    for name, old, new in (
        ("README.md", "# My API\n", "# Our shop\n"),
        ("pyproject.toml", "[dependency-groups]\n", "# ours\n[dependency-groups]\n"),
    ):
        text = (project / name).read_text("utf-8")
        assert old in text
        (project / name).write_text(text.replace(old, new, 1), "utf-8")
    (project / "src").mkdir()
    git(project, "mv", "auth_core", "src/auth_core")
    git(project, "rm", "--quiet", "docs/asvs.md")
    commit(project, "The team's work")

    for number in (2, 3):
        questions = json.loads((source / "cookiecutter.json").read_text("utf-8"))
        questions["_template_version"] = f"0.{number}.0"
        (source / "cookiecutter.json").write_text(json.dumps(questions))
        append(source, f"{SOURCE}/auth_core/urls.py", f"\n# {number}\n")
        append(source, f"{SOURCE}/auth_core/http/new{number}.py", "")
        append(source, f"{SOURCE}/users/models.py", f"\n# {number}\n")
        append(source, f"{SOURCE}/Makefile", f"\n# {number}\n")
        commit(source, f"0.{number}.0")
        git(source, "tag", f"v0.{number}.0")

    team = ("users", "tests", "shop", "config")
    mine = {n: b for n, b in snapshot(project).items() if n.startswith(team)}
    given = words({"access_token_minutes": "5", "token_delivery": "both"})
    assert main(["update", str(project), "--template", str(source), *given]) == 0
    assert "`users/models.py` is yours and stays" in capsys.readouterr().out
    after = snapshot(project)
    assert {n: b for n, b in after.items() if n.startswith(team)} == mine
    assert "docs/asvs.md" not in after
    assert after["README.md"].startswith(b"# Our shop\n")
    assert after["Makefile"].endswith(b"# 2\n\n# 3\n")
    assert b"# ours\n[dependency-groups]" in after["pyproject.toml"]

    fresh = render(
        source, tmp_path / "fresh", "v0.3.0", access_token_minutes="5", token_delivery="both"
    )
    owned = {n: b for n, b in snapshot(committed(fresh)).items() if n.startswith("auth_core/")}
    assert "auth_core/http/new3.py" in owned
    moved = {n.removeprefix("src/"): b for n, b in after.items() if n.startswith("src/auth_core/")}
    assert moved == owned
    commit(project, "Updated")
    assert main(["check", str(project)]) == 0


def render(source: Path, output: Path, tag: str, **answers: str) -> Path:
    """Render a release with plain cookiecutter, of a clone: it heeds no version of a local path."""
    options = {"no_input": True, "output_dir": str(output), "extra_context": answers}
    return Path(cookiecutter(f"git+file://{source}", tag, **options))
