"""Drop what was not chosen, stamp the rest and say what to do next.

No network, secret or clock: rendering twice gives the same bytes. Git only names the template.
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
from typing import Any

Context = dict[str, Any]


def write_json(path: Path, content: Context) -> None:
    """Write as cruft does, and the same bytes on every system."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(json.dumps(content, ensure_ascii=False, indent=2).encode() + b"\n")


def manifest(context: Context) -> Context:
    """Hash every file that the template owns, so that a later edit or loss shows offline."""
    names = sorted(path.as_posix() for path in Path().rglob("*") if path.is_file())
    owned = [name for name in names if any(fnmatch(name, each) for each in context["_owned"])]
    contents = {name: Path(name).read_bytes().replace(b"\r\n", b"\n") for name in owned}
    files = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    return {"template_version": context["_template_version"], "files": files}


def git(folder: Path, *arguments: str) -> str:
    """Ask git about exactly this folder, not about one around it or in the environment."""
    git = shutil.which("git") or ""
    ask = [git, f"--git-dir={folder}/.git", *arguments]
    return git and subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip()


def cruft(context: Context) -> Context:
    """Record what `cruft create` would, so that cruft can take over from cookiecutter."""
    # `cookiecutter .` tells no more than the dot; during a hook it stands in the template.
    bases = f"/proc/{os.getppid()}/cwd", os.environ.get("PWD", ""), context["_output_dir"]
    places = [Path(base, context["_repo_dir"]) for base in bases]
    folder = next((p for p in places if (p / "cookiecutter.json").exists()), places[-1]).resolve()
    # A checkout made by CI may carry a token in its address, which must not be recorded.
    origin = re.sub("^(https?://)[^/@]+@", r"\1", git(folder, "remote", "get-url", "origin"))
    template, commit = origin or str(folder), git(folder, "rev-parse", "--verify", "HEAD") or None
    of_this_machine = ("_output_dir", "_repo_dir", "_checkout")
    answers = {name: value for name, value in context.items() if name not in of_this_machine}
    answers |= {"_template": template, "_commit": commit}
    head = {"template": template, "commit": commit, "checkout": context["_checkout"]}
    return {**head, "context": {"cookiecutter": answers}, "directory": None}


def next_steps(context: Context) -> str:
    """Return the way from here to the first user, ready to be pasted."""
    passwords = dict.fromkeys(["password1", "password2"], "correct horse battery staple")
    name = {} if context["login_with"] == "email" else {"username": "ada"}
    body, at = json.dumps(name | {"email": "ada@example.com"} | passwords), "http://127.0.0.1:8000"
    curl = f"curl -i {at}/{context['registration_url_prefix']}/ -H 'Content-Type: application/json'"
    if context["token_delivery"] == "cookie":
        token = f"""$(curl -s {at}/{context["auth_url_prefix"]}/csrf/ | cut -d'"' -f4)"""
        curl += f' -H "X-CSRF-Token: {token}"'
    first = "make admin" if context["registration"] != "open" else f"{curl} -d '{body}'"
    if context["registration"] == "invite":
        first += '      who invites the others: see "The API" in README.md'
    folder = str(Path.cwd()).removeprefix(os.environ.get("PWD", "/") + "/")
    return f"""
{context["project_slug"]} is ready:
  cd {shlex.quote(folder)}
  make run      install, migrate, serve on http://127.0.0.1:8000
  make test     the project's own tests

The first user, from another terminal:
  {first}
"""


def main(context: Context) -> None:
    """Make what cookiecutter rendered into the project that was asked for."""
    for path, kept in context["_optional"].items():
        if any(context[question] not in answers for question, answers in kept.items()):
            # A file may have gone with the folder that it is in.
            shutil.rmtree(path) if Path(path).is_dir() else Path(path).unlink(missing_ok=True)
    write_json(Path(".template/manifest.json"), manifest(context))
    if "_commit" in context:  # cruft is driving, which writes that file itself and prints diffs
        return
    write_json(Path(".cruft.json"), cruft(context))
    if os.environ.get("TEMPLATE_REGENERATE") != "1":
        sys.stdout.buffer.write(next_steps(context).encode())


if __name__ == "__main__":
    # Pairs, because tojson would sort the questions. Why this is safe: see pre_gen_project.py.
    main(dict(json.loads(r""" {{ cookiecutter.items() | list | tojson }} """)))
