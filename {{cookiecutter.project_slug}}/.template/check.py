"""Compare what the template owns with its manifest; offline, with Python 3.11 alone.

Exit codes: 0 clean, 1 findings, 2 cannot tell. `template-waivers.toml`, the team's own file,
excuses a path for a while:

    [[waiver]]
    path = "auth_core/http/views.py"
    reason = "a hot fix until 1.2 is out, TICKET-7"
    expires = 2030-01-31
"""

import hashlib
import json
import mmap
import os
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

MANIFEST: Final = ".template/manifest.json"
WAIVERS: Final = "template-waivers.toml"
# Not the project's own text: environments, caches, repositories.
SKIPPED: Final = {"__pycache__", "node_modules", "var"}
BEGIN: Final = re.compile(rb"^<<<<<<< ", re.MULTILINE)
END: Final = re.compile(rb"^>>>>>>> ", re.MULTILINE)
# In bytes. What the template owns and records is far smaller; tomllib takes seconds for a long key;
# git merges no text above the last one.
LARGEST_OWNED: Final = 16 * 1024 * 1024
LARGEST_RECORD: Final = 1024 * 1024
LARGEST_WAIVERS: Final = 32 * 1024
LARGEST_MERGED: Final = 512 * 1024 * 1024


# What goes wrong where text is not what it should be; RecursionError is deep nesting.
UNREADABLE: Final = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


class CheckError(Exception):
    """Why there is no answer, in words for the person at the terminal."""


class Finding(NamedTuple):
    """What is not as it should be."""

    kind: str
    path: str

    def __str__(self) -> str:
        """Align the paths."""
        return f"{self.kind:<9} {visible(self.path)}"


class Waiver(NamedTuple):
    """A finding that the team has accepted until a day, and why."""

    path: str
    reason: str
    expires: date


def visible(text: str) -> str:
    """Escape what a terminal would obey, and what would begin a line of its own."""
    escaped = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return "".join(escaped)


def own_file(project: Path, name: str, largest: int) -> Path | None:
    """Return the path of a regular file of the project, unless it is larger, or None.

    A project can hold links to other places, and its records can name them.
    """
    path = project / name
    try:
        # The system gives up long chains of links, which realpath would follow to their end.
        if not path.is_file() or path.stat().st_size > largest:
            return None
    except OSError:  # The name is too long, or the file is not readable.
        return None
    is_inside = Path(os.path.realpath(path)).is_relative_to(os.path.realpath(project))
    return path if is_inside else None


def text_of(project: Path, name: str, largest: int) -> str:
    """Read a record of the project; raise FileNotFoundError or CheckError where that cannot be."""
    path = own_file(project, name, largest)
    if path is None and not os.path.lexists(project / name):
        raise FileNotFoundError(name)
    if path is None:
        raise CheckError(f"{name} cannot be read: it is a link, no file, or too large")
    return path.read_text("utf-8")


def digest(path: Path) -> str:
    """Hash as the manifest does: whatever line ends a checkout has."""
    return hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()


def files(project: Path) -> Iterator[str]:
    """Name the project's files, without what is made by tools."""
    for folder, folders, names in os.walk(project):
        here = Path(folder)
        folders[:] = sorted(name for name in folders if is_own(here / name))
        for name in sorted(names):
            if not name.endswith(".pyc"):
                yield (here / name).relative_to(project).as_posix()


def is_own(folder: Path) -> bool:
    """Whether a folder holds what people write."""
    if folder.name.startswith("."):
        return folder.name in {".template", ".github", ".gitlab"}
    return folder.name not in SKIPPED and not os.path.lexists(folder / "pyvenv.cfg")


def homes(owned: Iterable[str], present: set[str]) -> dict[str, str]:
    """Map each owned top folder to where it is: a team may have moved it as a whole."""
    names = set(owned)
    tops = {name.partition("/")[0] for name in names}
    away = tops - {name.partition("/")[0] for name in present if "/" in name}
    places = dict[str, set[str]]()
    for name in present if away else ():
        parts = name.split("/")
        for number, part in enumerate(parts):
            if part in away and "/".join(parts[number:]) in names:
                places.setdefault(part, set()).add("/".join(parts[: number + 1]))
    return {top: places[top].pop() if len(places.get(top, ())) == 1 else top for top in tops}


def moved(files: Mapping[str, str], where: Mapping[str, str]) -> dict[str, str]:
    """Name files as they are called where their folders are."""
    split = {name: name.partition("/") for name in files}
    return {
        f"{where.get(top, top)}{slash}{rest}": files[name]
        for name, (top, slash, rest) in split.items()
    }


def drift(project: Path, present: list[str]) -> Iterator[Finding]:
    """Find owned files that were changed, lost or added."""
    owned = load_manifest(project)["files"]
    where = homes(owned, set(present))
    expected = moved(owned, where)
    for name, hashed in expected.items():
        path = own_file(project, name, LARGEST_OWNED)
        if not os.path.lexists(project / name):
            yield Finding("MISSING", name)
        elif path is None or digest(path) != hashed:
            yield Finding("MODIFIED", name)
    folders = tuple(f"{folder}/" for folder in where.values())
    for name in present:
        if name.startswith(folders) and name not in expected and name != MANIFEST:
            yield Finding("ADDED", name)


def leftovers(project: Path, present: list[str]) -> Iterator[Finding]:
    """Find what a merge has left behind."""
    for name in present:
        if name.endswith((".rej", ".orig")):
            yield Finding("LEFTOVER", name)
        elif (path := own_file(project, name, LARGEST_MERGED)) and has_markers(path):
            yield Finding("CONFLICT", name)


def has_markers(path: Path) -> bool:
    """Whether a file has the markers of a conflict; two passes at the most, whatever is in it."""
    if not path.stat().st_size:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        begin = BEGIN.search(content)
        return bool(begin and END.search(content, begin.end()))


def load_manifest(project: Path) -> dict[str, Any]:
    """Read the manifest, which says what is owned."""
    try:
        manifest = json.loads(text_of(project, MANIFEST, LARGEST_RECORD))
        files = {str(name): str(hashed) for name, hashed in manifest["files"].items()}
    except FileNotFoundError as error:
        raise CheckError(f"{project} has no {MANIFEST}: is it a rendered project?") from error
    except UNREADABLE as error:
        raise CheckError(f"{MANIFEST} cannot be read: {error!r}") from error
    for name in files:
        if name.startswith("/") or ".." in name.split("/") or not name.isprintable():
            raise CheckError(f"{MANIFEST}: {name!r} is no name of a file in the project")
    return {**manifest, "files": files}


def load_waivers(project: Path) -> list[Waiver]:
    """Read the waivers; one without a path, a reason or a day is an error."""
    try:
        entries = tomllib.loads(text_of(project, WAIVERS, LARGEST_WAIVERS))["waiver"]
        waivers = [Waiver(**entry) for entry in entries]
    except FileNotFoundError:
        return []
    except UNREADABLE as error:
        raise CheckError(f"{WAIVERS} cannot be read: {error}") from error
    for each in waivers:
        day = each.expires
        is_path = isinstance(each.path, str) and each.path
        if not is_path or not str(each.reason).strip() or type(day) is not date:
            raise CheckError(
                f"{WAIVERS}: {each.path!r} needs a path, a reason, and a day in expires"
            )
    return waivers


def findings(project: Path, today: date) -> tuple[list[Finding], list[str]]:
    """Return what is wrong, and notes on what is excused."""
    try:
        present = list(files(project))
    except RecursionError as error:
        raise CheckError("the folders are nested too deeply to be read") from error
    found = [*drift(project, present), *leftovers(project, present)]
    waivers = {waiver.path: waiver for waiver in load_waivers(project)}
    kept, notes = list[Finding](), list[str]()
    for each in found:
        waiver = waivers.get(each.path)
        if waiver is None or each.kind in {"CONFLICT", "LEFTOVER"}:
            kept.append(each)
        elif waiver.expires < today:
            kept.append(Finding("EXPIRED", f"{each.path} (waived until {waiver.expires})"))
        else:
            notes.append(f"waived    {each.path} until {waiver.expires}: {waiver.reason}")
    unneeded = waivers.keys() - {each.path for each in found}
    return kept, notes + [f"unneeded  waiver of {path}" for path in sorted(unneeded)]


def main(project: Path = Path()) -> int:
    """Print what is wrong."""
    try:
        found, notes = findings(project, datetime.now(UTC).date())
        version = load_manifest(project).get("template_version", "unknown")
    except (CheckError, *UNREADABLE) as reason:
        print(f"check: {visible(str(reason))}", file=sys.stderr)
        return 2
    for line in [*map(str, found), *notes]:
        print(visible(line))
    state = f"{len(found)} findings" if found else "as rendered"
    print(f"Owned by the template {visible(str(version))}: {state}.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent.parent))
