"""DRF authentication by access token: `Authorization: Bearer <token>` (RFC 6750)."""

from typing import Any

from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication

from auth_core import policy

from .models import AuthSession
from .services import live_session, restrict


class SessionTokenAuthentication(JWTAuthentication):
    """Sets request.user to the session's user and request.auth to the AuthSession."""

    def authenticate(self, request: Request) -> tuple[Any, AuthSession] | None:  # type: ignore[override]
        token = self.header_token(request)
        if token is None:
            return None
        session = live_session(token)
        restrict(session, request)
        return session.user, session

    def header_token(self, request: Request) -> bytes | None:
        """Return the token of the Authorization header; its scheme is matched in any letter case."""
        header = self.get_header(request)
        if header is None:
            return None
        scheme, separator, rest = header.partition(b" ")
        if scheme.lower() == policy.AUTH_HEADER_TYPE.lower().encode():
            header = policy.AUTH_HEADER_TYPE.encode() + separator + rest
        return self.get_raw_token(header)

    def authenticate_header(self, request: Request) -> str:
        """Answer a bad token with `error`, a missing one or another scheme without (RFC 6750, 3.1)."""
        challenge = super().authenticate_header(request)
        scheme = request.headers.get("Authorization", "").partition(" ")[0]
        is_ours = scheme.lower() == policy.AUTH_HEADER_TYPE.lower()
        return f'{challenge}, error="invalid_token"' if is_ours else challenge
