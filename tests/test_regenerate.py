"""`regenerate update` loses nothing: the scenarios S1 to S27 on a small template."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import git
from tests.regenerating import FILES, Story, changed, commit, committed, snapshot

SETTINGS, CORE, GUIDE = (
    FILES[n] for n in ("config/settings.py", "auth_core/core.py", "docs/guide.md")
)


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path)


def test_an_untouched_project_becomes_a_fresh_render(story: Story) -> None:
    new = {
        "auth_core/core.py": changed(CORE, 3, "new"),
        "docs/guide.md": None,
        "docs/more.md": "more\n",
    }
    story.release("1.1.0", new)
    story.start(minutes="5")
    assert story.update("--set", "delivery=cookie") == 0
    fresh = story.render(story.folder / "fresh", "1.1.0", minutes="5", delivery="cookie")
    assert snapshot(story.project) == snapshot(committed(fresh))
    story.commit()
    assert story.update() == 0
    assert story.status() == ""
    assert story.update("--to", "1.0.0", "--set", "delivery=header") == 0
    assert git(story.project, "diff", "--cached", "HEAD~1") == ""


def test_the_teams_work_stays_and_the_templates_comes(story: Story) -> None:
    story.start()
    story.edit("config/settings.py", "setting 18", "ours")
    story.edit("users/models.py", "field 2\n", "ours\n")
    files = {"config/settings.py": changed(SETTINGS, 2, "theirs")}
    story.release("1.1.0", files | {"users/models.py": "theirs\n", "users/admin.py": "theirs\n"})
    assert story.update() == 0
    assert story.read("config/settings.py") == changed(changed(SETTINGS, 18, "ours"), 2, "theirs")
    assert story.read("users/models.py") == changed(FILES["users/models.py"], 2, "ours")
    assert story.read("users/admin.py") == "theirs\n"


def test_s1_an_edit_beside_the_templates_is_a_conflict_with_its_base(
    story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    story.start()
    story.edit("config/settings.py", "setting 3", "ours")
    story.release("1.1.0", {"config/settings.py": changed(SETTINGS, 3, "theirs")})
    assert story.update() == 1
    text = story.read("config/settings.py")
    for line in (
        "<<<<<<< yours",
        "||||||| ",
        ">>>>>>> template-1.1.0",
        "ours",
        "setting 3",
        "theirs",
    ):
        assert line in text
    assert "UU config/settings.py" in story.status()
    assert "- `config/settings.py`: (content)" in capsys.readouterr().out
    git(story.project, "reset", "--quiet", "--hard")
    assert story.read("config/settings.py") == changed(SETTINGS, 3, "ours")
    assert story.status() == ""


def test_s3_a_project_formatted_before_its_first_commit(story: Story) -> None:
    story.render(story.folder, version="1.0.0")
    git(story.project, "init", "--quiet")
    (story.project / "config" / "settings.py").write_text(SETTINGS.replace("setting 20", "ours"))
    story.commit()
    story.release("1.1.0", {"config/settings.py": changed(SETTINGS, 3, "theirs")})
    assert story.update() == 0
    assert story.read("config/settings.py") == changed(changed(SETTINGS, 3, "theirs"), 20, "ours")


def test_s4a_a_deleted_file_that_the_template_changes_is_a_conflict(story: Story) -> None:
    story.start()
    git(story.project, "rm", "--quiet", "docs/guide.md")
    story.commit()
    story.release("1.1.0", {"docs/guide.md": changed(GUIDE, 3, "theirs")})
    assert story.update() == 1
    assert "DU docs/guide.md" in story.status()


def test_a_deleted_file_that_the_template_leaves_alone_stays_away(story: Story) -> None:
    story.start()
    git(story.project, "rm", "--quiet", "docs/guide.md")
    story.commit()
    story.release("1.1.0", {"auth_core/core.py": changed(CORE, 3, "theirs")})
    assert story.update() == 0
    assert not (story.project / "docs" / "guide.md").exists()


def test_s4b_a_new_file_arrives_in_a_deleted_folder(story: Story) -> None:
    story.start()
    git(story.project, "rm", "--quiet", "docs/guide.md")
    story.commit()
    story.release("1.1.0", {"docs/more.md": "more\n"})
    assert story.update() == 0
    assert story.read("docs/more.md") == "more\n"


def test_s4c_changes_new_files_and_new_folders_follow_a_moved_folder(story: Story) -> None:
    story.start()
    (story.project / "src").mkdir()
    git(story.project, "mv", "auth_core", "src/auth_core")
    story.commit()
    new = {"auth_core/core.py": changed(CORE, 3, "theirs"), "auth_core/new.py": "new\n"}
    story.release("1.1.0", new)
    assert story.update("--set", "minutes=5", "--set", "delivery=cookie") == 0
    assert story.read("src/auth_core/core.py") == changed(CORE, 3, "theirs")
    assert story.read("src/auth_core/new.py") == "new\n"
    assert "MINUTES = 5" in story.read("src/auth_core/policy.py")
    assert (story.project / "src" / "auth_core" / "cookies" / "__init__.py").exists()
    assert not (story.project / "auth_core").exists()


def test_s4c_where_a_new_file_is_moved_by_guess_it_is_said(
    story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    story.start()
    git(story.project, "mv", "docs", "manual")
    story.commit()
    story.release("1.1.0", {"docs/guide.md": changed(GUIDE, 3, "theirs"), "docs/more.md": "more\n"})
    assert story.update() == 0
    assert story.read("manual/guide.md") == changed(GUIDE, 3, "theirs")
    assert story.read("manual/more.md") == "more\n"
    assert "manual/more.md" in capsys.readouterr().out


def test_s5_an_edited_file_that_the_template_drops_is_a_conflict_and_stays(story: Story) -> None:
    story.start()
    story.edit("docs/guide.md", "paragraph 3", "ours")
    story.release("1.1.0", {"docs/guide.md": None})
    assert story.update() == 1
    assert "UD docs/guide.md" in story.status()
    assert "ours" in story.read("docs/guide.md")


def test_s6_a_file_that_both_add_is_a_conflict(story: Story) -> None:
    story.start()
    (story.project / "docs" / "more.md").write_text("ours\n")
    story.commit()
    story.release("1.1.0", {"docs/more.md": "theirs\n"})
    assert story.update() == 1
    assert "AA docs/more.md" in story.status()
    assert "ours" in story.read("docs/more.md")
    assert "theirs" in story.read("docs/more.md")


def test_s7_an_edit_follows_a_file_that_the_template_renames(story: Story) -> None:
    story.start()
    story.edit("docs/guide.md", "paragraph 3\n", "ours\n")
    story.release("1.1.0", {"docs/guide.md": None, "docs/handbook.md": GUIDE})
    assert story.update() == 0
    assert story.read("docs/handbook.md") == changed(GUIDE, 3, "ours")
    assert not (story.project / "docs" / "guide.md").exists()


def test_s10_answers_alone_can_change(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    story.start()
    assert story.update("--set", "minutes=5", "--set", "docker=no") == 0
    assert story.read("auth_core/policy.py").startswith("MINUTES = 5\n")
    assert story.answers()["docker"] is False
    out = capsys.readouterr().out
    assert '- `minutes` (set): `"15"` → `"5"`' in out
    assert "- `docker` (set): `true` → `false`" in out


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("minuets=5", "no question is called minuets: did you mean minutes?"),
        ("zzz=5", "no question is called zzz: there are project_slug, minutes, delivery, docker"),
        ("delivery=pigeon", "delivery cannot be 'pigeon', only header or cookie"),
        ("docker=perhaps", "docker cannot be 'perhaps', only true or false"),
    ],
)
def test_an_answer_that_cannot_be_is_refused(
    given: str, said: str, story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    story.start()
    assert story.update("--set", given) == 2
    assert said in capsys.readouterr().err
    assert story.status() == ""


def test_s11_a_hook_that_makes_a_repository_does_no_harm(story: Story) -> None:
    story.hook('import subprocess\nsubprocess.run(["git", "init", "--quiet"], check=True)')
    story.release("1.1.0", {})
    story.release("1.2.0", {"auth_core/core.py": changed(CORE, 3, "theirs")})
    story.start(version="1.1.0")
    assert story.update() == 0
    assert story.read("auth_core/core.py") == changed(CORE, 3, "theirs")


def test_s14_the_release_is_recorded_and_what_comes_after_it_waits(story: Story) -> None:
    story.release("1.1.0", {"docs/guide.md": "1.1.0\n"})
    story.start()
    (story.template / "README").write_text("not released\n")
    commit(story.template, "Not released")
    assert story.update() == 0
    assert story.lock()["commit"] == git(story.template, "rev-parse", "v1.1.0").strip()
    assert story.lock()["checkout"] == "v1.1.0"


def test_a_project_of_an_unreleased_commit_is_not_set_back(story: Story) -> None:
    (story.template / "README").write_text("not released\n")
    commit(story.template, "Not released")
    story.render(story.folder)
    committed(story.project)
    assert story.update("--set", "minutes=5") == 0
    assert story.lock()["commit"] == git(story.template, "rev-parse", "main").strip()


def test_s17_a_retired_value_is_refused_or_carried_by_the_map(
    story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    story.start(delivery="cookie")
    story.release("1.1.0", {}, delivery=["header", "jar"], _optional={})
    assert story.update() == 2
    assert (
        "delivery cannot be 'cookie', only header or jar: --set delivery="
        in capsys.readouterr().err
    )
    story.release("1.2.0", {}, _retired_choices={"delivery": {"cookie": "jar"}})
    assert story.update() == 0
    assert story.answers()["delivery"] == "jar"
    assert '- `delivery` (retired): `"cookie"` → `"jar"`' in capsys.readouterr().out


def test_s17b_the_answer_of_a_renamed_question_is_carried_and_back_again(
    story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    story.start(minutes="45")
    policy = FILES["auth_core/policy.py"]
    for version, old, new in (
        ("1.1.0", "minutes", "lifetime"),
        ("1.2.0", "lifetime", "access_minutes"),
    ):
        policy = policy.replace(f"cookiecutter.{old}", f"cookiecutter.{new}")
        renames = story.questions.get("_answer_renames", {}) | {new: old}
        given = {old: None, new: "15", "_answer_renames": renames}
        story.release(version, {"auth_core/policy.py": policy}, **given)
    assert story.update() == 0
    assert "MINUTES = 45" in story.read("auth_core/policy.py")
    assert '- `access_minutes` (renamed from minutes): `"45"`' in capsys.readouterr().out
    story.commit()
    assert story.update("--to", "1.0.0") == 0
    assert story.answers()["minutes"] == "45"
    assert git(story.project, "diff", "--cached", "HEAD~1") == ""


def test_a_new_question_takes_what_was_so_before_it_and_is_printed(
    story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    story.start()
    story.release("1.1.0", {}, mfa=["totp", "none"], _answers_before={"mfa": "none"}, style="plain")
    assert story.update() == 0
    assert story.answers()["mfa"] == "none"
    out = capsys.readouterr().out
    assert '- `mfa` (new): `"none"`' in out
    assert '- `style` (new): `"plain"`' in out


def test_an_answer_that_is_dropped_is_printed(
    story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    story.start()
    story.release("1.1.0", {}, docker=None)
    assert story.update() == 0
    assert "- `docker` (dropped): `true`" in capsys.readouterr().out


def test_s21_a_shallow_clone_is_updated(story: Story) -> None:
    story.start()
    story.edit("docs/guide.md", "paragraph 3", "ours")
    upstream = story.project.rename(story.folder / "upstream")
    git(story.folder, "clone", "--quiet", "--depth", "1", f"file://{upstream}", str(story.project))
    story.release("1.1.0", {"docs/guide.md": changed(GUIDE, 18, "theirs")})
    assert story.update() == 0
    assert story.read("docs/guide.md") == changed(changed(GUIDE, 3, "ours"), 18, "theirs")


def test_s25_what_git_ignores_is_left_alone(story: Story) -> None:
    story.hook("import os\nopen('.env', 'wb').write(os.urandom(9))")
    story.release("1.1.0", {})
    story.release("1.2.0", {"docs/guide.md": "1.2.0\n"})
    story.start(version="1.1.0")
    secret = (story.project / ".env").read_bytes()
    assert story.update() == 0
    assert (story.project / ".env").read_bytes() == secret
    assert "env" not in story.status()


def test_a_project_in_a_subfolder_of_a_repository(story: Story) -> None:
    story.start()
    story.edit("config/settings.py", "setting 3", "ours")
    outer = story.folder / "outer"
    (outer / "services").mkdir(parents=True)
    story.project.rename(outer / "services" / "my-api")
    (outer / "services" / "my-api" / ".git").rename(outer / ".git")
    (outer / "config").mkdir()
    (outer / "config" / "settings.py").write_text("of another\n")
    commit(outer, "Moved")
    files = {"config/settings.py": changed(SETTINGS, 3, "theirs"), "docs/more.md": "more\n"}
    story.release("1.1.0", files)
    story.project.symlink_to(outer / "services" / "my-api")
    assert story.update() == 1
    assert story.read("docs/more.md") == "more\n"
    assert "UU services/my-api/config/settings.py" in git(outer, "status", "--porcelain")
    assert (outer / "config" / "settings.py").read_text() == "of another\n"


def test_a_dirty_tree_is_refused_and_untracked_files_are_not(
    story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    story.start()
    story.release("1.1.0", {"docs/more.md": "more\n", "docs/guide.md": "1.1.0\n"})
    (story.project / "notes.txt").write_text("mine\n")
    (story.project / "README.md").write_text("mine\n")
    assert story.update() == 2
    assert "changes that are not committed (README.md)" in capsys.readouterr().err
    git(story.project, "checkout", "--quiet", "README.md")
    more = story.project / "docs" / "more.md"
    more.write_text("mine\n")
    assert story.update() == 2
    assert "docs/more.md is not tracked" in capsys.readouterr().err
    assert more.read_text() == "mine\n"
    more.unlink()
    assert story.update() == 0
    assert (story.project / "notes.txt").read_text() == "mine\n"


@pytest.mark.parametrize("words", [["--dry-run"], ["--dry-run", "--branch"]])
def test_a_dry_run_shows_all_and_leaves_no_trace(
    words: list[str], story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    story.start()
    story.release("1.1.0", {"docs/guide.md": changed(GUIDE, 3, "theirs")})
    before = {path for path in story.folder.rglob("*") if path.is_file()}
    index = (story.project / ".git" / "index").read_bytes()
    assert story.update(*words) == 0
    out = capsys.readouterr().out
    assert "+theirs" in out
    assert "## Template 1.0.0 → 1.1.0" in out
    assert {path for path in story.folder.rglob("*") if path.is_file()} == before
    assert (story.project / ".git" / "index").read_bytes() == index


def test_a_branch_takes_the_conflicts_too_and_the_checkout_stays(
    story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    story.start()
    story.edit("docs/guide.md", "paragraph 3\n", "ours\n")
    story.release("1.1.0", {"docs/guide.md": changed(GUIDE, 3, "theirs")})
    before = snapshot(story.project)
    assert story.update("--branch") == 1
    out, err = capsys.readouterr()
    assert "### Conflicts: 1" in out
    assert "branch regenerate/1.1.0" in err
    assert snapshot(story.project) == before
    assert story.status() == ""
    committed = git(story.project, "show", "regenerate/1.1.0:docs/guide.md")
    assert ">>>>>>> template-1.1.0" in committed


def test_the_report_has_the_notes_between_the_two_versions(
    story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    story.start()
    story.release("1.1.0", {}, upgrading="Set `A`.")
    story.release("1.2.0", {}, upgrading="Set `B`.")
    story.release("1.10.0", {}, upgrading="Set `C`.")
    assert story.update("--to", "1.2.0") == 0
    out = capsys.readouterr().out
    assert "#### 1.1.0\n\nSet `A`." in out
    assert "#### 1.2.0\n\nSet `B`." in out
    assert "1.10.0" not in out
    assert "#### 1.0.0" not in out
    story.commit()
    assert story.update() == 0
    assert "1.2.0 → 1.10.0" in capsys.readouterr().out


def test_what_cannot_be_is_said_in_one_line(
    story: Story, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    story.start()

    def refusal(*words: str) -> str:
        assert story.update(*words) == 2
        out, err = capsys.readouterr()
        assert out == ""
        last = err.splitlines()[-1]
        assert last.startswith("regenerate: ")
        assert "Traceback" not in err
        return last

    assert "has no version 9.9.9; it has v1.0.0" in refusal("--to", "9.9.9")
    assert "cannot be cloned" in refusal("--template", str(tmp_path / "nowhere"))
    lock = story.lock()
    for commit_recorded, said in ((None, "does not say which commit"), ("0" * 40, "has no commit")):
        path = story.project / ".cruft.json"
        path.write_text(json.dumps(lock | {"commit": commit_recorded}))
        story.commit()
        assert said in refusal()
    path.write_text("{}")
    story.commit()
    assert ".cruft.json cannot be read" in refusal()
    path.unlink()
    story.commit()
    assert "has no .cruft.json" in refusal()
    (story.project / ".git").rename(tmp_path / "elsewhere")
    assert "is in no git repository" in refusal()
    story.project.rename(tmp_path / "gone")
    assert "is no folder" in refusal()


def test_git_hooks_around_do_not_mislead_it(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    story.start()
    story.release("1.1.0", {"docs/guide.md": "1.1.0\n"})
    monkeypatch.setenv("GIT_DIR", str(story.template / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(story.template / ".git" / "index"))
    assert story.update() == 0
    monkeypatch.undo()
    assert story.read("docs/guide.md") == "1.1.0\n"


def test_names_of_every_kind_survive(story: Story) -> None:
    story.start()
    name = 'docs/Ünï "quoted"\ttab\nline.md'
    (story.project / name).write_text("ours\n")
    raw = os.fsencode(story.project) + b"/docs/latin\xe9.md"
    Path(os.fsdecode(raw)).write_text("ours\n")
    story.commit()
    story.release("1.1.0", {"docs/guide.md": "1.1.0\n"})
    assert story.update() == 0
    assert len(git(story.project, "diff", "--cached", "--name-only").splitlines()) == 3
    assert story.read(name) == "ours\n"


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGKILL,
        *(
            pytest.param(n, marks=pytest.mark.slow)
            for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        ),
    ],
)
def test_the_last_step_goes_on_to_its_end(number: int, story: Story, tmp_path: Path) -> None:
    """Also to the marks of the conflicts, without which the markers could be committed."""
    story.start()
    story.edit("config/settings.py", "setting 3", "ours")
    story.release("1.1.0", {"config/settings.py": changed(SETTINGS, 3, "theirs")})
    slow, begun = tmp_path / "bin" / "git", tmp_path / "begun"
    slow.parent.mkdir()
    slow.write_text(
        f'#!/bin/sh\ncase "$*" in read-tree*) touch {begun}; sleep 1;; esac\n'
        f'exec {shutil.which("git")} "$@"\n'
    )
    slow.chmod(0o755)
    path = f"{slow.parent}{os.pathsep}{os.environ['PATH']}"
    with subprocess.Popen(
        [sys.executable, "-m", "regenerate", *story.command],
        env=os.environ | {"PATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
    ) as process:
        while not begun.exists():
            time.sleep(0.01)
        os.killpg(process.pid, number)
    deadline = time.monotonic() + 10
    while not git(story.project, "ls-files", "--unmerged") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert "UU config/settings.py" in story.status()
    assert "M  .cruft.json" in story.status()


def test_the_command_works_as_a_process(story: Story) -> None:
    story.start()
    story.release("1.1.0", {"docs/guide.md": "1.1.0\n"})
    named = ("--template", str(story.template))
    command = [sys.executable, "-m", "regenerate", "update", "--to", "v1.1.0", *named]
    done = subprocess.run(command, cwd=story.project, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("## Template 1.0.0 → 1.1.0\n")
    assert "Rendering 1.1.0" in done.stderr
