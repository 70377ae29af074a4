"""DRF authentication by the Authorization header or else by the access cookie."""

from typing import Any

from rest_framework.request import Request

from auth_core.sessions.authentication import SessionTokenAuthentication
from auth_core.sessions.models import AuthSession, Delivery
from auth_core.sessions.services import live_session, restrict

from . import csrf
from .delivery import read_cookie


class CookieAuthentication(SessionTokenAuthentication):
    """Where both come, the token in the header counts alone: it was sent on purpose."""

    def authenticate(self, request: Request) -> tuple[Any, AuthSession] | None:  # type: ignore[override]
        # A header of another scheme, such as a proxy's Basic, holds no token of ours.
        if self.header_token(request) is not None:
            return super().authenticate(request)
        in_cookie = read_cookie(request, "access")
        if in_cookie is None:
            return None
        session = live_session(in_cookie, Delivery.COOKIE)
        csrf.require_proof(request, str(session.pk))
        restrict(session, request)
        return session.user, session
