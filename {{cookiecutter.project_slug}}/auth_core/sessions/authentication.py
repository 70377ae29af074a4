"""DRF authentication by access token: `Authorization: Bearer <token>` (RFC 6750)."""

from typing import Any

from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication

from .models import AuthSession
from .services import live_session


class SessionTokenAuthentication(JWTAuthentication):
    """Sets request.user to the session's user and request.auth to the AuthSession."""

    def raw_token(self, request: Request) -> bytes | None:
        header = self.get_header(request)
        return None if header is None else self.get_raw_token(header)

    def authenticate(self, request: Request) -> tuple[Any, AuthSession] | None:  # type: ignore[override]
        token = self.raw_token(request)
        if token is None:
            return None
        session = live_session(token)
        return session.user, session
