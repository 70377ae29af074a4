"""Writes the secrets of an environment: `python -m auth_core.secrets_file .env` (`-` prints them)."""

import secrets
import sys
from pathlib import Path

from auth_core import features, policy
from auth_core.sessions.keys import Key

HEADER = "# Secrets and addresses of this machine: ignored by git, never overwritten. See .env.example.\n"


def new_secrets() -> str:
    signing_key = Key.generate(policy.SIGNING_ALGORITHM)
    made = {
        "SECRET_KEY": secrets.token_urlsafe(64),
        "AUTH_SIGNING_KEYS": str(signing_key),
        **features.new_secrets(),
    }
    return "".join(f"{name}={value}\n" for name, value in made.items())


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
