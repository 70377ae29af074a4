"""What the second factor needs in the environment: `make secret` and `make install` write it."""

from .encryption import new_key


def new_secrets() -> dict[str, str]:
    return {"MFA_ENCRYPTION_KEYS": new_key()}
