"""A project written by an attacker runs nothing, and writes nothing outside of itself.

The caller names a good template. Everything else is the attacker's: the record, the manifest,
links, folders that are repositories, and names. `Trap` sees whether code ran, `outside` whether a
folder next to the project changed.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from regenerate import addresses
from regenerate.check import LARGEST_RECORD
from regenerate.cli import main
from tests.conftest import git
from tests.project import QUESTIONS, ROOT, Bake
from tests.regenerating import FILES, SOURCE, Story, changed, commit, committed

CORE = FILES["auth_core/core.py"]


@dataclass(frozen=True)
class Trap:
    """A command that leaves a file behind, in words of a shell, of Jinja and of Python."""

    file: Path

    @property
    def shell(self) -> str:
        return f"touch {self.file}"

    @property
    def tag(self) -> str:
        return f"{{{{ cycler.__init__.__globals__.os.popen('{self.shell}').read() }}}}"

    @property
    def hook(self) -> str:
        return f"import pathlib; pathlib.Path({str(self.file)!r}).touch()"

    @property
    def is_sprung(self) -> bool:
        return self.file.exists()


@pytest.fixture
def trap(tmp_path: Path) -> Iterator[Trap]:
    """Give a trap that must not be sprung."""
    trap = Trap(tmp_path / "sprung")
    yield trap
    assert not trap.is_sprung


@pytest.fixture
def story(tmp_path: Path) -> Story:
    """Give a good template with a release after the one that the project is from."""
    story = Story(tmp_path / "good")
    story.start()
    story.release("1.1.0", {"auth_core/core.py": changed(CORE, 3, "1.1.0")})
    return story


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """Give a folder next to the project, in which nothing may change."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "precious").write_text("precious\n")
    yield folder
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"precious": "precious\n"}


Commands = Callable[[Path, Path], Iterator[int]]


def commands(project: Path, template: Path) -> Iterator[int]:
    """Run every command on a project, and give the exit codes: those of two updates come first."""
    named = ("--template", str(template))
    yield main(["update", str(project), *named, "--dry-run"])
    yield main(["update", str(project), *named])
    yield main(["link", str(project), *named])
    yield main(["check", str(project)])
    yield main(["fleet", str(project), *named, "--update"])


def record(story: Story, content: dict[str, Any]) -> None:
    """Commit a record."""
    (story.project / ".cruft.json").write_text(json.dumps(content))
    story.commit()


def paths_in(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the way to each value in a record."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from paths_in(each, (*path, key))
    else:
        yield path


def replaced(value: Any, path: tuple[str, ...], new: Any) -> Any:
    if not path:
        return new
    return value | {path[0]: replaced(value[path[0]], path[1:], new)}


def test_no_field_of_the_record_is_run(
    story: Story, trap: Trap, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = story.lock()
    fields = [*paths_in(lock), ("context", "cookiecutter", "unknown"), ("unknown",)]
    lock["context"]["cookiecutter"]["unknown"] = lock["unknown"] = ""
    assert ("context", "cookiecutter", "docker") in fields
    for field in fields:
        record(story, replaced(lock, field, trap.tag))
        codes = list(commands(story.project, story.template))
        assert not trap.is_sprung, field
        if not any(part.startswith("_") for part in field):
            out, err = capsys.readouterr()
            assert codes[:2] == [2, 2], field
            assert field[-1] in err
            assert "Traceback" not in out + err
            git(story.project, "reset", "--quiet", "--hard")


def test_no_answer_is_run_where_a_project_is_linked(
    story: Story, trap: Trap, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = story.lock() | {"commit": None}
    for question in ("project_slug", "minutes", "delivery", "docker"):
        record(story, replaced(lock, ("context", "cookiecutter", question), trap.tag))
        assert main(["link", str(story.project), "--template", str(story.template)]) == 2
        assert question in capsys.readouterr().err
    git(story.project, "rm", "--quiet", ".cruft.json")
    (story.project / "auth_core" / "policy.py").write_text(f"MINUTES: str = {trap.tag!r}\n")
    story.commit()
    assert main(["link", str(story.project), "--template", str(story.template)]) == 2
    assert "minutes is " in capsys.readouterr().err


def test_no_answer_of_this_templates_questions_is_run(
    template: Path, bake: Bake, trap: Trap, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = committed(shutil.copytree(bake().path, tmp_path / "project"))
    path = project / ".cruft.json"
    lock = json.loads(path.read_text())
    for question in QUESTIONS:
        path.write_text(json.dumps(replaced(lock, ("context", "cookiecutter", question), trap.tag)))
        commit(project, "Hostile")
        named = ("--template", str(template))
        assert main(["update", str(project), *named, "--dry-run"]) == 2
        assert f".cruft.json: {question} is " in capsys.readouterr().err


def test_an_answer_that_is_set_is_not_run_either(
    story: Story, trap: Trap, capsys: pytest.CaptureFixture[str]
) -> None:
    assert story.update("--set", f"minutes={trap.tag}") == 2
    assert "minutes is " in capsys.readouterr().err
    assert story.status() == ""


@pytest.mark.parametrize("value", [None, ["15"], {"minutes": "15"}])
def test_an_answer_is_text_a_number_or_true_or_false(
    value: object, story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    record(story, replaced(story.lock(), ("context", "cookiecutter", "minutes"), value))
    assert story.update() == 2
    assert "an answer is text, a number, true or false" in capsys.readouterr().err


@pytest.mark.parametrize("field", ["template", "commit"])
@pytest.mark.parametrize(
    "value", [["a"], {"a": "b"}, 7, "", "--orphan", ":/evil", "a\nb", "\x1b[2J"]
)
def test_the_template_is_an_address_and_the_commit_a_hash(
    field: str, value: object, story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    record(story, story.lock() | {field: value})
    assert main(["update", str(story.project)]) == 2
    out, err = capsys.readouterr()
    assert "regenerate: " in err
    assert "\x1b" not in out + err
    assert "Traceback" not in out + err
    assert story.status() == ""


@pytest.mark.parametrize(
    "name",
    ["../outside/x", "../../outside", "..", ".", "", ".git", "a/b", "{outside}", "{outside}/x"],
)
def test_no_answer_is_a_way_out_of_the_folder(
    name: str, story: Story, outside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cookiecutter makes the project's folder before any hook can ask."""
    name = name.format(outside=outside)
    story.release("1.2.0", {"docs/{{ cookiecutter.minutes }}.md": "more\n"})
    for question in ("project_slug", "minutes"):
        before = story.lock()
        record(story, replaced(before, ("context", "cookiecutter", question), name))
        codes = list(commands(story.project, story.template))
        if question == "project_slug":
            assert codes[:2] == [2, 2]
            assert "outside of the project" in capsys.readouterr().err
        git(story.project, "reset", "--quiet", "--hard")
        record(story, before)


@pytest.fixture
def evil(story: Story, trap: Trap) -> Path:
    """Give a template of the attacker's, whose hook springs the trap."""
    folder = story.folder.parent / "evil"
    git(story.folder, "clone", "--quiet", str(story.template), str(folder))
    git(folder, "remote", "remove", "origin")
    hook = folder / "hooks" / "pre_gen_project.py"
    hook.write_text(trap.hook)
    commit(folder, "Evil")
    git(folder, "tag", "--force", "v1.1.0")
    return folder


def test_a_template_that_only_the_project_names_does_not_run(
    story: Story, evil: Path, trap: Trap, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for address in (str(evil), f"file://{evil}", f"git+file://{evil}"):
        record(story, story.lock() | {"template": address})
        assert main(["update", str(story.project)]) == 2
        assert f"--template {address}" in capsys.readouterr().err
        policy = tmp_path / "policy.txt"
        policy.write_text(f"template in {story.template}\n")
        for named in (["--template", str(story.template)], ["--policy", str(policy)], []):
            assert main(["fleet", str(story.project), "--update", *named]) == 2
            out = capsys.readouterr().out
            assert f"add a line to the policy: template in {address}" in out
        assert not trap.is_sprung
    assert git(story.project, "branch", "--list", "regenerate/*") == ""


@pytest.mark.parametrize("by", ["--template", "--policy"])
def test_a_template_that_the_caller_names_runs(
    by: str, story: Story, evil: Path, tmp_path: Path
) -> None:
    """Else the tests above could not fail."""
    policy = tmp_path / "policy.txt"
    policy.write_text(f"template in gh:acme/api, {evil}  # ours\n")
    record(story, story.lock() | {"template": f"file://{evil}"})
    trap = Trap(tmp_path / "sprung")
    given = {"--template": str(evil), "--policy": str(policy)}[by]
    assert main(["fleet", str(story.project), "--update", by, given]) == 0
    assert trap.is_sprung
    trap.file.unlink()


def test_a_commit_that_is_on_no_branch_of_the_template_does_not_run(
    story: Story, trap: Trap, capsys: pytest.CaptureFixture[str]
) -> None:
    """Forges keep the commits of forks and of pull requests in the repository itself."""
    git(story.template, "checkout", "--quiet", "-b", "of-a-stranger", "v1.0.0")
    (story.template / "hooks" / "pre_gen_project.py").write_text(trap.hook)
    commit(story.template, "Evil")
    stranger = git(story.template, "rev-parse", "HEAD").strip()
    git(story.template, "update-ref", "refs/pull/1/head", stranger)
    git(story.template, "checkout", "--quiet", "main")
    git(story.template, "branch", "--quiet", "-D", "of-a-stranger")
    record(story, story.lock() | {"commit": stranger})
    for address in (str(story.template), f"file://{story.template}"):
        assert main(["update", str(story.project), "--template", address]) == 2
        assert "on a branch or before a tag" in capsys.readouterr().err
        assert main(["fleet", str(story.project), "--template", address, "--update"]) == 2


def test_a_folder_that_is_a_bare_repository_configures_nothing(story: Story, trap: Trap) -> None:
    """Git takes a folder with the right files in it for a repository, configuration included."""
    shop = story.project / "shop"
    git(story.folder, "init", "--quiet", "--bare", str(shop))
    config = f"[core]\n\tbare = false\n\tworktree = {shop}\n\tfsmonitor = {trap.shell}\n"
    (shop / "config").write_text(config)
    for name in (".cruft.json", ".template/manifest.json"):
        (shop / name).parent.mkdir(exist_ok=True)
        shutil.copy(story.project / name, shop / name)
    for place in (shop / "objects", shop / "refs"):
        (place / "kept").touch()
    story.commit()
    list(commands(shop, story.template))


def test_links_lead_nowhere(
    story: Story, outside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    story.release("1.2.0", {"auth_core/new/more.py": "more\n", "docs/more.md": "more\n"})
    for name in ("auth_core/new", "docs", ".cruft.json.new", "template-waivers.toml"):
        path = story.project / name
        shutil.rmtree(path, ignore_errors=True)
        path.symlink_to(outside / "precious" if "." in name else outside)
    story.commit()
    for _ in commands(story.project, story.template):
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        assert "precious" not in out + err
        git(story.project, "reset", "--quiet", "--hard")
    (story.project / ".cruft.json").unlink()
    (story.project / ".cruft.json").symlink_to(outside / "precious")
    story.commit()
    list(commands(story.project, story.template))
    git(story.project, "rm", "--quiet", ".cruft.json")
    story.commit()
    (story.project / ".cruft.json").symlink_to(outside / "written")
    assert main(["link", str(story.project), "--template", str(story.template)]) == 2
    assert ".cruft.json cannot be read: it is a link" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["../outside/precious", "{outside}/precious", "a\nb", "a\x00b"])
def test_a_manifest_names_files_of_the_project_alone(
    name: str, story: Story, outside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = story.project / ".template" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"][name.format(outside=outside)] = "0" * 64
    path.write_text(json.dumps(manifest))
    story.commit()
    assert main(["check", str(story.project)]) == 2
    assert "is no name of a file in the project" in capsys.readouterr().err
    list(commands(story.project, story.template))


def test_a_name_is_printed_in_one_line_that_no_terminal_obeys(
    story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "auth_core/\x1b[2J\x9bm\nOwned by the template 1.0.0: as rendered.\n.py"
    (story.project / name).write_text("ours\n")
    story.commit()
    assert main(["check", str(story.project)]) == 1
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 2
    story.release("1.2.0", {name: "theirs\n"})
    for _ in commands(story.project, story.template):
        out, err = capsys.readouterr()
        printed = "".join(
            line for line in (out + err).splitlines(keepends=True) if line[0] not in "+-"
        )
        assert not {"\x1b", "\x9b"} & set(printed)
        assert "\nOwned by the template 1.0.0: as rendered.\n.py" not in printed
        git(story.project, "reset", "--quiet", "--hard")


def test_submodules_filters_and_merge_drivers_do_nothing(
    story: Story, trap: Trap, capsys: pytest.CaptureFixture[str]
) -> None:
    module = f'[submodule "s"]\n\tpath = s\n\turl = ext::sh -c "{trap.shell}"\n'
    files = {
        ".gitattributes": "* filter=evil merge=evil diff=evil\n",
        ".gitmodules": module,
        ".lfsconfig": f'[filter "evil"]\n\tsmudge = {trap.shell}\n\tclean = {trap.shell}\n',
        ".gitconfig": f"[core]\n\tfsmonitor = {trap.shell}\n",
    }
    for name, text in files.items():
        (story.project / name).write_text(text)
    head = git(story.project, "rev-parse", "HEAD").strip()
    git(story.project, "update-index", "--add", "--cacheinfo", f"160000,{head},s")
    (story.project / "s").mkdir()
    story.commit()
    assert story.update("--dry-run") == 0
    assert story.update() == 0
    assert "1.1.0" in story.read("auth_core/core.py")
    git(story.project, "reset", "--quiet", "--hard")
    (story.project / ".gitmodules").write_text(f"{module}\tupdate = !{trap.shell}\n")
    story.commit()
    assert story.update() == 2
    assert "git status: fatal: invalid value for 'submodule.s.update'" in capsys.readouterr().err


def bounded(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command that may take 4 GiB of memory and a minute, where a good one takes a second."""
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (4 * 2**30,) * 2); "
        "from regenerate.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def test_nothing_is_too_large_to_be_refused_or_checked(story: Story) -> None:
    project = story.project
    (project / "markers.txt").write_text("<<<<<<< ours\n" * 400_000)
    with (project / "large.bin").open("wb") as file:
        file.truncate(2**40)
    (project / "endless").symlink_to("/dev/zero")
    assert bounded("check", project).returncode == 0
    (project / "auth_core" / "core.py").unlink()
    (project / "auth_core" / "core.py").symlink_to("/dev/zero")
    done = bounded("check", project)
    assert (done.returncode, "MODIFIED  auth_core/core.py" in done.stdout) == (1, True)
    for name in (".template/manifest.json", "template-waivers.toml", ".cruft.json"):
        git(project, "checkout", "--quiet", "--", ".")
        (project / name).unlink(missing_ok=True)
        (project / name).symlink_to("/dev/zero")
        for command in ("check", "fleet"):
            done = bounded(command, project)
            assert "Traceback" not in done.stderr
            assert done.returncode == (0 if (command, name) == ("check", ".cruft.json") else 2)
        (project / name).unlink()


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "9" * 100_000, "\\ud800"])
def test_nothing_is_nested_too_deeply_to_be_refused(
    text: str, story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in (".cruft.json", ".template/manifest.json", "template-waivers.toml"):
        (story.project / name).write_text(text)
        story.commit()
        for _ in commands(story.project, story.template):
            out, err = capsys.readouterr()
            assert "Traceback" not in out + err
            git(story.project, "reset", "--quiet", "--hard")
        git(story.project, "revert", "--no-edit", "HEAD")
    (story.project / ".cruft.json").write_text(
        json.dumps(story.lock() | {"x": "y" * LARGEST_RECORD})
    )
    story.commit()
    assert story.update() == 2
    assert f"has more than {LARGEST_RECORD} bytes" in capsys.readouterr().err


def test_a_project_made_by_hand_is_read_and_not_computed(story: Story, tmp_path: Path) -> None:
    handmade = tmp_path / "handmade"
    handmade.mkdir()
    texts = {
        "large": "ACCOUNT_EMAIL_VERIFICATION = 'mandatory' * 99 * 9999999999\n",
        "deep": f"ACCOUNT_EMAIL_VERIFICATION = {'(' * 5000}1{')' * 5000}\n",
        "deeper": f"ACCOUNT_EMAIL_VERIFICATION = {'-' * 50_000}1\n",
        "number": "SIMPLE_JWT = {'ACCESS_TOKEN_LIFETIME': timedelta(days=10 ** 9 * 10 ** 30)}\n",
        "days": f"SIMPLE_JWT = {{'ACCESS_TOKEN_LIFETIME': timedelta(days={'9' * 40})}}\n",
        "good": "ACCOUNT_EMAIL_VERIFICATION = 'optional'\n",
    }
    for name, text in texts.items():
        (handmade / f"{name}.py").write_text(text)
    (handmade / "endless.py").symlink_to("/dev/zero")
    (handmade / "names.py").symlink_to("/proc/self/environ")
    committed(handmade)
    done = bounded("link", handmade, "--template", story.template)
    assert "Traceback" not in done.stderr
    assert done.returncode == 0


def test_a_folder_may_be_called_anything(story: Story, tmp_path: Path) -> None:
    folder = tmp_path / "{{ 7 }}\n$(touch x)"
    folder.mkdir()
    project = story.project.rename(folder / "my-api")
    assert main(["update", str(project), "--template", str(story.template)]) == 0
    assert "1.1.0" in (project / "auth_core" / "core.py").read_text()
    assert not Path("x").exists()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("gh:o/n", "https://github.com/o/n.git"),
        ("git@github.com:o/n.git", "https://GitHub.com/o/n/"),
        ("ssh://git@host.example:2222/o/n", "https://host.example:2222/o/n"),
        ("https://token@host.example/o/n", "git+https://host.example/o/n"),
        ("file:///srv/t", "/srv/x/../t"),
    ],
)
def test_two_spellings_of_one_address(one: str, other: str) -> None:
    assert addresses.known(one, ["gh:x/y", other]) == other


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("gh:o/n", "gl:o/n"),
        ("https://github.com/o/n", "https://github.com.evil.example/o/n"),
        ("https://github.com/o/n", "https://evil.example/github.com/o/n"),
        ("https://github.com@evil.example/o/n", "https://github.com/o/n"),
        ("/srv/t", "/srv/t2"),
        ("github.com/o/n", "https://github.com/o/n"),
        ("gh:o/n", "gh:o/n/../m"),
    ],
)
def test_two_addresses(one: str, other: str) -> None:
    assert addresses.known(one, [other]) is None


def test_the_template_that_the_program_is_from_needs_no_name(
    story: Story, template: Path, tmp_path: Path, bake: Bake
) -> None:
    """A clone is its own template; so is the remote that it was cloned from."""
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", f"file://{template}", str(clone))
    project = committed(shutil.copytree(bake().path, tmp_path / "project"))
    environment = os.environ | {"PYTHONPATH": str(clone)}
    for address in (str(clone), f"file://{template}", str(story.template)):
        lock = json.loads((project / ".cruft.json").read_text())
        (project / ".cruft.json").write_text(json.dumps(lock | {"template": address}))
        commit(project, "Elsewhere")
        command = [sys.executable, "-m", "regenerate", "update", str(project)]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        is_own = address != str(story.template)
        assert done.returncode == (0 if is_own else 2), done.stderr
        assert ("Its code would run with your rights" in done.stderr) is not is_own


@pytest.mark.parametrize("address", ["https://github.com/o/n", "gh:o/n", "git@github.com:o/n"])
def test_a_folder_of_the_project_is_no_address_of_another_host(
    address: str,
    story: Story,
    evil: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As a person calls it: in the project's folder. The host is one that does not answer."""
    tmp_path = story.folder.parent
    host = tmp_path / "no-host"
    config = f'[url "file://{host}/"]\n' + "".join(
        f"\tinsteadOf = {each}\n" for each in ("https://github.com/", "git@github.com:")
    )
    (tmp_path / "gitconfig").write_text(config)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.chdir(story.project)
    for name in (address, os.path.normpath(address)):
        shutil.copytree(evil, story.project / name, dirs_exist_ok=True)
    record(story, story.lock() | {"commit": None})
    for command in (["link"], ["link", "--dry-run"], ["update"]):
        assert main([*command, "--template", address]) == 2


def test_a_relative_address_is_relative_to_the_caller(
    story: Story, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(story.project)
    assert main(["update", "--template", "../template"]) == 0
    record(story, story.lock() | {"template": "../template"})
    assert main(["update"]) == 2
    assert main(["fleet", ".", "--update", "--template", "../template"]) == 2
    assert "you did not name its template" in capsys.readouterr().out


def test_a_template_with_delimiters_of_its_own_runs_no_answer(
    story: Story, trap: Trap, capsys: pytest.CaptureFixture[str]
) -> None:
    delimiters = {"variable_start_string": "[[", "variable_end_string": "]]"}
    source = story.template / SOURCE
    source.rename(story.template / "[[cookiecutter.project_slug]]")
    (story.template / "hooks" / "post_gen_project.py").unlink()
    story.questions |= {"_jinja2_env_vars": delimiters}
    (story.template / "cookiecutter.json").write_text(json.dumps(story.questions))
    commit(story.template, "Other delimiters")
    tag = trap.tag.replace("{{", "[[").replace("}}", "]]").replace("/", "${HOME%${HOME#?}}")
    head = git(story.template, "rev-parse", "HEAD").strip()
    content = replaced(story.lock(), ("context", "cookiecutter", "project_slug"), tag)
    record(story, content | {"commit": head})
    assert story.update("--to", "main") == 2
    assert "holds '[['" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change",
    [
        {"template": None},
        {"template": "~nosuchuser/x"},
        {"template": "loop/x"},
        {"context": {}},
        {"context": {"cookiecutter": {"_template_version": "1.0." + "9" * 5000}}},
        {"context": {"cookiecutter": {"minutes": float("nan")}}},
        {"context": {"cookiecutter": {"minutes": "x\u009b2J\u202e\x7f"}}},
        {"x": "\ud800"},
        {"\ud800": 1},
    ],
    ids=lambda change: ascii(change)[:40],
)
def test_one_bad_project_stops_no_report(
    change: dict[str, Any],
    story: Story,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bad = shutil.copytree(story.project, tmp_path / "bad")
    (bad / "loop").symlink_to("loop")
    (bad / ".cruft.json").write_text(json.dumps(story.lock() | change))
    commit(bad, "Bad")
    policy = tmp_path / "policy.txt"
    policy.write_text(f"template in {story.template}\n")
    words = ["fleet", str(bad), str(story.project), "--policy", str(policy), "--format", "json"]
    for more in ([], ["--update"]):
        assert main([*words, *more]) in {0, 1, 2}
        out, err = capsys.readouterr()
        assert out.isascii()
        found = json.loads(out, parse_constant=pytest.fail)
        assert found[1]["error"] == ""
        assert "Traceback" not in err
    assert found[1]["branch"] == "regenerate/1.1.0"
    for command in ("update", "link", "check"):
        named = [] if command == "check" else ["--template", str(story.template)]
        assert main([command, str(bad), *named]) in {0, 1, 2}


def test_what_is_long_is_neither_read_for_hours_nor_printed(story: Story, tmp_path: Path) -> None:
    project = story.project
    links = [project / f"l{number}" for number in range(1200)]
    for one, other in pairwise(links):
        one.symlink_to(other.name)
    deep = Path(*["d" * 200] * 30)
    path = project / ".template" / "manifest.json"
    manifest = json.loads(path.read_text())
    tops = {f"t{number}/x": "0" * 64 for number in range(12_000)}
    long = {str(deep): "0" * 64, "n" * 300: "0" * 64}
    path.write_text(json.dumps(manifest | {"files": manifest["files"] | tops | long}))
    assert bounded("check", project).returncode == 1
    path.write_text(json.dumps(manifest))
    (project / "template-waivers.toml").write_text("a." * 40_000 + "a = 1\n")
    assert bounded("check", project).returncode == 2
    (project / "template-waivers.toml").unlink()
    version = {"_template_version": "1" * 2**19, "minutes": "15"}
    lock = replaced(story.lock(), ("context", "cookiecutter"), version)
    (project / ".cruft.json").write_text(json.dumps(lock))
    done = bounded("fleet", project, "--template", story.template)
    assert len(done.stdout) < 5000
    handmade = tmp_path / "handmade"
    handmade.mkdir()
    nested = "path('a', " * 60 + "0" + ")" * 60
    keys = ", ".join(f"{number}: 0" for number in range(20_000))
    texts = {
        "urls": f"urlpatterns = [{nested}]\n",
        "keys": f"SIMPLE_JWT = {{'{'A' * 100_000}': {{{keys}}}}}\n",
        "list": f"x = [{'0,' * 2_000_000}]\n",
        "number": f"X = 0x{'F' * 100_000} * 0x{'F' * 100_000}\n",
    }
    for name, text in texts.items():
        (handmade / f"{name}.py").write_text(text)
    committed(handmade)
    done = bounded("link", handmade, "--template", story.template)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


def test_a_project_made_by_hand_forges_no_line_and_no_command(
    template: Path, trap: Trap, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    handmade = tmp_path / "handmade"
    handmade.mkdir()
    (handmade / "settings.py").write_text(
        "SIMPLE_JWT = {'ALGORITHM': 'HS256\\n\\n## Linked to 0.2.0\\nForged'}\n"
    )
    (handmade / "urls.py").write_text(
        f"urlpatterns = [path({trap.tag!r}, include('rest_auth.urls'))]\n"
    )
    committed(handmade)
    assert main(["link", str(handmade), "--template", str(template)]) == 0
    out = capsys.readouterr().out
    assert "Forged" not in out
    assert "{{" not in out


def test_a_report_quotes_what_a_project_says(
    story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    """It becomes the text of a pull request."""
    name = "x` <img src=https://evil.example/p.png> @team closes #1 `"
    record(story, replaced(story.lock(), ("context", "cookiecutter"), {name: "1", "minutes": "15"}))
    assert story.update() in {0, 1}
    assert f"- `` {name} `` (dropped)" in capsys.readouterr().out


def test_git_says_what_it_refuses_in_one_line(
    story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    forged = "\nregenerate: all is well\n"
    (story.project / forged).write_text("ours\n")
    story.commit()
    (story.project / forged).write_text("other\n")
    assert story.update() == 2
    assert "\nregenerate: all is well\n" not in capsys.readouterr().err
