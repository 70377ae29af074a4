"""Rendered projects, the answers to render them with, and the environments to run them in."""

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest
import uv
import yaml
from filelock import FileLock

from scripts.walk import clean_environment

Answers = dict[str, Any]
Completed = subprocess.CompletedProcess[str]

ROOT: Final = Path(__file__).resolve().parent.parent
SOURCE: Final = "{{cookiecutter.project_slug}}"
COOKIECUTTER: Final[Answers] = json.loads((ROOT / "cookiecutter.json").read_text("utf-8"))
QUESTIONS: Final = {name: v for name, v in COOKIECUTTER.items() if not name.startswith("_")}
PRESETS: Final[dict[str, Answers]] = {
    file.stem: yaml.safe_load(file.read_text("utf-8"))["default_context"]
    for file in sorted((ROOT / "presets").glob("*.yaml"))
}

# NEWEST=1 lifts the upper bounds of what projects depend on, to learn early what will break.
NEWEST: Final = os.environ.get("NEWEST") == "1"
PYTHON: Final = f"{sys.version_info.major}.{sys.version_info.minor}"
# Every supported pair of interpreter and framework.
COMBINATIONS: Final = (
    ("3.11", "5.2"),
    ("3.12", "5.2"),
    ("3.13", "5.2"),
    ("3.12", "6.1"),
    ("3.13", "6.1"),
)


def load_hook(name: str) -> ModuleType:
    """Import a hook as it stands in the repository, before Jinja has seen it."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "hooks" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pre_gen = load_hook("pre_gen_project")


DEFAULTS: Final[Answers] = {n: v[0] if isinstance(v, list) else v for n, v in QUESTIONS.items()}


def complete(some: Answers) -> dict[str, str]:
    """Answer the other questions as cookiecutter would, in the form in which the hooks judge."""
    answers = DEFAULTS | some
    prefix = answers["auth_url_prefix"]
    derived = {
        "project_slug": "my-api",
        "registration_url_prefix": f"{prefix}/registration",
        "refresh_url": f"{prefix}/token/refresh",
    }
    answers |= {name: value for name, value in derived.items() if name not in some}
    return {k: str(v).lower() if isinstance(v, bool) else str(v) for k, v in answers.items()}


def run(
    folder: Path,
    *command: str | Path,
    check: bool = True,
    variables: Mapping[str, str] | None = None,
) -> Completed:
    """Run a command with nothing of this machine that would configure a project."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words,
        cwd=folder,
        env=clean_environment(**(variables or {})),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if check and done.returncode:
        pytest.fail(f"{words} exited with {done.returncode}:\n{done.stdout}{done.stderr}", False)
    return done


@dataclass(frozen=True)
class BakedProject:
    """A rendered project on disk, all its answers, and those of them that were given."""

    path: Path
    answers: Mapping[str, Any]
    given: Answers

    def files(self) -> set[str]:
        """List all but byte code, which whatever runs here leaves behind."""
        every = (path for path in self.path.rglob("*") if path.is_file())
        names = {path.relative_to(self.path).as_posix() for path in every}
        return {name for name in names if "__pycache__/" not in name}

    def read(self, name: str) -> str:
        return (self.path / name).read_text("utf-8")

    def texts(self) -> Iterator[tuple[str, str]]:
        """Give all files but compiled translations, whose sources are among them."""
        for name in sorted(self.files()):
            if not name.endswith(".mo"):
                yield name, self.read(name)

    def run(
        self,
        *command: str | Path,
        check: bool = True,
        variables: Mapping[str, str] | None = None,
    ) -> Completed:
        return run(self.path, *command, check=check, variables=variables)

    def make(
        self,
        target: str,
        environment: Path,
        *options: str,
        variables: Mapping[str, str] | None = None,
    ) -> Completed:
        """Run `make` with a shared environment, which is not installed into again."""
        words = ("-o", str(environment / ".installed"), f"VENV={environment}", *options)
        return self.run("make", target, *words, variables=variables)

    def manage(
        self,
        environment: Path,
        *arguments: str,
        check: bool = True,
        variables: Mapping[str, str] | None = None,
    ) -> Completed:
        """Run manage.py with every warning an error."""
        words = (str(environment / "bin" / "python"), "-W", "error", "manage.py", *arguments)
        return self.run(*words, check=check, variables=variables)


Bake = Callable[..., BakedProject]


@cache
def interpreter(version: str) -> Path:
    """Find a Python of this version, on PATH or among pyenv's; skip where there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    candidates = [shutil.which(f"python{version}"), shutil.which("python3")]
    candidates += sorted(map(str, pyenv.glob(f"versions/{version}*/bin/python")), reverse=True)
    for candidate in filter(None, candidates):
        # A shim of pyenv is on PATH for versions that are not activated, and fails.
        ask = [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        done = subprocess.run(ask, capture_output=True, text=True, check=False)
        if done.stdout.strip() == version:
            return Path(candidate)
    pytest.skip(reason=f"Python {version} is not on this machine (PATH, pyenv)")


def environment(bake: Bake, python: str, django: str, *, is_newest: bool = NEWEST) -> Path:
    """Return an environment with what any variant may need, built once for all workers."""
    executable = interpreter(python)
    projects = [
        bake(
            django_version=django,
            database="postgresql",
            email_provider=provider,
            social_providers="google",
            mfa="totp_and_passkeys",
            metrics=True,
        )
        for provider in ("postmark", "mailgun")
    ]
    files = [project.path / "pyproject.toml" for project in projects]
    for file in files if is_newest else ():
        file.write_text(newest(file.read_text("utf-8")), "utf-8")
    key = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
    folder = ROOT / ".cache" / "environments" / f"python{python}-django{django}-{key}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not (folder / ".installed").exists():
            install(executable, files, folder)
    return folder


def newest(pyproject: str) -> str:
    """Allow what is beyond the tested ranges; not of Django, whose version was asked for."""
    ranges = re.compile(r'^    "(?!django~).*",$', re.MULTILINE)
    return ranges.sub(lambda line: re.sub(r",<[\w.]+", "", line[0].replace("~=", ">=")), pyproject)


def install(executable: Path, files: list[Path], folder: Path) -> None:
    """Make an environment with the dependencies of several projects, the group `dev` included."""
    tool = [uv.find_uv_bin()]
    requirements = [word for file in files for word in ("--requirements", str(file))]
    requirements += ["--group", f"{files[0]}:dev"]
    for command in (
        [*tool, "venv", "--quiet", "--clear", "--python", executable, folder],
        [*tool, "pip", "install", "--quiet", "--python", folder / "bin" / "python", *requirements],
    ):
        variables = clean_environment(UV_PYTHON_DOWNLOADS="never")
        subprocess.run([str(word) for word in command], env=variables, check=True)
    (folder / ".installed").touch()
