"""Runs git, and knows two repositories: the team's, and one beside it in which merges are made."""

import json
import os
import signal
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from regenerate.check import LARGEST_RECORD, visible

# Of a rendered project; it is written last, by itself, and never merged.
LOCK: Final = ".cruft.json"
OF_A_REPOSITORY: Final = frozenset(
    """
    GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_COMMON_DIR GIT_DIR GIT_INDEX_FILE GIT_NAMESPACE
    GIT_OBJECT_DIRECTORY GIT_PREFIX GIT_WORK_TREE
    """.split()
)

IDENTITY: Final = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "regenerate"), ("EMAIL", "regenerate@localhost"))
}


class Refused(Exception):
    """Why nothing was done, in words for the person at the terminal."""


def git(
    folder: Path,
    *arguments: str,
    stdin: str | bytes = "",
    variables: Mapping[str, str] | None = None,
) -> str:
    """Run git in a folder and return what it printed; refuse with its own words if it fails."""
    done = attempt(folder, *arguments, stdin=stdin, variables=variables)
    return text_of(output_of(done, arguments[0]))


def attempt(
    folder: Path,
    *arguments: str,
    stdin: str | bytes = "",
    variables: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run git, which may fail."""
    given = stdin if isinstance(stdin, bytes) else stdin.encode("utf-8", "surrogateescape")
    # A bare repository can be a folder of a project, with a configuration that runs programs.
    command = ["git", "-C", str(folder), "-c", "safe.bareRepository=explicit", *arguments]
    env = environment() | dict(variables or {})
    try:
        return subprocess.run(command, env=env, input=given, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise Refused("git is needed, and is not on PATH") from error


def output_of(done: subprocess.CompletedProcess[bytes], name: str) -> bytes:
    """Return what git printed, or refuse with its own words if it failed."""
    if done.returncode:
        raise Refused(f"git {name}: {said_by(done) or f'exited with {done.returncode}'}")
    return done.stdout


def said_by(done: subprocess.CompletedProcess[bytes]) -> str:
    """Return git's own words in one line: a file's name in them could pretend to be another one."""
    return "; ".join(visible(line) for line in text_of(done.stderr).splitlines())


def environment() -> dict[str, str]:
    """Return this process's variables, but for those by which a git hook names its repository."""
    kept = {name: value for name, value in os.environ.items() if name not in OF_A_REPOSITORY}
    return kept | {"LC_ALL": "C"}


def text_of(output: bytes) -> str:
    """Decode so that names in any encoding survive the way back to git."""
    return output.decode("utf-8", "surrogateescape")


def words(output: str) -> list[str]:
    """Split what git printed with -z."""
    return [word for word in output.split("\0") if word]


@dataclass(frozen=True)
class Project:
    """A rendered project in a clean git repository, of which it may be a subfolder."""

    root: Path
    prefix: str  # empty, or ends with a slash
    head: str

    @classmethod
    def at(cls, path: Path) -> "Project":
        """Find the repository around a path."""
        if not path.is_dir():
            raise Refused(f"{path} is no folder")
        found = [attempt(path, "rev-parse", f"--show-{what}") for what in ("toplevel", "prefix")]
        if found[0].returncode:
            raise Refused(f"{path} is in no git repository: run git init, and commit")
        # A folder's name can hold a newline.
        top, prefix = (text_of(each.stdout).removesuffix("\n") for each in found)
        head = attempt(path, "rev-parse", "--verify", "--quiet", "HEAD^{tree}")
        if head.returncode:
            raise Refused(f"{path} has no commit yet: commit what is there")
        return cls(Path(top), prefix, text_of(head.stdout).strip())

    def refuse_if_dirty(self) -> None:
        """Refuse while a tracked file is changed: `git reset --hard` must be a way back."""
        changed = git(self.root, "status", "--porcelain", "--untracked-files=no").splitlines()
        if changed:
            few = ", ".join(visible(line[3:]) for line in changed[:3]) + (
                " ..." if changed[3:] else ""
            )
            raise Refused(f"{self.root} has changes that are not committed ({few}): commit them")

    def read(self, name: str) -> str | None:
        """Return a committed file's text, or None; refuse one that is too large to be read."""
        blob = f"{self.head}:{self.prefix}{name}"
        size = attempt(self.root, "cat-file", "-s", blob)
        if size.returncode == 0 and int(size.stdout) > LARGEST_RECORD:
            raise Refused(
                f"{self.prefix}{name} has more than {LARGEST_RECORD} bytes: what is in it?"
            )
        done = attempt(self.root, "cat-file", "blob", blob)
        return None if done.returncode else text_of(done.stdout)

    def refuse_if_in_the_way(self, added: Iterable[str]) -> None:
        """Refuse to overwrite what git does not know, and so could not bring back."""
        for name in added:
            if os.path.lexists(self.root / name):
                raise Refused(
                    f"{visible(name)} is not tracked, and the update would overwrite it: move it"
                )

    def commit(self, tree: str, branch: str, message: str) -> None:
        """Commit a tree on a new branch; one that is there already, with this tree, will do."""
        there = attempt(
            self.root, "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}^{{tree}}"
        )
        if text_of(there.stdout).strip() == tree:
            return
        if there.returncode == 0:
            raise Refused(
                f"{self.root} has a branch {branch} with other content: merge or delete it"
            )
        # Who runs this for a fleet is often a machine, without a name of its own.
        known = attempt(self.root, "var", "GIT_COMMITTER_IDENT").returncode == 0
        variables = {} if known else IDENTITY
        command = ("commit-tree", tree, "-p", "HEAD")
        commit = git(self.root, *command, stdin=message, variables=variables).strip()
        git(self.root, "update-ref", f"refs/heads/{branch}", commit, "")

    def apply(self, tree: str, stages: Path) -> None:
        """Bring the index and the files to a tree, then mark the conflicts.

        In a session of its own, so that what ends this process cannot leave it half done; what
        would interrupt it waits.
        """
        script = 'git read-tree -m -u "$1" "$2" && git update-index -z --index-info <"$3"'
        command = ["sh", "-c", script, "apply", self.head, tree, str(stages)]
        git(self.root, "update-index", "-q", "--refresh")
        interrupts = {signal.SIGHUP, signal.SIGINT, signal.SIGTERM}
        before = signal.pthread_sigmask(signal.SIG_BLOCK, interrupts)
        try:
            done = subprocess.run(
                command,
                cwd=self.root,
                env=environment(),
                start_new_session=True,
                capture_output=True,
                check=False,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if done.returncode:
            raise Refused(said_by(done))


class Conflict(NamedTuple):
    """What git could not merge by itself."""

    path: str
    what: str


@dataclass(frozen=True)
class Merge:
    """The outcome of a merge: a tree with markers in it, and what it takes to tell the index."""

    tree: str
    stages: str
    conflicts: list[Conflict]
    notes: list[str]


class Scratch:
    """A bare repository that sees the project's objects, and keeps its own to itself.

    No configuration of this machine, of the user or of the project reaches it.
    """

    def __init__(self, folder: Path, project: Project) -> None:
        self.folder = folder
        self.project = project
        objects = git(project.root, "rev-parse", "--git-path", "objects").strip()
        kind = git(project.root, "rev-parse", "--show-object-format").strip()
        git(folder.parent, "init", "--quiet", "--bare", f"--object-format={kind}", str(folder))
        alternates = folder / "objects" / "info" / "alternates"
        # In quotes, as git reads a name that could hold a newline.
        name = json.dumps(str((project.root / objects).resolve()), ensure_ascii=False)
        alternates.write_bytes(os.fsencode(f"{name}\n"))

    def git(self, *arguments: str, stdin: str | bytes = "") -> str:
        """Run git here."""
        done = self.attempt(*arguments, stdin=stdin)
        return text_of(output_of(done, arguments[0]))

    def attempt(
        self, *arguments: str, stdin: str | bytes = ""
    ) -> subprocess.CompletedProcess[bytes]:
        """Run git here, which may fail."""
        options = ["merge.conflictStyle=diff3", "merge.directoryRenames=true", "merge.renames=true"]
        options += ["core.autocrlf=false", "core.bare=true"]
        variables = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        variables |= {"GIT_DIR": str(self.folder), "GIT_INDEX_FILE": str(self.folder / "index")}
        # The base's commit is named in the markers: the same update must write the same bytes.
        dates = {f"GIT_{role}_DATE": "2000-01-01T00:00:00Z" for role in ("AUTHOR", "COMMITTER")}
        variables |= IDENTITY | dates
        given = [word for option in options for word in ("-c", option)]
        return attempt(self.folder, *given, *arguments, stdin=stdin, variables=variables)

    def tree_of(self, rendered: Path) -> str:
        """Store a rendered folder, but for what its own .gitignore names."""
        (self.folder / "index").unlink(missing_ok=True)
        self.git("-c", "core.bare=false", f"--work-tree={rendered}", "add", "--all", str(rendered))
        return self.git("write-tree").strip()

    def files(self, tree: str) -> dict[str, str]:
        """Map the paths of a tree to their mode and object, as the index takes them."""
        entries = (e.split("\t", 1) for e in words(self.git("ls-tree", "-r", "-z", tree)))
        return {name: f"{head.split()[0]} {head.split()[2]}" for head, name in entries}

    def tree(self, files: Mapping[str, str]) -> str:
        """Store a tree of such entries."""
        (self.folder / "index").unlink(missing_ok=True)
        lines = "".join(f"{entry}\t{name}\0" for name, entry in files.items())
        self.git("update-index", "-z", "--index-info", stdin=lines)
        return self.git("write-tree").strip()

    def store(self, text: str) -> str:
        """Store a file, and return its entry."""
        return f"100644 {self.git('hash-object', '-w', '--stdin', stdin=text).strip()}"

    def ours(self) -> str:
        """Return the project's committed tree."""
        return self.git("rev-parse", f"{self.project.head}:{self.project.prefix}").strip()

    def merge(self, base: str, ours: str, theirs: str, label: str) -> Merge:
        """Merge what changed from base to theirs into ours, with markers where that fails."""
        root = self.git("commit-tree", base, "-m", "as it was rendered").strip()
        for branch, tree in (("yours", ours), (label, theirs)):
            commit = self.git("commit-tree", tree, "-p", root, "-m", branch).strip()
            self.git("update-ref", f"refs/heads/{branch}", commit)
        done = self.attempt("merge-tree", "--write-tree", "--messages", "-z", "yours", label)
        if done.returncode not in {0, 1}:
            raise Refused(f"git merge-tree (2.38 or newer): {said_by(done)}")
        head, _, messages = text_of(done.stdout).partition("\0\0")
        tree, *stages = head.rstrip("\0").split("\0")
        conflicts, notes = read_messages(messages.split("\0"))
        # The index takes no whole entry beside the stages of a conflict.
        nothing = "0" * len(tree)
        unmerged = dict.fromkeys(stage.split("\t", 1)[1] for stage in stages)
        lines = [f"0 {nothing}\t{name}" for name in unmerged] + stages
        return Merge(tree, "".join(f"{line}\0" for line in lines), conflicts, notes)

    def hand_over(self, merge: Merge) -> None:
        """Give the project the objects that it lacks; nothing of it refers to them yet."""
        stages = [line.split()[1] for line in merge.stages.split("\0") if line]
        wanted = [merge.tree, *(oid for oid in stages if oid.strip("0"))]
        revisions = "".join(f"{oid}\n" for oid in [*wanted, f"^{self.project.head}"])
        done = self.attempt("pack-objects", "--revs", "--stdout", "-q", stdin=revisions)
        pack = output_of(done, "pack-objects")
        git(self.project.root, "unpack-objects", "-q", stdin=pack)


def read_messages(fields: list[str]) -> tuple[list[Conflict], list[str]]:
    """Read git's messages: a number of paths, the paths, a kind, and a sentence, each time."""
    conflicts, notes = list[Conflict](), list[str]()
    while len(fields) > 1:
        count = int(fields[0])
        paths, (kind, sentence), fields = (
            fields[1 : count + 1],
            fields[count + 1 : count + 3],
            fields[count + 3 :],
        )
        if kind.startswith("CONFLICT"):
            conflicts.append(Conflict(paths[0], sentence.strip().removeprefix("CONFLICT ")))
        elif not kind.startswith("Auto-merging"):
            notes.append(sentence.strip())
    return conflicts, notes
