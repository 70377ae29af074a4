"""How random secrets are stored, as a hash that opens nothing, and how codes are read."""

import hashlib


def digest(secret: str) -> str:
    """Hash what has 112 random bits or more: a plain hash protects it, and costs a request nothing.

    (ASVS 6.5.2, 11.5.1; NIST SP 800-63B-4, 3.1.2.2.) What can be guessed needs more.
    """
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def normalized(code: str) -> str:
    """Return a code without what people and apps put in between, in one letter case."""
    return code.replace(" ", "").replace("-", "").lower()
