"""Says which templates may run: those that the caller named, and the one this program is from.

Rendering runs a template's hooks and tags with the rights of the caller. So the address that a
project records is compared with addresses that the caller knows, and is never fetched itself.
"""

import json
import os
import re
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

from cookiecutter.config import BUILTIN_ABBREVIATIONS
from cookiecutter.repository import expand_abbreviations

from regenerate.git import attempt, text_of

DISTRIBUTION: Final = "cookiecutter-drf-auth"
HERE: Final = Path(__file__).resolve().parent.parent


def known(recorded: str, addresses: Iterable[str]) -> str | None:
    """Return which of the addresses the recorded one is, as the caller spells it, or None."""
    if not is_remote(recorded) and not local(recorded).startswith("/"):
        return None  # A relative path depends on where the caller is.
    return next((each for each in addresses if normal(each) == normal(recorded)), None)


def is_remote(address: str) -> bool:
    """Whether an address is of another host, by its form alone, as git decides it.

    Whether a folder of that name exists does not count: a project can have one.
    """
    url = expanded(address)
    return bool(re.match(r"(?!file:)[a-z]+://", url) or re.match(r"[^/:]+:", local(url)))


def expanded(address: str) -> str:
    """Spell out what cookiecutter abbreviates: gh:o/n is https://github.com/o/n.git."""
    url: str = expand_abbreviations(address, BUILTIN_ABBREVIATIONS)
    return url.removeprefix("git+")


def local(address: str) -> str:
    """Return the path of a folder of this machine."""
    return expanded(address).removeprefix("file://")


def absolute(address: str) -> str:
    """Return an address that means the same in every folder."""
    return expanded(address) if is_remote(address) else os.path.realpath(local(address))


def normal(address: str) -> str:
    """Spell an address so that two spellings for one repository compare equal.

    Without scheme, user and `.git`: gh:o/n, git@github.com:o/n.git and https://github.com/o/n are
    github.com/o/n. A folder of this machine is its absolute path.
    """
    url = absolute(address)
    remote = re.fullmatch(r"[a-z]+://(?:[^@/]*@)?([^/]+)/(.+)", url) or re.fullmatch(
        r"(?:[^@/:]+@)?([^/:]+):(?!//)(.+)", url
    )
    if url.startswith("/") or remote is None:
        return url
    host, path = remote.groups()
    return f"{host.lower()}/{path.strip('/').removesuffix('.git')}"


def own() -> list[str]:
    """List the addresses of the repository that this program is from: its code runs already.

    A clone has a folder and a remote; what `uvx --from git+URL` installs has that URL (PEP 610).
    """
    if (HERE / "cookiecutter.json").exists():
        remote = attempt(HERE, "remote", "get-url", "origin")
        return [str(HERE), *text_of(remote.stdout).split()]
    try:
        recorded = distribution(DISTRIBUTION).read_text("direct_url.json")
    except PackageNotFoundError:
        return []
    return [json.loads(recorded)["url"]] if recorded else []
