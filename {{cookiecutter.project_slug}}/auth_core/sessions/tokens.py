"""Access and refresh tokens: simplejwt's token classes, signed and checked with the key ring.

Access:  header {typ: at+jwt, alg, kid}, claims iss, aud, sub, sid, iat, exp, jti,
         auth_time, acr, amr (RFC 9068); no personal data.
Refresh: header {typ: rt+jwt, alg, kid}, claims iss, aud, sub, sid, gen, iat, exp, jti.
"""

import json
import re
import time
import uuid
from typing import Any, Self

import jwt
from django.utils.translation import gettext_lazy as _
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import (
    TokenBackendError,
    TokenBackendExpiredToken,
    TokenError,
)
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import Token

from auth_core.digests import digest

from .keys import KeyRing, decode, key_ring
from .models import AuthSession

# Longer than any token of ours, short enough to cost nothing to refuse.
MAX_TOKEN_LENGTH = 4096
# RFC 7515, 7.1, without the padding that the libraries forgive: a token has one spelling.
COMPACT = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+){2}")
JTI = re.compile(r"[0-9a-f]{32}[0-9]{0,10}")
LATEST_TIME = 2**33


def _is_time(value: object) -> bool:
    return type(value) is int and 0 < value < LATEST_TIME


def _is_uuid(value: object) -> bool:
    try:
        return isinstance(value, str) and str(uuid.UUID(value)) == value
    except ValueError:
        return False


def _is_jti(value: object) -> bool:
    return isinstance(value, str) and JTI.fullmatch(value) is not None


def _unambiguous(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a JSON object that names a member twice: readers disagree on which counts (RFC 7519, 4)."""
    if len(dict(members)) != len(members):
        raise ValueError("a name stands twice")
    return dict(members)


def _read_object(text: bytes) -> dict[str, Any]:
    read = json.loads(text, object_pairs_hook=_unambiguous)
    if not isinstance(read, dict):
        raise ValueError("not a JSON object")
    return read


class UnambiguousJWT(jwt.PyJWT):
    """PyJWT, which would let the last of two claims of a name count."""

    def _decode_payload(self, decoded: dict[str, Any]) -> dict[str, Any]:
        return _read_object(decoded["payload"])


read_token = UnambiguousJWT().decode


def _is_generation(value: object) -> bool:
    return type(value) is int and 0 <= value < LATEST_TIME


class KeyRingBackend(TokenBackend):
    """Signs with the ring's first key, verifies with the one that `kid` names and its one algorithm."""

    def __init__(self, typ: str, claims: dict[str, Any]) -> None:
        self.typ = typ
        self.claims = claims
        self.issuer = api_settings.ISSUER
        self.audience = api_settings.AUDIENCE
        self.leeway = api_settings.LEEWAY

    def encode(self, payload: dict[str, Any]) -> str:
        key = key_ring().signer
        return jwt.encode(
            {**payload, "iss": self.issuer, "aud": self.audience},
            key.signing,
            algorithm=key.algorithm,
            headers={"typ": self.typ, "kid": key.kid},
        )

    def decode(self, token: Any, verify: bool = True) -> dict[str, Any]:
        """Return the claims of a valid token, which are of the expected types."""
        try:
            return self._decode(token.decode() if isinstance(token, bytes) else token)
        except jwt.ExpiredSignatureError as error:
            raise TokenBackendExpiredToken(_("Token is expired")) from error
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            raise TokenBackendError(_("Token is invalid")) from error

    def _decode(self, text: str) -> dict[str, Any]:
        if len(text) > MAX_TOKEN_LENGTH or not COMPACT.fullmatch(text):
            raise jwt.DecodeError("too long or malformed")
        header = _read_object(decode(text.partition(".")[0]))
        key = key_ring().find(header.get("kid"))
        if key is None or header.get("typ") != self.typ:
            raise jwt.InvalidTokenError("unknown key or type")
        payload = read_token(
            text,
            key.verifying,
            algorithms=[key.algorithm],
            audience=self.audience,
            issuer=self.issuer,
            leeway=self.get_leeway(),
            options={"require": ["iss", "aud", *self.claims]},
        )
        sound = all(check(payload[claim]) for claim, check in self.claims.items())
        # Optional (RFC 7519, 4.1.5), but a time where it stands.
        if not sound or not _is_time(payload.get("nbf", payload["iat"])):
            raise jwt.InvalidTokenError("a claim is of the wrong type")
        return payload


class RememberingBackend(KeyRingBackend):
    """Checks the signature of a token once in a process, and its time whenever it is used.

    Remembers tokens by their digests: what reads the memory finds none that it could use.
    """

    AT_MOST = 2_000

    def __init__(self, typ: str, claims: dict[str, Any]) -> None:
        super().__init__(typ, claims)
        self._verified: dict[tuple[KeyRing, str], dict[str, Any]] = {}

    def _decode(self, text: str) -> dict[str, Any]:
        key = key_ring(), digest(text)
        payload = self._verified.get(key)
        if payload is None:
            payload = super()._decode(text)
            if len(self._verified) >= self.AT_MOST:
                self._verified.clear()
            self._verified[key] = payload
        elif payload["exp"] <= time.time() - self.get_leeway().total_seconds():
            raise jwt.ExpiredSignatureError
        return payload.copy()


CLAIMS: dict[str, Any] = {
    "exp": _is_time,
    "iat": _is_time,
    "jti": _is_jti,
    "sub": _is_uuid,
    "sid": _is_uuid,
}


class SessionToken(Token):
    """A token of one session."""

    backend: KeyRingBackend

    def get_token_backend(self) -> TokenBackend:
        return self.backend

    @classmethod
    def for_session(cls, session: AuthSession) -> Self:
        token = cls()
        token["sub"] = str(session.user_id)
        token["sid"] = str(session.pk)
        return token

    @classmethod
    def for_user(cls, user: Any) -> Any:
        """Refused: a token without a session could not be revoked."""
        raise TokenError(_("Tokens are made by auth_core.sessions.services.start_session"))


class AccessToken(SessionToken):
    token_type = "access"
    lifetime = api_settings.ACCESS_TOKEN_LIFETIME
    backend = RememberingBackend("at+jwt", CLAIMS)

    @classmethod
    def for_session(cls, session: AuthSession) -> Self:
        token = super().for_session(session)
        # Other services believe a token until then: not beyond the session's end.
        token["exp"] = min(token["exp"], int(session.expires_at.timestamp()))
        # For them, too (RFC 9068, 2.2.1); here the session's row counts.
        token["auth_time"] = int(session.auth_time.timestamp())
        token["acr"], token["amr"] = session.acr, session.amr
        return token


class RefreshToken(SessionToken):
    """Made from the session row alone, so that concurrent callers get the same one without storing it."""

    token_type = "refresh"
    lifetime = api_settings.REFRESH_TOKEN_LIFETIME
    backend = KeyRingBackend("rt+jwt", {**CLAIMS, "gen": _is_generation})

    @classmethod
    def for_session(cls, session: AuthSession) -> Self:
        token = super().for_session(session)
        token["gen"] = session.generation
        token["jti"] = f"{session.pk.hex}{session.generation}"
        token.set_iat(at_time=session.rotated_at)
        token["exp"] = int(session.expires_at.timestamp())
        return token
