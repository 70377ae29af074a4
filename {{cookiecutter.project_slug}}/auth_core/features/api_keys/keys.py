"""What a key looks like, so that whoever scans for leaked secrets finds it.

    myapi_key_<32 hex: the row's id>_<43 letters and digits: the secret><8 hex: CRC-32 of all before>

The secret is random, 256 bits of it, so a single SHA-256 of it is stored: a slow hash or a salt
protects what can be guessed, and would cost every request (ASVS 11.5.1; NIST SP 800-63B-4, 3.1.2.2).
The checksum tells a key from what only looks like one, and a mistyped one, without asking the database.
"""

import re
import secrets
import string
import zlib
from typing import NamedTuple
from uuid import UUID

from django.conf import settings

from auth_core.digests import digest

ALPHABET = string.ascii_letters + string.digits
# 62 ** 43 > 2 ** 256
SECRET_LENGTH = 43
# Any prefix: a project that is renamed keeps its keys.
BEGINNING = r"[a-z][a-z0-9_]*_([0-9a-f]{32})_"
FORM = re.compile(rf"({BEGINNING}([A-Za-z0-9]{{{SECRET_LENGTH}}}))([0-9a-f]{{8}})")


class SentKey(NamedTuple):
    id: UUID
    secret_hash: str


def prefix_of(key_id: UUID) -> str:
    """Return the beginning of a key, which is no secret and names it."""
    name: str = settings.API_KEY_PREFIX  # type: ignore[misc] # of a feature: mypy reads the kernel's
    return f"{name}_{key_id.hex}"


def make(key_id: UUID) -> tuple[str, str]:
    """Return a new key, to be shown once, and the hash to be stored."""
    secret = "".join(secrets.choice(ALPHABET) for _ in range(SECRET_LENGTH))
    text = f"{prefix_of(key_id)}_{secret}"
    return f"{text}{_checksum(text)}", digest(secret)


def is_meant(text: str) -> bool:
    """Say whether a text is a key, or was one before it was cut off or mistyped."""
    return bool(re.match(BEGINNING, text))


def parse(text: str) -> SentKey | None:
    """Read a key that was sent; None for what cannot be one."""
    found = FORM.fullmatch(text)
    if found is None or _checksum(found[1]) != found[4]:
        return None
    return SentKey(UUID(found[2]), digest(found[3]))


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"
