"""`regenerate link` takes in a project without a record, and says what differs."""

import json
import shutil
from pathlib import Path

import pytest

from regenerate.cli import main
from tests.conftest import git
from tests.project import PRESETS, QUESTIONS, Bake
from tests.regenerating import Story, committed, snapshot


@pytest.fixture
def story(tmp_path: Path) -> Story:
    story = Story(tmp_path)
    story.start()
    return story


def forget(story: Story) -> None:
    git(story.project, "rm", "--quiet", ".cruft.json")
    story.commit()


def test_a_linked_project_is_as_if_it_had_been_recorded(
    story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    before = snapshot(story.project)
    forget(story)
    story.release("1.1.0", {"docs/more.md": "more\n"})
    url = f"file://{story.template}"
    assert main(["link", str(story.project), "--template", url, "--dry-run"]) == 0
    assert story.status() == ""
    assert main(["link", str(story.project), "--template", url]) == 0
    assert "files are as rendered, 0 differ, 0 are missing" in capsys.readouterr().out
    linked = json.loads(before[".cruft.json"])
    assert story.lock() == linked
    story.commit()
    assert story.update() == 0
    assert story.read("docs/more.md") == "more\n"
    assert main(["link", str(story.project), "--template", url]) == 2
    assert "is linked already" in capsys.readouterr().err


def test_it_says_what_differs(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    forget(story)
    story.edit("docs/guide.md", "paragraph 3\n", "ours\n")
    git(story.project, "rm", "--quiet", "config/settings.py")
    story.commit()
    words = ["link", str(story.project), "--template", str(story.template)]
    assert main([*words, "--to", "1.0.0", "--set", "docker=no"]) == 0
    out = capsys.readouterr().out
    assert "1 differ, 1 are missing" in out
    assert "- differs: `docs/guide.md`" in out
    assert "- missing: `config/settings.py`" in out
    assert story.answers()["docker"] is False
    assert story.lock()["template"] == str(story.template)


def test_answers_are_read_from_the_policy(bake: Bake, template: Path, tmp_path: Path) -> None:
    baked = bake(**PRESETS["tutorial"] | {"access_token_minutes": "45"})
    project = committed(shutil.copytree(baked.path, tmp_path / "project"))
    git(project, "rm", "--quiet", ".cruft.json")
    git(project, "commit", "--quiet", "--message", "Without a record")
    given = ["--set", "tutorial_contract=yes"]  # the policy has no constant of it
    assert main(["link", str(project), "--template", str(template), *given]) == 0
    lock = json.loads((project / ".cruft.json").read_text("utf-8"))
    found = lock["context"]["cookiecutter"]
    assert {q: found[q] for q in QUESTIONS} == {q: baked.answers[q] for q in QUESTIONS}
    assert lock == json.loads(baked.read(".cruft.json"))
