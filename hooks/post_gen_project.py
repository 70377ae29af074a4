"""Drop what was not chosen, stamp the rest and say what to do next.

No network, no secret, no clock: rendering twice gives the same bytes. Git is only asked for the
template's own commit, which cruft needs and cookiecutter does not record.
"""

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

Context = dict[str, Any]

# Each optional path and the answers with which it stays.
OPTIONAL: Final[dict[str, Context]] = {
    "auth_core/features/pages": {"frontend_url": ""},
    "auth_core/features/tutorial_contract": {"tutorial_contract": True},
}


def write_json(name: str, content: object) -> None:
    """Write as cruft does: two spaces, a final newline, the same bytes on every system."""
    text = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
    Path(name).write_text(text, encoding="utf-8", newline="\n")


def write_manifest(context: Context) -> None:
    """Hash every file that the template owns, so that a later edit or loss shows offline."""
    files = sorted(path.as_posix() for path in Path().rglob("*") if path.is_file())
    owned = [name for name in files if any(fnmatch(name, each) for each in context["_owned"])]
    contents = {name: Path(name).read_bytes().replace(b"\r\n", b"\n") for name in owned}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    Path(".template").mkdir(exist_ok=True)
    manifest = {"template_version": context["_template_version"], "files": hashes}
    write_json(".template/manifest.json", manifest)


def template_folder(context: Context) -> Path:
    """Return where the template lies; `cookiecutter .` says no more than the dot."""
    cookiecutter_stands_in_it = Path(f"/proc/{os.getppid()}/cwd")
    bases = [Path(os.environ.get("PWD", "")), Path(context["_output_dir"])]
    places = [cookiecutter_stands_in_it, *(base / context["_repo_dir"] for base in bases)]
    if Path(context["_repo_dir"]).is_absolute():
        places = [Path(context["_repo_dir"])]
    return next((p.resolve() for p in places if (p / "cookiecutter.json").exists()), places[-1])


def git(folder: Path, *arguments: str) -> str | None:
    """Ask git about exactly this folder, not about one around it or in the environment."""
    if not (folder / ".git").exists() or not shutil.which("git"):
        return None
    environment = {name: v for name, v in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def write_cruft(context: Context) -> None:
    """Write .cruft.json as `cruft create` would, so that cruft takes over from cookiecutter."""
    folder = template_folder(context)
    # A checkout made by CI may carry a token in its address, which must not be recorded.
    origin = re.sub("^(https?://)[^/@]+@", r"\1", git(folder, "remote", "get-url", "origin") or "")
    stamp = {
        "_template": origin or str(folder),
        "_commit": git(folder, "rev-parse", "--verify", "HEAD"),
    }
    answers = {
        k: v for k, v in context.items() if k not in ("_output_dir", "_repo_dir", "_checkout")
    }
    # Of a local folder, cookiecutter records a --checkout but does not obey it.
    checkout = (
        None if Path(context["_repo_dir"]) == Path(context["_template"]) else context["_checkout"]
    )
    cruft = {"template": stamp["_template"], "commit": stamp["_commit"], "checkout": checkout}
    cruft |= {"context": {"cookiecutter": answers | stamp}, "directory": None}
    write_json(".cruft.json", cruft)


def next_steps(context: Context) -> str:
    """Return the way from here to the first user, ready to be pasted."""
    ...


def main(context: Context) -> None:
    """Make what cookiecutter rendered into the project that was asked for."""
    for path, answers in OPTIONAL.items():
        if not answers.items() <= context.items():
            shutil.rmtree(path)
    write_manifest(context)
    if "_commit" not in context:  # else cruft is driving, and does the rest itself
        write_cruft(context)
        if os.environ.get("TEMPLATE_REGENERATE") != "1":
            print(next_steps(context))


if __name__ == "__main__":
    # As pairs, because tojson would sort the questions; why it is safe: see pre_gen_project.py.
    main(dict(json.loads(r""" {{ cookiecutter.items() | list | tojson }} """)))
