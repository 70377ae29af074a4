"""`regenerate fleet`: one table over many projects, a branch in each; a bad one stops nothing."""

import html
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from regenerate import fleet
from regenerate.cli import main
from tests.conftest import git
from tests.project import ROOT
from tests.regenerating import FILES, Story, changed, committed, snapshot

CORE = FILES["auth_core/core.py"]


@pytest.fixture
def story(tmp_path: Path) -> Story:
    """Give a template with two releases after the one that the project is from."""
    story = Story(tmp_path)
    story.start()
    for version, line in (("1.1.0", 3), ("1.2.0", 9)):
        story.release(version, {"auth_core/core.py": changed(CORE, line, version)})
    return story


def reports(text: str) -> dict[str, dict[str, object]]:
    return {Path(each["path"]).name: each for each in json.loads(text)}


def test_the_report_tells_what_is_wrong_with_which_project(
    story: Story, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    drifted = shutil.copytree(story.project, tmp_path / "drifted")
    (drifted / "auth_core" / "core.py").write_text("ours\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "list.txt").write_text("my-api  # the first\n\ndrifted\nempty\ngone\n")
    (tmp_path / "policy.txt").write_text(
        "minutes <= 10\ndelivery in header, cookie\ndocker == true\n"
    )
    named = ["--template", str(story.template)]
    words = ["fleet", *named, "--from-file", str(tmp_path / "list.txt"), "--policy"]
    assert main([*words, str(tmp_path / "policy.txt"), "--format", "json"]) == 2
    out, err = capsys.readouterr()
    found = reports(out)
    assert found["my-api"]["version"] == "1.0.0"
    assert found["my-api"]["lag"] == 2
    assert found["my-api"]["drift"] == []
    assert found["my-api"]["violations"] == ["minutes is '15', not <= 10"]
    assert found["drifted"]["drift"] == ["MODIFIED  auth_core/core.py"]
    assert found["empty"]["error"] == found["gone"]["error"] == "no .cruft.json"
    assert "4/4 " in err
    assert main(["fleet", *named, str(story.project)]) == 0
    out = capsys.readouterr().out
    assert out.endswith("1 projects: 1 well, 0 not; 1 behind.\n")
    assert main(["fleet", str(drifted)]) == 1
    assert "    MODIFIED  auth_core/core.py\n" in capsys.readouterr().out


def test_an_update_is_one_commit_on_a_branch_and_the_checkout_stays(
    story: Story, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    conflicting = shutil.copytree(story.project, tmp_path / "conflicting")
    (conflicting / "auth_core" / "core.py").write_text(changed(CORE, 9, "ours"))
    git(conflicting, "commit", "--quiet", "--all", "--message", "Ours")
    broken = shutil.copytree(story.project, tmp_path / "broken")
    (broken / ".git").rename(tmp_path / "elsewhere")
    (story.project / "README.md").write_text("not committed\n")
    before = snapshot(story.project)
    named = ["--template", str(story.template)]
    paths = [*named, *map(str, (broken, conflicting, story.project))]
    for _ in range(2):  # a second time, the branches are there and are right
        assert main(["fleet", *paths, "--update", "--format", "json"]) == 2
        found = reports(capsys.readouterr().out)
        assert "is in no git repository" in str(found["broken"]["error"])
        assert found["conflicting"]["conflicts"] == 1
        assert found["my-api"]["branch"] == "regenerate/1.2.0"
        assert snapshot(story.project) == before
        assert git(story.project, "rev-list", "--count", "main..regenerate/1.2.0").strip() == "1"
    told = git(story.project, "log", "-1", "--format=%s%n%b", "regenerate/1.2.0")
    assert told.startswith("Template 1.0.0 → 1.2.0\n")
    assert "#### 1.1.0" in told
    git(story.project, "checkout", "--quiet", "--force", "regenerate/1.2.0")
    fresh = story.render(tmp_path / "fresh", "1.2.0")
    assert snapshot(story.project) == snapshot(committed(fresh))
    assert ">>>>>>> " in git(conflicting, "show", "regenerate/1.2.0:auth_core/core.py")
    git(conflicting, "branch", "--force", "regenerate/1.2.0", "main")
    assert main(["fleet", *named, str(conflicting), "--update"]) == 2
    assert "has a branch regenerate/1.2.0 with other content" in capsys.readouterr().out


def test_the_page_escapes_what_projects_say() -> None:
    answer = "<script>alert(1)</script>"
    report = fleet.Report(f"a&b{answer}", violations=[answer], error=answer)
    page = fleet.as_html([report])
    assert "<script" not in page
    assert page.count(html.escape(answer)) == 3


@pytest.mark.parametrize(
    ("rule", "answers", "kept"),
    [
        (("minutes", "<=", "15"), {"minutes": "15"}, True),
        (("minutes", "<=", "15"), {"minutes": "100"}, False),
        (("minutes", "<=", "15"), {"minutes": "many"}, False),
        (("minutes", "<=", "15"), {}, False),
        (("flag", "==", "true"), {"flag": True}, True),
        (("flag", "!=", "true"), {"flag": True}, False),
        (("way", "in", "a, b"), {"way": "b"}, True),
        (("way", "in", "a, b"), {"way": "a, b"}, False),
    ],
)
def test_a_rule(rule: tuple[str, str, str], answers: dict[str, object], kept: bool) -> None:
    assert fleet.Rule(*rule).is_kept_by(answers) is kept


def test_a_policy_that_cannot_be_read_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "policy.txt").write_text("# fine\nminutes at most 15\n")
    words = ["fleet", str(tmp_path), "--policy"]
    assert main([*words, str(tmp_path / "policy.txt")]) == 2
    assert "policy.txt:2: not like `access_token_minutes <= 15`" in capsys.readouterr().err
    assert main([*words, str(tmp_path / "none.txt")]) == 2
    assert "none.txt cannot be read" in capsys.readouterr().err
    assert main(["fleet"]) == 2
    assert "no project is named" in capsys.readouterr().err


@pytest.mark.slow
def test_a_hundred_projects(
    story: Story, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Measured, not judged: the machine of a test is not the machine of a person."""
    paths = [str(shutil.copytree(story.project, tmp_path / f"{n:03}")) for n in range(100)]
    seconds = []
    for words in ([], ["--update"]):
        start = time.perf_counter()
        assert main(["fleet", "--template", str(story.template), *paths, *words]) == 0
        seconds.append(time.perf_counter() - start)
        assert "100/100" in capsys.readouterr().err
    with capsys.disabled():
        print("\n100 small projects: reported in {:.1f} s, updated in {:.1f} s".format(*seconds))


@pytest.mark.slow
def test_the_benchmark_runs() -> None:
    command = [sys.executable, "-m", "benchmarks.fleet", "--projects", "2"]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    assert re.findall(r"^(\w+): [\d.]+ s \(2 projects: 2 well", done.stdout, re.MULTILINE) == [
        "report",
        "update",
    ]
