"""DRF authentication by the Authorization header or else by the access cookie."""

from typing import Any

from rest_framework.request import Request

from auth_core.sessions.authentication import SessionTokenAuthentication
from auth_core.sessions.models import AuthSession, Delivery
from auth_core.sessions.services import live_session

from . import csrf
from .delivery import cookie_name


class CookieAuthentication(SessionTokenAuthentication):
    """Where both come, the header counts: it was sent on purpose."""

    def authenticate(self, request: Request) -> tuple[Any, AuthSession] | None:  # type: ignore[override]
        in_cookie = request.COOKIES.get(cookie_name("access"))
        if self.get_header(request) is not None or in_cookie is None:
            return super().authenticate(request)
        session = live_session(in_cookie, Delivery.COOKIE)
        csrf.require_proof(request, str(session.pk))
        return session.user, session
