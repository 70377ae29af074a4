"""Makes of a Dockerfile what an engine would, without one: a folder stands for /.

Its steps are run there, without isolation; a base image is no more than this machine's Python of
its version. What counts is that each path leads somewhere: whatever fails names its line.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, NamedTuple

from scripts.walk import clean_environment
from tests.project import Completed, interpreter

# Absolute paths, not URLs, but for those that every machine has.
PATHS: Final = re.compile(r"(?<![\w./}])/(?!(?:dev|proc|bin|usr/bin)\b)(?=\w)")


class Broken(Exception):
    """A line of the Dockerfile cannot work."""


class Instruction(NamedTuple):
    line: int
    name: str
    value: str

    def broken(self, why: str) -> Broken:
        return Broken(f"Dockerfile, line {self.line}: {self.name} {self.value}\n{why}")


def instructions(text: str) -> list[Instruction]:
    """Join continued lines, and drop comments."""
    found: list[Instruction] = []
    number, rest = 1, text
    while rest:
        part = re.match(r"(?:#.*|\s*)\n|(?:.*\\\n)*.*\n", rest)
        assert part, rest
        words = part[0].replace("\\\n", " ").split(maxsplit=1)
        if words and not part[0].startswith("#"):
            found.append(Instruction(number, words[0].upper(), words[1].strip()))
        number += part[0].count("\n")
        rest = rest[part.end() :]
    return found


def ignoring(text: str) -> Callable[[str], bool]:
    """Read a .dockerignore: patterns from the root, with all that is below; the last one counts."""
    rules: list[tuple[bool, re.Pattern[str]]] = []
    for line in filter(None, (line.strip() for line in text.splitlines())):
        if not line.startswith("#"):
            pattern = re.escape(line.removeprefix("!").strip("/"))
            for glob, regex in {r"\*\*/": "(.*/)?", r"\*\*": ".*", r"\*": "[^/]*"}.items():
                pattern = pattern.replace(glob, regex)
            rules.append((not line.startswith("!"), re.compile(f"{pattern}(/.*)?")))

    def is_ignored(path: str) -> bool:
        verdicts = [verdict for verdict, pattern in rules if pattern.fullmatch(path)]
        return bool(verdicts) and verdicts[-1]

    return is_ignored


@dataclass
class Image:
    """The stage that was built last; `root` stands for /."""

    folder: Path
    # Makes the folder of a base image.
    base: Callable[[str, Path], None]
    name: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    user: str = ""
    command: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)
    stages: dict[str, Path] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def folder_of_work(self) -> Path:
        return self.root / self.workdir.strip("/")

    def place(self, text: str) -> str:
        """Put the root before each absolute path."""
        return PATHS.sub(f"{self.root}/", text)

    def begin(self, step: Instruction) -> None:
        """Begin a stage; what was built before is kept under its name."""
        base, _, name = step.value.partition(" AS ")
        version = re.match(r"python:(\d\.\d+)-slim(@sha256:[0-9a-f]{64})?$", base)
        if not version:
            raise step.broken("These tests play images of Python alone.")
        if self.root.exists():
            self.stages[self.name] = self.folder / f"stage-{len(self.stages)}"
            self.root.rename(self.stages[self.name])
        self.name, self.workdir = name, "/"
        (self.root / "tmp").mkdir(parents=True)
        local = self.root / "usr" / "local"
        self.base(version[1], local)
        # As for a user whom /etc/passwd does not know.
        self.environment = {"HOME": str(self.root), "TMPDIR": str(self.root / "tmp")}
        self.environment["PATH"] = f"{local}/bin:/usr/bin:/bin"

    def copy(self, step: Instruction, context: Path) -> None:
        """Copy from the context, without what is ignored, or from an earlier stage."""
        words = step.value.split()
        source = context
        if words[0].startswith("--from="):
            stage = words.pop(0).removeprefix("--from=")
            if stage not in self.stages:
                raise step.broken(f"No stage is called {stage}.")
            source = self.stages[stage]
        *patterns, target = words
        place = self.root / Path(self.workdir, target).as_posix().strip("/")
        is_ignored = ignoring((context / ".dockerignore").read_text("utf-8"))

        def ignore(folder: str, names: list[str]) -> set[str]:
            paths = {name: Path(folder, name).relative_to(source).as_posix() for name in names}
            return {n for n, path in paths.items() if source == context and is_ignored(path)}

        copied = 0
        for pattern in patterns:
            plain = pattern.strip("/.")
            found = sorted(source.glob(plain)) if plain else [source]
            found = [p for p in found if not ignore(str(p.parent), [p.name]) or p == source]
            if not found and not re.search(r"[*?\[]", pattern):
                raise step.broken(f"There is no {pattern} to copy.")
            for path in found:
                copied += 1
                if path.is_dir():
                    shutil.copytree(path, place, symlinks=True, ignore=ignore, dirs_exist_ok=True)
                else:
                    place.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, place)
        if not copied:
            raise step.broken("Nothing was copied.")

    def set(self, step: Instruction) -> None:
        """Set variables of the environment, for the steps that follow and for what is started."""
        for pair in shlex.split(step.value):
            name, _, value = pair.partition("=")
            known = re.sub(r"\$(\w+)", lambda found: self.environment[found[1]], self.place(value))
            self.environment[name] = known

    def execute(self, step: Instruction) -> None:
        """Run a line of shell, with what this machine says of its package index, too."""
        home = {"HOME": str(Path.home())}
        done = self.run(["sh", "-c", step.value], clean_environment() | self.environment | home)
        if done.returncode:
            raise step.broken(f"exited with {done.returncode}:\n{done.stdout}{done.stderr}")

    def step(self, step: Instruction, context: Path) -> None:
        """Do what an instruction says."""
        match step.name:
            case "FROM":
                self.begin(step)
            case "ENV":
                self.set(step)
            case "WORKDIR":
                self.workdir = step.value
                self.folder_of_work.mkdir(parents=True, exist_ok=True)
            case "COPY":
                self.copy(step, context)
            case "RUN":
                self.execute(step)
            case "USER":
                self.user = step.value
            case "HEALTHCHECK":
                self.healthcheck = json.loads(step.value.partition("CMD ")[2])
            case "CMD":
                self.command = json.loads(step.value)
            case "EXPOSE":
                assert int(step.value) == int(self.environment["PORT"])
            case _:
                raise step.broken("These tests do not know what this does.")

    def words(self, command: list[str]) -> list[str]:
        """Find a program on the image's path, and put its paths below the root."""
        program = shutil.which(command[0], path=self.environment["PATH"])
        if not program:
            raise Broken(f"Dockerfile: {command[0]} is not on the PATH {self.environment['PATH']}")
        return [program, *map(self.place, command[1:])]

    def run(self, command: list[str], environment: Mapping[str, str]) -> Completed:
        """Run a command to its end in the image's folder."""
        return subprocess.run(
            self.words(command),
            cwd=self.folder_of_work,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def files(self) -> dict[str, int]:
        """List all but /tmp, with the time of the last change."""
        names = ((path.relative_to(self.root).as_posix(), path) for path in self.root.rglob("*"))
        # Of a folder the name alone: it changes with what was in it for a while.
        return {
            name: path.stat().st_mtime_ns if path.is_file() else 0
            for name, path in names
            if not name.startswith("tmp/")
        }


@dataclass
class Engine:
    """Builds images; a base image is made once, and so is what the same first lines make."""

    folder: Path
    layers: dict[tuple[Path, tuple[Instruction, ...]], Image] = field(default_factory=dict)

    def base(self, version: str, target: Path) -> None:
        """Copy a Python of this version, whose programs are told where they are now."""
        made = self.folder / f"python{version}"
        if not made.exists():
            subprocess.run([interpreter(version), "-m", "venv", made], check=True)
        shutil.copytree(made, target, symlinks=True)
        for program in target.glob("bin/pip*"):
            text = program.read_text("utf-8")
            program.write_text(text.replace(f"{made}/", f"{target}/"), "utf-8")

    def build(self, context: Path, folder: Path) -> Image:
        """Build the Dockerfile of a project into an empty folder."""
        image = Image(folder, self.base)
        for step in instructions((context / "Dockerfile").read_text("utf-8")):
            image.step(step, context)
        return image

    def rebuild(self, context: Path) -> Image:
        """Build it again, from the first line that is new; all but the Dockerfile is as it was.

        In the same folder each time, because what is installed knows its absolute path.
        """
        folder = self.folder / "again"
        steps = instructions((context / "Dockerfile").read_text("utf-8"))
        image, begin = Image(folder, self.base), 0
        for count in range(1, len(steps) + 1):
            if layer := self.layers.get((context, tuple(steps[:count]))):
                image, begin = layer, count
        shutil.rmtree(folder, ignore_errors=True)
        if begin:
            link(image.folder, folder)
        image = copied(image, folder)
        for count, step in enumerate(steps[begin:], begin + 1):
            image.step(step, context)
            if step.name == "RUN":
                kept = self.folder / f"layer-{len(self.layers)}"
                link(folder, kept)
                self.layers[context, tuple(steps[:count])] = copied(image, kept)
        return image


def link(source: Path, target: Path) -> None:
    """Copy a folder without its contents: nothing that is built changes a file in its place."""
    shutil.copytree(source, target, symlinks=True, copy_function=os.link)


def copied(image: Image, folder: Path) -> Image:
    """Return a description of the image that stands in another folder, to be built on."""
    environment, stages = dict(image.environment), dict(image.stages)
    return replace(image, folder=folder, environment=environment, stages=stages)
