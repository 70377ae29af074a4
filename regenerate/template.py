"""The template's own repository: its versions, and what each of them renders."""

import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from cookiecutter.exceptions import CookiecutterException
from cookiecutter.find import find_template
from cookiecutter.generate import generate_context, generate_files
from cookiecutter.prompt import render_variable
from cookiecutter.utils import create_env_with_context
from jinja2 import Environment, TemplateError

from regenerate.addresses import absolute
from regenerate.answers import fitting
from regenerate.git import Refused, attempt, git, said_by, text_of
from regenerate.record import OPENERS, refuse_answers, refuse_syntax

Release = tuple[int, ...]


class Version(NamedTuple):
    """One state of the template."""

    commit: str
    tag: str | None
    questions: Mapping[str, Any]  # cookiecutter.json

    @property
    def number(self) -> str:
        """Return the number that the template gives itself."""
        return str(self.questions.get("_template_version", "unknown"))

    def __str__(self) -> str:
        """Name it in a sentence: also between two releases, where the number says too little."""
        return self.number if self.tag else f"{self.number} ({self.commit[:9]})"


class Rendered(NamedTuple):
    """A project rendered aside, and the context that cookiecutter made of the answers."""

    folder: Path
    context: Mapping[str, Any]


def release(text: str) -> Release | None:
    """Read a version like 1.2.3 or v1.2.3; nothing else, and no pre-release, is one."""
    found = re.fullmatch(r"v?(\d{1,9})\.(\d{1,9})\.(\d{1,9})", text)
    return tuple(map(int, found.groups())) if found else None


def clone(address: str, folder: Path, kind: str) -> None:
    """Clone a template; the address may be abbreviated, like gh:owner/name."""
    command = ("clone", "--quiet", kind, "--", absolute(address), str(folder))
    done = attempt(folder.parent, *command)
    if done.returncode:
        raise Refused(f"the template {address} cannot be cloned: {said_by(done)}")


class Template:
    """A clone of the template."""

    def __init__(self, address: str, folder: Path, recorded_as: str | None = None) -> None:
        self.address = recorded_as or address
        self.clone = folder / "template"
        self.folder = folder
        clone(address, self.clone, "--no-checkout")

    def version(self, commit: str, tag: str | None = None) -> Version:
        """Read the questions of a commit."""
        done = attempt(self.clone, "cat-file", "blob", f"{commit}:cookiecutter.json")
        if done.returncode:
            raise Refused(f"{self.address} has no cookiecutter.json at {tag or commit}")
        return Version(commit, tag, json.loads(text_of(done.stdout)))

    def recorded(self, commit: str | None) -> Version:
        """Find the version that a project was rendered from."""
        if commit is None:
            raise Refused(
                f"the project does not say which commit of the template it is from: put it into "
                f'"commit" of .cruft.json (git log in a clone of {self.address} lists them)'
            )
        found = self.commit(commit)
        # A repository can hold commits of strangers, which only its branches and tags leave out.
        branches_and_tags = ("refs/remotes/origin", "refs/tags")
        ask = ("for-each-ref", "--count=1", f"--contains={found}", *branches_and_tags)
        if found is None or not git(self.clone, *ask):
            raise Refused(
                f"{self.address} has no commit {commit} on a branch or before a tag: was it "
                "rewritten? Put the commit that took its place into .cruft.json"
            )
        return self.version(found, self.tag_at(found))

    def target(self, name: str | None, current: Version | None) -> Version:
        """Find a version by its tag, with or without v, a branch or a commit; or the latest."""
        if name is None:
            tags = [tag for tag in git(self.clone, "tag").split() if release(tag)]
            latest = max(tags, key=lambda tag: release(tag) or (), default=None)
            if latest and current and self.is_ancestor(latest, current.commit):
                return current  # a commit after the latest release is no reason to go back
            name = latest or "origin/HEAD"
        for candidate in (f"refs/tags/v{name}", f"refs/tags/{name}", f"origin/{name}", name):
            if commit := self.commit(candidate):
                return self.version(commit, self.tag_at(commit))
        tags = git(self.clone, "tag", "--sort=-version:refname").split()
        raise Refused(f"{self.address} has no version {name}; it has {', '.join(tags) or 'no tag'}")

    def commit(self, name: str) -> str | None:
        """Return the commit of a name, if there is one."""
        ask = ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"]
        return text_of(attempt(self.clone, *ask).stdout).strip() or None

    def tag_at(self, commit: str) -> str | None:
        """Return the release that this commit is."""
        tags = git(self.clone, "tag", "--points-at", commit).split()
        return next((tag for tag in tags if release(tag)), None)

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether one commit comes after the other."""
        return not attempt(self.clone, "merge-base", "--is-ancestor", older, newer).returncode

    def checkout(self, version: Version) -> Path:
        """Put a version's files into a folder."""
        folder = self.folder / version.commit
        if not folder.exists():
            # Not a work tree: no configuration of this machine may change a line ending.
            folder.mkdir()
            options = ("-c", "core.autocrlf=false", f"--work-tree={folder}")
            git(self.clone, *options, "checkout", "--quiet", "--force", version.commit, "--", ".")
        return folder

    def render(self, version: Version, answers: Mapping[str, Any], output: Path) -> Rendered:
        """Render as cruft does: with the hooks, and without any configuration of the user.

        The answers are data: they are put into the context as they are. Only the template's own
        defaults are evaluated.
        """
        refuse_answers(answers, "the answers")
        source, log = self.checkout(version), output.with_suffix(".log")
        try:
            context = generate_context(str(source / "cookiecutter.json"))
            context["cookiecutter"] = answered(context, answers)
            context["cookiecutter"] |= {"_template": self.address, "_commit": version.commit}
            refuse_paths_outside(source, context)
            with quiet_hooks(log):
                folder = generate_files(str(source), context, str(output))
        except (CookiecutterException, TemplateError, ValueError, OSError) as error:
            said = log.read_text("utf-8", "replace") if log.exists() else ""
            # The hook announces cookiecutter's traceback, which does not come here.
            said = said.partition("What follows is cookiecutter's")[0].strip()
            raise Refused(f"{version} cannot be rendered: {said or error}") from error
        return Rendered(Path(folder), context["cookiecutter"])

    def upgrade_notes(self, old: Version, new: Version) -> str:
        """Return the sections of UPGRADING.md after the old version up to the new one."""
        done = attempt(self.clone, "cat-file", "blob", f"{new.commit}:UPGRADING.md")
        sections = re.split(r"^## ", text_of(done.stdout), flags=re.MULTILINE)[1:]
        first, last = release(old.number) or (), release(new.number) or ()
        heads = [re.match(r"\[?v?(\d+\.\d+\.\d+)", section) for section in sections]
        between = [
            section
            for section, head in zip(sections, heads, strict=True)
            if head and first < (release(head[1]) or ()) <= last
        ]
        return "\n".join(
            f"#### {re.sub('^#', '##', s, flags=re.MULTILINE).rstrip()}\n" for s in between
        )


def answered(context: dict[str, Any], answers: Mapping[str, Any]) -> dict[str, Any]:
    """Answer the questions of a template as `cookiecutter --no-input` does.

    Cookiecutter evaluates answers as templates. Here they are data.
    """
    environment = create_env_with_context(context)
    final: dict[str, Any] = {}
    for name, default in context["cookiecutter"].items():
        if name == "__prompts__":
            continue
        if name.startswith("_"):
            is_evaluated = name.startswith("__")
            final[name] = render_variable(environment, default, final) if is_evaluated else default
        elif name in answers:
            final[name] = fitting(name, answers[name], default)
        else:
            first = default[0] if isinstance(default, list) else default
            final[name] = render_variable(environment, first, final)
    refuse_answers(final, "the answers", openers(environment))
    return final


def openers(environment: Environment) -> list[str]:
    """List what begins a tag of a template: it may have delimiters of its own."""
    own = (
        environment.variable_start_string,
        environment.block_start_string,
        environment.comment_start_string,
        environment.line_statement_prefix,
        environment.line_comment_prefix,
    )
    return [*OPENERS, *filter(None, own)]


def refuse_paths_outside(source: Path, context: dict[str, Any]) -> None:
    """Refuse answers that would give a file a name outside of the project, or one that is a tag.

    Cookiecutter makes the project's folder before a hook can look at its name, and evaluates the
    names of its folders a second time.
    """
    environment = create_env_with_context(context)
    root = find_template(source, environment)
    inner = [path.relative_to(root).as_posix() for path in root.rglob("*")]
    named = [root.name, *(name for name in inner if environment.variable_start_string in name)]
    for name in named:
        path = environment.from_string(name).render(**context)
        refuse_syntax(f"the name {name}", path, "the answers", openers(environment))
        parts = path.split("/")
        if {"", ".", "..", ".git"} & set(parts) or (name == root.name and len(parts) > 1):
            raise Refused(f"the answers would make {path!r} of {name}: outside of the project")


@contextmanager
def quiet_hooks(log: Path) -> Iterator[None]:
    """Tell hooks what they run for, and keep what they print: they write to the terminal itself."""
    log.parent.mkdir(parents=True, exist_ok=True)
    before, folder = os.environ.get("TEMPLATE_REGENERATE"), tempfile.tempdir
    os.environ["TEMPLATE_REGENERATE"] = "1"
    # A hook runs as a file of that folder, next to which Python looks for modules first.
    tempfile.tempdir = str(log.parent)
    kept = [os.dup(1), os.dup(2)]
    try:
        with log.open("wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            yield
    finally:
        for number, stream in enumerate(kept, 1):
            os.dup2(stream, number)
            os.close(stream)
        tempfile.tempdir = folder
        os.environ.pop("TEMPLATE_REGENERATE")
        if before is not None:
            os.environ["TEMPLATE_REGENERATE"] = before
