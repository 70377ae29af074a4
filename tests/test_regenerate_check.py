"""`regenerate check` and the project's own copy of it find each change of what is owned."""

import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from regenerate.cli import main
from tests.project import ROOT, SOURCE, Bake
from tests.regenerating import FILES, Story, changed


def today() -> date:
    """Ask the clock each time: a run can begin on one day and end on the next."""
    return datetime.now(UTC).date()


@pytest.fixture
def story(tmp_path: Path) -> Story:
    story = Story(tmp_path)
    story.start()
    return story


@pytest.fixture
def check(story: Story, capsys: pytest.CaptureFixture[str]) -> Callable[[], tuple[int, list[str]]]:
    """Return the exit code and the lines but the last."""

    def check() -> tuple[int, list[str]]:
        code = main(["check", str(story.project)])
        out, err = capsys.readouterr()
        return code, (out or err).splitlines()[: -1 if out else None]

    return check


Check = Callable[[], tuple[int, list[str]]]


def test_a_fresh_project_is_clean(check: Check) -> None:
    assert check() == (0, [])


def test_changes_losses_and_additions_are_found(story: Story, check: Check) -> None:
    core = story.project / "auth_core" / "core.py"
    core.write_text(core.read_text() + "more\n")
    (story.project / "auth_core" / "urls.py").unlink()
    (story.project / "auth_core" / "extra").mkdir()
    (story.project / "auth_core" / "extra" / "mine.py").write_text("")
    assert check() == (
        1,
        [
            "MODIFIED  auth_core/core.py",
            "MISSING   auth_core/urls.py",
            "ADDED     auth_core/extra/mine.py",
        ],
    )


def test_what_is_not_owned_and_line_ends_are_no_finding(story: Story, check: Check) -> None:
    core = story.project / "auth_core" / "core.py"
    core.write_bytes(core.read_bytes().replace(b"\n", b"\r\n"))
    for name in ("README.md", "users/models.py", "config/settings.py"):
        (story.project / name).write_text("ours\n")
    for name in ("auth_core/__pycache__/core.pyc", ".venv/a.rej", "env/pyvenv.cfg", "env/a.orig"):
        (story.project / name).parent.mkdir(exist_ok=True)
        (story.project / name).write_text("made by a tool\n")
    assert check() == (0, [])


def test_conflict_markers_and_leftovers_are_found_everywhere(story: Story, check: Check) -> None:
    settings = FILES["config/settings.py"]
    story.edit("config/settings.py", "setting 3\n", "ours\n")
    story.release("1.1.0", {"config/settings.py": changed(settings, 3, "theirs")})
    assert story.update() == 1
    (story.project / "README.md.rej").write_text("")
    code, lines = check()
    assert code == 1
    assert {"LEFTOVER  README.md.rej", "CONFLICT  config/settings.py"} <= set(lines)


def test_a_moved_folder_is_checked_where_it_is(story: Story, check: Check) -> None:
    (story.project / "src").mkdir()
    (story.project / "auth_core").rename(story.project / "src" / "auth_core")
    assert check() == (0, [])
    (story.project / "src" / "auth_core" / "core.py").write_text("ours\n")
    (story.project / "src" / "auth_core" / "mine.py").write_text("ours\n")
    lines = ["MODIFIED  src/auth_core/core.py", "ADDED     src/auth_core/mine.py"]
    assert check() == (1, lines)


def waive(story: Story, path: str, *, days: int, reason: str = "TICKET-7") -> None:
    text = (
        f'[[waiver]]\npath = "{path}"\nreason = "{reason}"\nexpires = {today() + timedelta(days)}\n'
    )
    (story.project / "template-waivers.toml").write_text(text)


def test_a_waiver_excuses_until_its_day(story: Story, check: Check) -> None:
    (story.project / "auth_core" / "core.py").write_text("ours\n")
    waive(story, "auth_core/core.py", days=1)
    assert check() == (0, [f"waived    auth_core/core.py until {today() + timedelta(1)}: TICKET-7"])
    waive(story, "auth_core/core.py", days=0)
    assert check()[0] == 0
    waive(story, "auth_core/core.py", days=-1)
    until = today() - timedelta(1)
    assert check() == (1, [f"EXPIRED   auth_core/core.py (waived until {until})"])
    waive(story, "auth_core/urls.py", days=1)
    assert check() == (1, ["MODIFIED  auth_core/core.py", "unneeded  waiver of auth_core/urls.py"])


@pytest.mark.parametrize(
    "text",
    [
        "[[waiver]]\npath = 'a'\nreason = 'b'\n",
        "[[waiver]]\npath = 'a'\nreason = ' '\nexpires = 2030-01-01\n",
        "[[waiver]]\npath = 'a'\nreason = 'b'\nexpires = 'never'\n",
        "[[waiver]]\npath = 'a'\nreason = 'b'\nexpires = 2030-01-01\nmore = 1\n",
        "waiver = 1\n",
        "not toml",
    ],
)
def test_a_waiver_says_all_or_is_refused(text: str, story: Story, check: Check) -> None:
    (story.project / "template-waivers.toml").write_text(text)
    code, lines = check()
    assert code == 2
    assert lines[0].startswith("check: template-waivers.toml")


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"files": []}'])
def test_a_manifest_that_cannot_be_read_is_no_clean_bill(
    text: str | None, story: Story, check: Check
) -> None:
    manifest = story.project / ".template" / "manifest.json"
    manifest.unlink()
    if text is not None:
        manifest.write_text(text)
    code, lines = check()
    assert code == 2
    assert "manifest.json" in lines[0]


def test_the_rendered_copy_is_the_same_and_needs_no_package(bake: Bake) -> None:
    ours = (ROOT / "regenerate" / "check.py").read_bytes()
    assert (ROOT / SOURCE / ".template" / "check.py").read_bytes() == ours
    project = bake()
    isolated = (sys.executable, "-I", "-S", ".template/check.py")
    assert project.run(*isolated).stdout == "Owned by the template 0.1.0: as rendered.\n"
    # Session-wide: what is changed is put back.
    policy = project.path / "auth_core" / "policy.py"
    text = policy.read_text("utf-8")
    policy.write_text(text.replace("= 15", "= 1500"), "utf-8")
    try:
        done = project.run(*isolated, check=False)
    finally:
        policy.write_text(text, "utf-8")
    assert (done.returncode, done.stdout.splitlines()[0]) == (1, "MODIFIED  auth_core/policy.py")
