"""Brings one project to another version or other answers: two renders aside, one merge."""

import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from regenerate import addresses, answers, check, record
from regenerate.answers import Change
from regenerate.check import visible
from regenerate.git import LOCK, Merge, Project, Refused, Scratch, words
from regenerate.template import Rendered, Template, Version

Say = Callable[[str], object]


@dataclass(frozen=True)
class Outcome:
    """What an update did, or would do."""

    report: str
    conflicts: int = 0
    diff: str = ""
    branch: str = ""


def update(
    path: Path,
    *,
    to: str | None = None,
    chosen: Mapping[str, str] | None = None,
    template: str | None = None,
    dry_run: bool = False,
    branch: bool = False,
    say: Say = lambda _: None,
) -> Outcome:
    """Update the project at a path; what cannot be merged is left there as conflicts of git.

    With `branch` it becomes one commit on a branch of its own, markers included, and what is
    checked out stays as it is. Without `template` the project must name the template that this
    program is from: the code of another one does not run because a project records its address.
    """
    chosen = chosen or {}
    project = Project.at(path)
    if not branch:
        project.refuse_if_dirty()
    lock = read_lock(project)
    recorded = lock["context"]["cookiecutter"]
    address = template or addresses.known(lock["template"], addresses.own())
    if address is None:
        raise Refused(
            f"the project names the template {lock['template']}. Its code would run with your "
            f"rights: if you trust it, give --template {shlex.quote(lock['template'])}"
        )
    with TemporaryDirectory(prefix="regenerate-") as temporary:
        folder = Path(temporary)
        say(f"Fetching {address} ...")
        source = Template(address, folder, recorded_as=lock["template"])
        old = source.recorded(lock["commit"])
        new = source.target(to, old)
        given = answers.carry(recorded, old.questions, new.questions, chosen)
        say(f"Rendering {old} with the recorded answers ...")
        base = source.render(old, answers.questions_of(recorded), folder / "base")
        say(f"Rendering {new} with the answers carried over ...")
        theirs = source.render(new, given, folder / "new")
        say("Merging ...")
        scratch = Scratch(folder / "scratch.git", project)
        merge, seeds = merged(scratch, lock, (old, base), (new, theirs))
        diff = scratch.git("diff", project.head, merge.tree)
        if not diff:
            return Outcome(f"Nothing to update: {old}, with these answers, is what is there.")
        final = answers.questions_of(theirs.context)
        changes = answers.changes(recorded, final, old.questions, new.questions, chosen)
        versions = f"{code(lock['template'])}, {old.commit[:12]} → {new.commit[:12]}"
        notes = source.upgrade_notes(old, new)
        title = f"Template {old} → {new}"
        said = "\n\n".join([f"## {title}", versions, *report(changes, notes, merge, seeds)])
        outcome = Outcome(said, len(merge.conflicts), diff, f"regenerate/{new.number}")
        if branch:
            if not dry_run:
                scratch.hand_over(merge)
                project.commit(merge.tree, outcome.branch, f"{title}\n\n{said}\n")
                say(f"Committed on the branch {outcome.branch}.")
            return outcome
        added = ("--diff-filter=A", "--no-renames", "--name-only", "-z")
        project.refuse_if_in_the_way(words(scratch.git("diff", *added, project.head, merge.tree)))
        if not dry_run:
            scratch.hand_over(merge)
            stages = folder / "stages"
            stages.write_bytes(merge.stages.encode("utf-8", "surrogateescape"))
            project.apply(merge.tree, stages)
        return outcome


def read_lock(project: Project) -> dict[str, Any]:
    """Read what the project says of its origin."""
    text = project.read(LOCK)
    if text is None:
        raise Refused(f"{project.root / project.prefix} has no {LOCK} in its last commit")
    return record.parse_whole(text, visible(f"{project.prefix}{LOCK}"))


def new_lock(lock: Mapping[str, Any], version: Version, context: Mapping[str, Any]) -> str:
    """Record the version and the answers as the template's hook and cruft do."""
    head = {"commit": version.commit, "checkout": version.tag}
    if version.commit == lock["commit"]:
        head = {}
    content = {**lock, **head, "context": {"cookiecutter": context}}
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def merged(
    scratch: Scratch,
    lock: Mapping[str, Any],
    old: tuple[Version, Rendered],
    new: tuple[Version, Rendered],
) -> tuple[Merge, list[str]]:
    """Merge, and return with it the seeds that the template has changed and the team keeps."""
    base, ours, theirs = (
        scratch.files(tree)
        for tree in (scratch.tree_of(old[1].folder), scratch.ours(), scratch.tree_of(new[1].folder))
    )
    patterns = [*old[0].questions.get("_seed", []), *new[0].questions.get("_seed", [])]
    seeds = {n for n in base.keys() | theirs.keys() if any(fnmatch(n, p) for p in patterns)}
    # A seed is the team's from its first day: it comes when it is new, and is left alone then.
    arriving = {name for name in seeds if name not in base and name not in ours}
    differing = sorted(n for n in seeds - arriving if n in theirs and base.get(n) != theirs[n])
    kept_out = seeds - arriving | {LOCK}
    # git moves files that are new in a folder along with it, but not folders that are.
    owned = old[0].questions.get("_owned", [])
    where = check.homes([n for n in base if any(fnmatch(n, p) for p in owned)], set(ours))
    base, theirs = check.moved(base, where), check.moved(theirs, where)
    as_rendered, as_it_is, as_it_would_be = (
        scratch.tree({name: entry for name, entry in files.items() if name not in kept_out})
        for files in (base, ours, theirs)
    )
    merge = scratch.merge(as_rendered, as_it_is, as_it_would_be, f"template-{new[0].number}")
    entry = scratch.store(new_lock(lock, new[0], new[1].context))
    seeds_of_team = {name: ours[name] for name in kept_out if name in ours}
    result = scratch.files(merge.tree) | seeds_of_team | {LOCK: entry}
    return in_place(scratch, merge, result), differing


def in_place(scratch: Scratch, merge: Merge, files: Mapping[str, str]) -> Merge:
    """Put the merged files where the project is in its repository."""
    prefix = scratch.project.prefix
    around = scratch.files(scratch.project.head)
    others = {name: entry for name, entry in around.items() if not name.startswith(prefix)}
    placed = {f"{prefix}{name}": entry for name, entry in files.items()}
    entries = (entry.partition("\t") for entry in words(merge.stages))
    stages = "".join(f"{head}\t{prefix}{name}\0" for head, _, name in entries)
    return Merge(scratch.tree(others | placed), stages, merge.conflicts, merge.notes)


def report(changes: list[Change], notes: str, merge: Merge, seeds: list[str]) -> Iterator[str]:
    """Say what became of the project in paragraphs of Markdown, for a pull request."""
    yield "### Answers"
    lines = [line_of(change) for change in changes]
    yield "\n".join([*lines, f"- {'The others' if lines else 'All'} are as before."])
    if notes:
        yield f"### Upgrade notes\n\n{notes.rstrip()}"
    yield f"### Conflicts: {len(merge.conflicts) or 'none'}"
    if merge.conflicts:
        split = ((path, *what.partition(": ")) for path, what in merge.conflicts)
        yield "\n".join(f"- {code(path)}: {kind}: {code(said)}" for path, kind, _, said in split)
    if merge.notes or seeds:
        yield "### To look at"
        lines = [f"- {code(n)} is yours and stays; new projects get another one" for n in seeds]
        yield "\n".join([*(f"- {code(note)}" for note in merge.notes), *lines])


def line_of(change: Change) -> str:
    """Say what became of one answer."""
    values = [json.dumps(v, ensure_ascii=False) for v in change[2:] if v is not None]
    return f"- {code(change.question)} ({visible(change.why)}): {' → '.join(map(code, values))}"


def code(text: str) -> str:
    """Quote a text of the project, so that Markdown leaves it as it is (CommonMark, 6.1)."""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " if len(fence) > 1 else ""
    return f"{fence}{space}{visible(text)}{space}{fence}"
