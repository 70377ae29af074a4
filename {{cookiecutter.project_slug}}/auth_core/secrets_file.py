"""Writes the secrets of an environment: `python -m auth_core.secrets_file .env` (`-` prints them)."""

import secrets
import sys
from pathlib import Path

from auth_core import policy
from auth_core.sessions.keys import Key

HEADER = "# Secrets and addresses of this machine: ignored by git, never overwritten. See .env.example.\n"


def new_secrets() -> str:
    signing_key = Key.generate(policy.SIGNING_ALGORITHM)
    return f"SECRET_KEY={secrets.token_urlsafe(64)}\nAUTH_SIGNING_KEYS={signing_key}\n"


def main(target: str) -> None:
    if target == "-":
        sys.stdout.write(new_secrets())
        return
    path = Path(target)
    try:
        with path.open("x", encoding="utf-8") as file:
            path.chmod(0o600)
            file.write(HEADER + new_secrets())
    except FileExistsError:
        sys.stdout.write(f"{path} is kept.\n")
    else:
        sys.stdout.write(f"Wrote {path} with new random secrets.\n")


if __name__ == "__main__":
    main(sys.argv[1])
