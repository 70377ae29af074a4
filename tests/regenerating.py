"""A small template with the rooms of the real one, and a project of it: both real repositories."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cookiecutter.main import cookiecutter

from regenerate.cli import main
from tests.conftest import git
from tests.project import ROOT

SOURCE: Final = "{{cookiecutter.project_slug}}"
QUESTIONS: Final[dict[str, Any]] = {
    "project_slug": "my-api",
    "minutes": "15",
    "delivery": ["header", "cookie"],
    "docker": True,
    "_template_version": "1.0.0",
    "_owned": ["auth_core/*", ".template/*"],
    "_seed": ["users/*"],
    "_optional": {"auth_core/cookies": {"delivery": ["cookie"]}},
}
LINES: Final = "".join(f"line {number}\n" for number in range(1, 21))
FILES: Final = {
    "auth_core/policy.py": "MINUTES = {{ cookiecutter.minutes }}\n# {{ cookiecutter.delivery }}\n",
    "auth_core/core.py": LINES,
    "auth_core/urls.py": LINES.replace("line", "path"),
    "auth_core/cookies/__init__.py": LINES.replace("line", "cookie"),
    "users/models.py": LINES.replace("line", "field"),
    "config/settings.py": LINES.replace("line", "setting"),
    "docs/guide.md": LINES.replace("line", "paragraph"),
    "README.md": "# {{ cookiecutter.project_slug }}\n" + LINES,
    ".gitignore": ".env\n__pycache__/\n",
}


@dataclass
class Story:
    """A template, a project of it, and what happens to both."""

    folder: Path
    questions: dict[str, Any] = field(default_factory=lambda: dict(QUESTIONS))

    def __post_init__(self) -> None:
        (self.template / "hooks").mkdir(parents=True)
        shutil.copy(ROOT / "hooks" / "post_gen_project.py", self.template / "hooks")
        git(self.template, "init", "--quiet", "--initial-branch", "main")
        self.release("1.0.0", FILES)

    @property
    def template(self) -> Path:
        return self.folder / "template"

    @property
    def project(self) -> Path:
        return self.folder / "my-api"

    def release(
        self,
        version: str,
        files: Mapping[str, str | None],
        *,
        upgrading: str = "Nothing to do.",
        **questions: Any,
    ) -> None:
        """Commit and tag a version in which some files are other ones, or gone."""
        self.write(files, **questions, _template_version=version)
        notes = self.template / "UPGRADING.md"
        before = notes.read_text() if notes.exists() else "# Upgrading\n"
        notes.write_text(f"{before}\n## {version}\n\n{upgrading}\n")
        commit(self.template, version)
        git(self.template, "tag", f"v{version}")

    def write(self, files: Mapping[str, str | None], **questions: Any) -> None:
        """Change the template, and commit nothing yet; None drops a file or a question."""
        self.questions |= questions
        for name, text in files.items():
            path = self.template / SOURCE / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True) if text is None else path.write_text(text)
        known = {name: v for name, v in self.questions.items() if v is not None}
        (self.template / "cookiecutter.json").write_text(json.dumps(known))

    def hook(self, code: str) -> None:
        """Let the template run something after each render."""
        path = self.template / "hooks" / "post_gen_project.py"
        path.write_text(f"{code}\n{path.read_text()}")

    def render(self, output: Path, version: str | None = None, **answers: Any) -> Path:
        """Render with plain cookiecutter."""
        return render(self.template, output, f"v{version}" if version else None, **answers)

    def start(self, version: str = "1.0.0", **answers: Any) -> None:
        """Render the project and commit it."""
        self.render(self.folder, version, **answers)
        committed(self.project)

    def commit(self) -> None:
        commit(self.project, "The team's work")

    def edit(self, name: str, old: str, new: str) -> None:
        """Change a file of the project as the team would."""
        path = self.project / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        self.commit()

    def read(self, name: str) -> str:
        return (self.project / name).read_text()

    def lock(self) -> dict[str, Any]:
        return dict(json.loads(self.read(".cruft.json")))

    def answers(self) -> dict[str, Any]:
        return dict(self.lock()["context"]["cookiecutter"])

    @property
    def command(self) -> list[str]:
        """Return the words of an update, which name the template as a person does."""
        return ["update", str(self.project), "--template", str(self.template)]

    def update(self, *words: str) -> int:
        """Run the command in this process."""
        return main([*self.command, *words])

    def status(self) -> str:
        return git(self.project, "status", "--porcelain")


def render(source: Path, output: Path, checkout: str | None, **answers: Any) -> Path:
    """Render a version with plain cookiecutter, of a clone: it heeds no version of a local path."""
    options = {"no_input": True, "output_dir": str(output), "extra_context": answers}
    return Path(cookiecutter(f"git+file://{source}", checkout, **options))


def commit(folder: Path, message: str) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", message)


def release_of_ours(template: Path, version: str) -> None:
    """Release a version of a clone of this template: a line more in files of all rooms."""
    path = template / "cookiecutter.json"
    questions = json.loads(path.read_text("utf-8")) | {"_template_version": version}
    path.write_text(json.dumps(questions))
    for name in ("auth_core/urls.py", "users/models.py", "config/settings_team.py", "Makefile"):
        with (template / SOURCE / name).open("a") as file:
            file.write(f"\n# {version}\n")
    (template / SOURCE / "auth_core" / "http" / f"new{version[2]}.py").touch()
    commit(template, version)
    git(template, "tag", f"v{version}")


def committed(folder: Path) -> Path:
    """Make a repository of a folder."""
    git(folder, "init", "--quiet", "--initial-branch", "main")
    commit(folder, "The team's work")
    return folder


def snapshot(folder: Path) -> dict[str, bytes]:
    """Return every file, tracked or not, but what git ignores."""
    names = git(folder, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    return {name: (folder / name).read_bytes() for name in names if name}


def changed(text: str, number: int, new: str) -> str:
    """Replace a line."""
    lines = text.splitlines(keepends=True)
    lines[number - 1] = f"{new}\n"
    return "".join(lines)
