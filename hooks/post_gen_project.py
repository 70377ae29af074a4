"""Drop what was not chosen, stamp the rest, and say what to do next. Nothing else.

No network, no secret, no clock: rendering twice gives the same bytes. Of git it asks only for
the template's own commit, because cruft needs it and cookiecutter does not record it.
"""

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

Context = dict[str, Any]
PASSWORD: Final = "correct horse battery staple"  # noqa: S105  an example to type
# Recorded by cookiecutter alone; they would tell one machine's renders from another's.
OF_THIS_MACHINE: Final = ("_output_dir", "_repo_dir", "_checkout")

# Each optional path and when it stays.
OPTIONAL: Final[dict[str, Callable[[Context], bool]]] = {
    "auth_core/features/pages": lambda answers: not answers["frontend_url"],
    "auth_core/features/tutorial_contract": lambda answers: bool(answers["tutorial_contract"]),
}


def write_json(path: Path, content: object) -> None:
    """Write as cruft does, with the same line ends on every system."""
    text = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
    path.write_text(text, encoding="utf-8", newline="\n")


def write_manifest(context: Context) -> None:
    """Record what the template owns here, so that a later edit or loss of it shows."""
    files = sorted(path.as_posix() for path in Path().rglob("*") if path.is_file())
    owned = [f for f in files if any(fnmatch(f, pattern) for pattern in context["_owned"])]
    hashes = {
        name: hashlib.sha256(Path(name).read_bytes().replace(b"\r\n", b"\n")).hexdigest()
        for name in owned
    }
    Path(".template").mkdir(exist_ok=True)
    content = {"template_version": context["_template_version"], "files": hashes}
    write_json(Path(".template/manifest.json"), content)


def git(repository: str, *arguments: str) -> str | None:
    """Ask git about exactly this folder, not about one around it or in the environment."""
    if not Path(repository, ".git").exists() or not shutil.which("git"):
        return None
    environment = {name: v for name, v in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", repository, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def write_cruft(context: Context) -> None:
    """Write .cruft.json as cruft would have, unless cruft is driving and writes it itself."""
    if "_commit" in context:
        return
    origin = git(context["_repo_dir"], "remote", "get-url", "origin")
    # A CI checkout may carry a token in the address: it does not belong into a tracked file.
    url = re.sub(r"^(https?://)[^/@]+@", r"\1", origin) if origin else context["_repo_dir"]
    commit = git(context["_repo_dir"], "rev-parse", "HEAD")
    answers = {name: value for name, value in context.items() if name not in OF_THIS_MACHINE}
    answers |= {"_template": url, "_commit": commit}
    # Cookiecutter records, but does not obey, a checkout asked of a local folder.
    checkout = None if Path(context["_template"]).is_dir() else context["_checkout"]
    content = {"template": url, "commit": commit, "checkout": checkout}
    write_json(Path(".cruft.json"), content | {"context": {"cookiecutter": answers}, "directory": None})


def next_steps(context: Context) -> str:
    """Return the commands that lead from here to a registered user."""
    ...


def main(context: Context) -> None:
    """Turn what cookiecutter rendered into the project that was asked for."""
    for path, stays in OPTIONAL.items():
        if not stays(context):
            shutil.rmtree(path)
    write_manifest(context)
    write_cruft(context)


if __name__ == "__main__":
    # Pairs keep the order of the questions, which tojson would sort; see pre_gen_project.py.
    main(dict(json.loads(r""" {{ cookiecutter.items() | list | tojson }} """)))
