"""How secrets are stored: encrypted with Fernet (AES-128-CBC and HMAC-SHA256), as `KEY-ID:TOKEN`.

The keys are in MFA_ENCRYPTION_KEYS, apart from SECRET_KEY and from what signs tokens: the first
encrypts, the one that the id names decrypts. `manage.py reencryptmfa` follows a change of the first.
"""

from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from auth_core.digests import digest

ID_LENGTH = 8


class WeakKey(ImproperlyConfigured):
    """A key is missing, malformed or no random one."""


class DecryptionError(Exception):
    """What is to be decrypted was encrypted with a key that is not in the ring, or not by us."""


def new_key() -> str:
    return Fernet.generate_key().decode()


def key_id(key: str) -> str:
    """Name a key by a digest of it, which says nothing of its 256 random bits."""
    return digest(key)[:ID_LENGTH]


def parse_keys(keys: Sequence[str]) -> dict[str, Fernet]:
    """Return the keys by their ids, the first of which encrypts; raises WeakKey."""
    if not keys:
        raise WeakKey("is not set")
    ring = {}
    for key in keys:
        try:
            ring[key_id(key)] = Fernet(key)
        except ValueError as error:
            raise WeakKey("holds what is not base64url of 32 bytes") from error
        if len(set(key)) < 10:
            raise WeakKey("holds a key that is not random")
    return ring


def _ring() -> dict[str, Fernet]:
    return parse_keys(settings.MFA_ENCRYPTION_KEYS)  # type: ignore[misc] # of a feature: mypy reads the kernel's


def encrypt(text: str) -> str:
    name, key = next(iter(_ring().items()))
    return f"{name}:{key.encrypt(text.encode()).decode()}"


def decrypt(encrypted: str, max_age: int | None = None) -> str:
    """Return the text, of at most so many seconds; raises DecryptionError."""
    name, _, token = encrypted.partition(":")
    try:
        return _ring()[name].decrypt(token, ttl=max_age).decode()
    except (KeyError, InvalidToken) as error:
        raise DecryptionError from error


def is_current(encrypted: str) -> bool:
    """Say whether the key that encrypts now has encrypted this."""
    return encrypted.startswith(f"{next(iter(_ring()))}:")
