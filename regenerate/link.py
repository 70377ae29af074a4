"""Takes in a project that has no record of its template: finds the answers, says what differs."""

import ast
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import Any, Final

from regenerate import answers, handmade, record
from regenerate.addresses import absolute, is_remote
from regenerate.check import LARGEST_RECORD, MANIFEST, UNREADABLE, CheckError, text_of
from regenerate.git import LOCK, Project, Refused, Scratch
from regenerate.template import Template, Version, release
from regenerate.update import Outcome, Say, code, new_lock

POLICY: Final = "auth_core/policy.py"


def link(
    path: Path,
    template: str,
    *,
    to: str | None = None,
    chosen: Mapping[str, str] | None = None,
    dry_run: bool = False,
    say: Say = lambda _: None,
) -> Outcome:
    """Record in a project which version and answers it is nearest to; nothing else is changed.

    For a project that was made by hand say which answers would make its like.
    """
    project = Project.at(path)
    is_handmade = not any(os.path.lexists(path / name) for name in (LOCK, POLICY, MANIFEST))
    try:
        recorded, number = known(project, path), stamped(project)
    except (*UNREADABLE, SyntaxError, MemoryError, CheckError) as error:
        raise Refused(f"{path} cannot be read: {error}") from error
    # As the caller spells it, unless it depends on the folder that the caller is in.
    is_url = "://" in template or is_remote(template)
    address = template if is_url else absolute(template)
    with TemporaryDirectory(prefix="regenerate-") as temporary:
        folder = Path(temporary)
        say(f"Fetching {address} ...")
        source = Template(address, folder)
        released = number if number and source.commit(f"refs/tags/v{number}") else None
        version = source.target(to or released, None)
        if is_handmade:
            return liken(path, source, version, chosen or {}, folder / "new")
        given = answers.carry(recorded, {}, version.questions, chosen or {})
        say(f"Rendering {version} ...")
        rendered = source.render(version, given, folder / "new")
        scratch = Scratch(folder / "scratch.git", project)
        theirs = scratch.tree_of(rendered.folder)
        ours = scratch.ours()
        lines = differences(scratch.files(ours), scratch.files(theirs))
        final = json.dumps(answers.questions_of(rendered.context), ensure_ascii=False, indent=2)
        said = f"## Linked to {version}\n\nAnswers:\n\n{final}\n\n" + "\n".join(lines)
        diff = scratch.git("diff", theirs, ours)
        if not dry_run:
            unknown = {"template": address, "commit": None, "checkout": None}
            text = new_lock(
                {**unknown, "context": {}, "directory": None}, version, rendered.context
            )
            write_in_place(path / LOCK, text)
        return Outcome(said, diff=diff)


def liken(
    path: Path, source: Template, version: Version, chosen: Mapping[str, str], output: Path
) -> Outcome:
    """Say which answers make a project like one that was made by hand, and whether they can."""
    found = [f for f in handmade.answers_in(path) if f.question in version.questions]
    given: dict[str, Any] = {each.question: each.value for each in found} | dict(chosen)
    record.refuse_answers(given, "the answers")
    said = list(handmade.report(found, version.questions, source.address, given))
    try:
        source.render(version, answers.carry({}, {}, version.questions, given), output)
    except Refused as reason:
        return Outcome("\n\n".join([*said, f"### Refused: answer otherwise\n\n{reason}"]), 1)
    return Outcome("\n\n".join(said))


def write_in_place(path: Path, text: str) -> None:
    """Replace a file, or a link, and never what a link leads to."""
    with NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as file:
        file.write(text)
    os.chmod(file.name, 0o644)  # noqa: PTH101 - as git checks files out
    Path(file.name).replace(path)


def known(project: Project, path: Path) -> dict[str, Any]:
    """Find answers in an incomplete record, or in the constants that they were rendered as."""
    text = project.read(LOCK)
    if not text and os.path.lexists(path / LOCK):
        text = text_of(path, LOCK, LARGEST_RECORD)
    if text:
        lock = record.parse(text)
        if lock.get("commit"):
            raise Refused(f"{path} is linked already: see {LOCK}")
        return answers.questions_of(lock.get("context", {}).get("cookiecutter", {}))
    found: dict[str, Any] = {}
    for node in ast.parse(project.read(POLICY) or "").body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Constant):
            given = node.value.value
            found[ast.unparse(node.target).lower()] = (
                given if isinstance(given, bool) else str(given)
            )
    return found


def stamped(project: Project) -> str | None:
    """Return the version that the manifest names, if it is that of a release."""
    text = project.read(MANIFEST)
    number = str(json.loads(text).get("template_version")) if text else ""
    return number if release(number) else None


def differences(ours: Mapping[str, str], theirs: Mapping[str, str]) -> Iterator[str]:
    """List what a project lacks, and what is different in it."""
    same = [name for name in theirs if ours.get(name) == theirs[name]]
    different = [name for name in theirs if name in ours and ours[name] != theirs[name]]
    missing = [name for name in theirs if name not in ours]
    own = len(ours.keys() - theirs.keys())
    yield f"{len(same)} files are as rendered, {len(different)} differ, {len(missing)} are missing;"
    yield f"{own} are the project's own. An update takes what is missing for deleted by the team."
    yield ""
    yield from (f"- differs: {code(name)}" for name in different)
    yield from (f"- missing: {code(name)}" for name in missing)
