"""Update this project with the newest release of its template; needs git and uv.

Takes what `regenerate update` takes besides, like --branch or --dry-run. Exit codes: 0 merged, or
nothing to do, 1 conflicts, 2 refused.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).resolve().parent.parent
SHORT: Final = {"gh": "github.com", "gl": "gitlab.com", "bb": "bitbucket.org"}


def address_of(recorded: str) -> str:
    """Spell the address of the template so that git and uv read it alike."""
    if Path(recorded).is_absolute():
        return Path(recorded).as_uri()
    if short := re.fullmatch(r"(gh|gl|bb):(.+)", recorded):
        return f"https://{SHORT[short[1]]}/{short[2]}"
    if over_ssh := re.fullmatch(r"(?:ssh://)?(\w+@)([\w.-]+)[:/](.+)", recorded):
        user, host, path = over_ssh.groups()
        # Continuous integration has no key, and needs none for a public template.
        return f"https://{host}/{path}" if os.environ.get("CI") else f"ssh://{user}{host}/{path}"
    return recorded


def newest(address: str) -> str | None:
    """Return the tag of the newest release; a pre-release is none."""
    ask = ["git", "ls-remote", "--tags", "--refs", "--", address]
    listed = subprocess.run(ask, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603
    tags = re.findall(r"refs/tags/(v?(\d+)\.(\d+)\.(\d+))$", listed, re.MULTILINE)
    return max(tags, key=lambda tag: tuple(map(int, tag[1:])), default=(None,))[0]


def main(arguments: list[str]) -> int:
    """Run the newest release's own `regenerate update`."""
    address = address_of(json.loads((PROJECT / ".cruft.json").read_text("utf-8"))["template"])
    uvx = shutil.which("uvx") or shutil.which("uvx", path=Path(sys.executable).parent)
    if uvx is None:
        print("update: uv is needed: https://docs.astral.sh/uv/", file=sys.stderr)
        return 2
    try:
        tag = newest(address)
    except subprocess.CalledProcessError:
        print(f"update: the releases of {address} cannot be listed", file=sys.stderr)
        return 2
    if tag is None:
        print(f"{address} has no release yet.")
        return 0
    command = [uvx, "--from", f"git+{address}@{tag}", "regenerate", "update", str(PROJECT)]
    command += ["--template", address, *arguments]
    return subprocess.run(command, check=False).returncode  # noqa: S603


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
