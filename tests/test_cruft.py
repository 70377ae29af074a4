"""cruft takes over a project that plain cookiecutter rendered, and makes the same one itself."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import git
from tests.project import PRESETS, Completed, run

pytestmark = pytest.mark.slow


@pytest.fixture(
    params=[{}, PRESETS["tutorial"], {"project_name": "O'Brien & Söhne 🚀"}],
    ids=["defaults", "tutorial", "quotes"],
)
def answers(request: pytest.FixtureRequest) -> list[str]:
    return [f"{name}={value}" for name, value in request.param.items()]


def cookiecutter(template: Path, output: Path, *words: str) -> Path:
    command = ["cookiecutter", "--no-input", "-o", str(output), str(template), *words]
    run(template, sys.executable, "-m", *command)
    (project,) = output.iterdir()
    return project


def cruft(project: Path, *words: str) -> Completed:
    return run(project, sys.executable, "-m", "cruft", *words)


def test_a_fresh_project_is_up_to_date_and_unchanged(
    answers: list[str], template: Path, tmp_path: Path
) -> None:
    project = cookiecutter(template, tmp_path, *answers)
    assert "up to date" in cruft(project, "check").stdout
    assert cruft(project, "diff", "--exit-code").stdout == ""


def test_an_edit_shows(template: Path, tmp_path: Path) -> None:
    project = cookiecutter(template, tmp_path)
    policy = project / "auth_core" / "policy.py"
    policy.write_text(policy.read_text("utf-8").replace("= 15", "= 1500"), "utf-8")
    with pytest.raises(pytest.fail.Exception, match="1500"):
        cruft(project, "diff", "--exit-code")


def test_cruft_creates_the_same_project(answers: list[str], template: Path, tmp_path: Path) -> None:
    plain = cookiecutter(template, tmp_path / "plain", *answers)
    context = json.dumps(dict(answer.split("=", 1) for answer in answers))
    (tmp_path / "made").mkdir()
    words = ["--no-input", "--output-dir", str(tmp_path / "made"), "--extra-context", context]
    cruft(tmp_path, "create", str(template), *words)
    (made,) = (tmp_path / "made").iterdir()
    different = run(tmp_path, "git", "diff", "--no-index", str(plain), str(made)).stdout
    assert different == ""


def test_the_origin_is_recorded_without_its_credentials(template: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    git(template, "clone", "--quiet", str(template), str(clone))
    for address, recorded in (
        ("https://x-access-token:SECRET@example.com/o/t.git", "https://example.com/o/t.git"),
        ("git@example.com:o/t.git", "git@example.com:o/t.git"),
        (str(template), str(template)),
    ):
        git(clone, "remote", "set-url", "origin", address)
        project = cookiecutter(clone, tmp_path / f"of{len(recorded)}{address[0]}")
        lock = json.loads((project / ".cruft.json").read_text("utf-8"))
        assert lock["template"] == lock["context"]["cookiecutter"]["_template"] == recorded
        assert lock["commit"] == git(template, "rev-parse", "HEAD").strip()


def test_a_dot_for_the_template_is_recorded_as_a_place(template: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cookiecutter", "--no-input", "-o", str(tmp_path), "."]
    subprocess.run(command, cwd=template, check=True, env=os.environ | {"PWD": str(template)})
    lock = json.loads((tmp_path / "my-api" / ".cruft.json").read_text("utf-8"))
    assert lock["template"] == str(template)
    assert "up to date" in cruft(tmp_path / "my-api", "check").stdout


def test_a_template_that_is_no_checkout_has_no_commit(template: Path, tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    git(template, "clone", "--quiet", str(template), str(outer / "copy"))
    run(outer, "git", "init", "--quiet", ".")
    (outer / "copy" / ".git").rename(tmp_path / "elsewhere")
    project = cookiecutter(outer / "copy", tmp_path / "output")
    assert json.loads((project / ".cruft.json").read_text("utf-8"))["commit"] is None
