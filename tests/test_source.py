"""The template's sources, unrendered: plain Python that tools can read where it stands."""

import fnmatch
import re
import sys
from pathlib import Path

import pytest

from tests.conftest import git
from tests.project import COOKIECUTTER, ROOT, SOURCE, run

BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def python_files(template: Path) -> list[Path]:
    """Every Python file but the one that is made of tags."""
    names = git(template, "ls-files", "-z", "*.py").split("\0")
    return [template / name for name in names if name and not name.endswith("auth_core/policy.py")]


def test_the_template_is_lint_clean_in_place(template: Path, python_files: list[Path]) -> None:
    for command in (["format", "--check"], ["check"]):
        run(template, BIN / "ruff", *command, "--no-cache", ".")
    listed = run(template, BIN / "ruff", "check", "--no-cache", "--show-files", ".").stdout
    # The folder with braces in its name is among what was looked at.
    assert {str(file) for file in python_files} <= set(listed.splitlines())


def test_tags_are_in_no_python_file_but_the_policy(python_files: list[Path]) -> None:
    assert any(SOURCE in str(file) for file in python_files)
    tagged = [
        file
        for file in python_files
        if SOURCE in str(file) and re.search(r"\{%|\{\{ ?cookiecutter|\{#", file.read_text("utf-8"))
    ]
    assert tagged == []


@pytest.mark.parametrize("name", ["pre_gen_project.py", "post_gen_project.py"])
def test_a_hook_carries_one_tag_in_its_last_line(name: str, template: Path) -> None:
    lines = (template / "hooks" / name).read_text("utf-8").splitlines()
    assert [number for number, line in enumerate(lines) if re.search(r"\{\{|\{%|\{#", line)] == [
        len(lines) - 1
    ]


def test_the_post_hook_stays_short(template: Path) -> None:
    assert len((template / "hooks" / "post_gen_project.py").read_text("utf-8").splitlines()) < 100


def test_hooks_use_the_standard_library_alone(template: Path) -> None:
    for hook in (template / "hooks").glob("*.py"):
        imported = re.findall(r"^(?:import|from) (\w+)", hook.read_text("utf-8"), re.MULTILINE)
        assert imported
        assert set(imported) <= sys.stdlib_module_names


def test_files_alone_are_copied_unrendered(template: Path) -> None:
    """A pattern that matched a folder would let `cookiecutter -f` delete the team's files in it."""
    names = git(template, "ls-files", "-z", "--", f":(literal){SOURCE}").split("\0")
    files = [Path(name).relative_to(SOURCE) for name in filter(None, names)]
    folders = {str(parent) for file in files for parent in file.parents} - {"."}
    assert "auth_core" in folders
    for pattern in COOKIECUTTER["_copy_without_render"]:
        assert not fnmatch.filter(folders, pattern), pattern
        assert fnmatch.filter(map(str, files), pattern), f"{pattern} matches nothing"


@pytest.mark.slow
@pytest.mark.parametrize(("required", "outcome"), [("0", "1 skipped"), ("1", "1 failed")])
def test_a_skip_fails_where_services_are_required(
    required: str, outcome: str, tmp_path: Path
) -> None:
    test = tmp_path / "test_it.py"
    test.write_text("import pytest\ndef test_it():\n    pytest.skip(reason='no such service')\n")
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-rs", "--rootdir"]
    variables = {"REQUIRE_SERVICES": required}
    done = run(ROOT, *command, tmp_path, test, check=False, variables=variables)
    assert outcome in done.stdout
    assert "no such service" in done.stdout
