"""The same story told with three tools, and one judge of what became of it."""

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple

from regenerate.check import has_markers
from regenerate.cli import main
from tests.conftest import git
from tests.regenerating import SOURCE, Story

CRASHED: Final = None


class Wanted(NamedTuple):
    """A text that must be found in a file afterwards; or, for None, a file that must be gone."""

    whose: str
    path: str
    text: str | None


class Told(Story):
    """A story told with one of the tools, from the first render on."""

    tool: ClassVar[str]
    has_check: ClassVar[bool] = True

    def updated(self, **answers: str) -> int | None:
        """Run the update, and give its exit code."""
        raise NotImplementedError

    def checked(self) -> int | None:
        """Run the check, and give its exit code."""
        raise NotImplementedError


class Regenerated(Told):
    tool = "regenerate"

    def updated(self, **answers: str) -> int | None:
        return self.update(*(f"--set={name}={value}" for name, value in answers.items()))

    def checked(self) -> int | None:
        return main(["check", str(self.project)])


class Crufted(Told):
    tool = "cruft"

    def render(self, output: Path, version: str | None = None, **answers: Any) -> Path:
        where = ("--checkout", f"v{version}", "--output-dir", str(output), str(self.template))
        context = json.dumps(answers)
        assert self.cruft("create", "--no-input", "--extra-context", context, *where) == 0
        return output / "my-api"

    def updated(self, **answers: str) -> int | None:
        words = ["--variables-to-update", json.dumps(answers)] if answers else []
        return self.cruft("update", "--skip-apply-ask", "--project-dir", str(self.project), *words)

    def checked(self) -> int | None:
        return self.cruft("check", "--project-dir", str(self.project))

    def cruft(self, *words: str) -> int | None:
        from cruft._cli import app  # noqa: PLC0415 (takes half a second)
        from typer.testing import CliRunner  # noqa: PLC0415

        done = CliRunner().invoke(app, words)
        print(done.output, done.exception or "")
        is_exit = done.exception is None or isinstance(done.exception, SystemExit)
        return done.exit_code if is_exit else CRASHED


@dataclass
class Copied(Told):
    """A story whose template copier can render, too: derived from that for cookiecutter."""

    tool = "copier"
    has_check = False
    tasks: list[str] = field(default_factory=list)

    def write(self, files: Mapping[str, str | None], **questions: Any) -> None:
        super().write(files, **questions)
        source, copy = self.template / SOURCE, self.template / "copier"
        shutil.rmtree(copy, ignore_errors=True)
        for path in source.rglob("*"):
            if path.is_file():
                target = copy / path.relative_to(source)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(in_copiers_words(path.read_text()))
        (copy / ".copier-answers.yml").write_text("{{ _copier_answers | to_nice_yaml }}")
        (self.template / "copier.yml").write_text(json.dumps(self.settings()))

    def hook(self, code: str) -> None:
        self.tasks.append(code)

    def settings(self) -> dict[str, Any]:
        """Say in copier's words what cookiecutter.json says."""
        questions = {
            # What cookiecutter computes is a question that is never asked.
            name.removeprefix("__"): question(given) | ({"when": False} if name[0] == "_" else {})
            for name, given in self.questions.items()
            if given is not None and not re.match("_[^_]", name)
        }
        pruned = [
            f"{{% if {name} not in {values} %}}{path}{{% endif %}}"
            for path, kept in self.questions["_optional"].items()
            for name, values in kept.items()
        ]
        once = "{{ _copier_operation == 'copy' }}"
        tasks = [{"command": [sys.executable, "-c", code], "when": once} for code in self.tasks]
        return questions | {
            "_subdirectory": "copier",
            "_templates_suffix": "",
            "_skip_if_exists": self.questions["_seed"],
            "_exclude": pruned,
            "_tasks": tasks,
        }

    def render(self, output: Path, version: str | None = None, **answers: Any) -> Path:
        where = (f"--vcs-ref=v{version}", str(self.template), str(output / "my-api"))
        assert self.copier("copy", answers, *where) == 0
        return output / "my-api"

    def updated(self, **answers: str) -> int | None:
        return self.copier("update", answers, str(self.project))

    def copier(self, command: str, answers: Mapping[str, str], *words: str) -> int | None:
        # Reads the environment when it is imported: after the fixtures have changed it.
        from copier._cli import CopierApp  # noqa: PLC0415

        try:
            data = [f"--data={name}={value}" for name, value in answers.items()]
            line = ["copier", command, "--defaults", "--trust", *data, *words]
            return int(CopierApp.run(line, exit=False)[1])
        except Exception as error:
            print(f"copier crashed: {error!r}")
            return CRASHED


def in_copiers_words(text: str) -> str:
    return re.sub(r"cookiecutter\.(__)?", "", text)


def question(given: Any) -> dict[str, Any]:
    """Ask as copier does."""
    if isinstance(given, list):
        return {"type": "str", "choices": given, "default": given[0]}
    if isinstance(given, bool):
        return {"type": "bool", "default": given}
    return {"type": "str", "default": in_copiers_words(given)}


def verdict_of_check(story: Told) -> str:
    """Say in a few words whether the check finds what is wrong."""
    if not story.has_check:
        return "n/a"
    code = story.checked()
    return f"found, exit {code}" if code else "not found, exit 0"


def verdict(story: Told, code: int | None, wanted: list[Wanted]) -> str:
    """Say in a few words what an update has made of the project."""
    if code is CRASHED:
        return "crash, half updated" if story.status() else "crash"
    if code and not story.status():
        return f"refused, exit {code}"
    unmerged, marked, rejected = conflicts(story.project)
    seen = unmerged | marked | rejected
    everywhere = "\n".join(texts(story.project)) if seen else ""

    def is_there(each: Wanted) -> bool:
        path = story.project / each.path
        if each.text is None:
            return not path.exists() or each.path in seen
        return (path.exists() and each.text in path.read_text()) or each.text in everywhere

    if lost := dict.fromkeys(each.whose for each in wanted if not is_there(each)):
        return f"LOST: {' and '.join(lost)}, exit {code}"
    if seen:
        return f"conflict{'' if unmerged | marked else ' in .rej'}, exit {code}"
    return f"merged, exit {code}" if code else "merged"


def conflicts(project: Path) -> tuple[set[str], set[str], set[str]]:
    """Name the paths that git calls unmerged, that have markers, and that have rejected patches."""
    unmerged = git(project, "ls-files", "--unmerged", "-z").split("\0")
    names = {path.relative_to(project).as_posix(): path for path in files(project)}
    return (
        {entry.partition("\t")[2] for entry in unmerged if entry},
        {name for name, path in names.items() if has_markers(path)},
        {name.removesuffix(".rej") for name in names if name.endswith(".rej")},
    )


def texts(project: Path) -> Iterator[str]:
    """Give the text of each file, and of each side of each conflict."""
    for path in files(project):
        yield path.read_text()
    for entry in filter(None, git(project, "ls-files", "--unmerged", "-z").split("\0")):
        yield git(project, "cat-file", "blob", entry.split()[1])


def files(project: Path) -> Iterator[Path]:
    """Give each file that is the project's, whether git knows it or not."""
    for folder, folders, names in os.walk(project):
        folders[:] = [name for name in folders if name not in {".git", "__pycache__"}]
        yield from (Path(folder, name) for name in names)
