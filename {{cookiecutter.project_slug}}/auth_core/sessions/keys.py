"""The key ring that signs tokens: the first key signs, every key verifies (RFC 7515, RFC 7517).

Kept in AUTH_SIGNING_KEYS, apart from SECRET_KEY: a comma-separated list of `ALGORITHM:KEY`,
KEY being base64url of 32 random bytes (HS256) or of a private key in PKCS #8 DER.
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from jwt import PyJWTError, get_algorithm_by_name

ALGORITHMS = ("HS256", "EdDSA", "ES256", "RS256")
HMAC_BYTES = 32
RSA_BITS = 3072
# RFC 7638: the members that make a thumbprint.
THUMBPRINT_MEMBERS = {
    "RSA": ("e", "kty", "n"),
    "EC": ("crv", "kty", "x", "y"),
    "OKP": ("crv", "kty", "x"),
}


def encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


class WeakKey(ImproperlyConfigured):
    """A key of the ring is malformed, too short, or of another algorithm than it says."""


def _random_key(algorithm: str) -> bytes:
    if algorithm == "HS256":
        return secrets.token_bytes(HMAC_BYTES)
    private: Any = {
        "EdDSA": ed25519.Ed25519PrivateKey.generate,
        "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS),
    }[algorithm]()
    der: bytes = private.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return der


@dataclass(frozen=True)
class Key:
    algorithm: str
    text: str

    @classmethod
    def generate(cls, algorithm: str) -> "Key":
        key = cls(algorithm, encode(_random_key(algorithm)))
        # The command line would take such a kid for an option.
        return cls.generate(algorithm) if key.kid.startswith("-") else key

    @classmethod
    def parse(cls, entry: str) -> "Key":
        algorithm, _, text = entry.partition(":")
        if algorithm not in ALGORITHMS:
            raise WeakKey(f"an entry begins with none of {', '.join(ALGORITHMS)}")
        key = cls(algorithm, text)
        key.check()
        return key

    def check(self) -> None:
        """Refuse what is too weak to sign with (ASVS 11.2.3: 128 bits of security; RFC 7518, 3.2)."""
        try:
            secret = self.signing
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise WeakKey(f"a {self.algorithm} key is not base64url of a key") from error
        sound = {
            "HS256": lambda: len(secret) >= HMAC_BYTES and len(set(secret)) > HMAC_BYTES // 4,
            "EdDSA": lambda: isinstance(secret, ed25519.Ed25519PrivateKey),
            "ES256": lambda: (
                isinstance(secret, ec.EllipticCurvePrivateKey)
                and isinstance(secret.curve, ec.SECP256R1)
            ),
            "RS256": lambda: isinstance(secret, rsa.RSAPrivateKey) and secret.key_size >= RSA_BITS,
        }[self.algorithm]()
        if not sound:
            raise WeakKey(f"a {self.algorithm} key is too weak or of another kind")
        try:
            # PyJWT would refuse at the first login: a public key as an HMAC secret, for one.
            get_algorithm_by_name(self.algorithm).prepare_key(secret)
        except PyJWTError as error:
            raise WeakKey(f"a {self.algorithm} key is of another kind") from error

    @cached_property
    def signing(self) -> Any:
        raw = decode(self.text)
        return raw if self.symmetric else serialization.load_der_private_key(raw, password=None)

    @cached_property
    def verifying(self) -> Any:
        return self.signing if self.symmetric else self.signing.public_key()

    @property
    def symmetric(self) -> bool:
        return self.algorithm == "HS256"

    @cached_property
    def kid(self) -> str:
        """The RFC 7638 thumbprint; for a secret key a keyed digest, which says nothing of the key."""
        if self.symmetric:
            return encode(hmac.digest(self.signing, b"kid", "sha256"))[:22]
        jwk = self.public_jwk
        members = {name: jwk[name] for name in THUMBPRINT_MEMBERS[jwk["kty"]]}
        canonical_json = json.dumps(members, sort_keys=True, separators=(",", ":"))
        return encode(hashlib.sha256(canonical_json.encode()).digest())

    @cached_property
    def public_jwk(self) -> dict[str, str]:
        algorithm: Any = get_algorithm_by_name(self.algorithm)
        jwk = algorithm.to_jwk(self.verifying, as_dict=True)
        return {name: value for name, value in jwk.items() if isinstance(value, str)}

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.text}"

    def __repr__(self) -> str:
        return f"<Key {self.algorithm} {self.kid}>"


class KeyRing:
    def __init__(self, entries: Sequence[str]) -> None:
        if not entries:
            raise WeakKey("the ring is empty")
        self.keys = {key.kid: key for key in map(Key.parse, entries)}
        if len({key.symmetric for key in self.keys.values()}) > 1:
            raise WeakKey("HS256 stands beside a public-key algorithm; use one family")
        self.signer = next(iter(self.keys.values()))

    def reuses(self, secret: str) -> bool:
        """Say whether a key is another secret, or a part of it, as it stands or encoded."""
        for key in self.keys.values():
            raw, other = decode(key.text), secret.encode()
            if raw in other or encode(raw) in secret or other in raw or secret in key.text:
                return True
        return False

    def find(self, kid: object) -> Key | None:
        return self.keys.get(kid) if isinstance(kid, str) else None

    @property
    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """The public keys for other services (RFC 7517); none when the keys are secret."""
        return {
            "keys": [
                {**key.public_jwk, "kid": key.kid, "use": "sig", "alg": key.algorithm}
                for key in self.keys.values()
                if not key.symmetric
            ]
        }


@lru_cache(maxsize=8)
def _ring(entries: tuple[str, ...]) -> KeyRing:
    return KeyRing(entries)


def key_ring() -> KeyRing:
    """The ring of the running settings; parsed once."""
    return _ring(tuple(settings.AUTH_SIGNING_KEYS))
