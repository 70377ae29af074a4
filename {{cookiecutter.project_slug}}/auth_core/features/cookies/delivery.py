"""Sends and reads the token cookies."""

from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework_simplejwt.exceptions import TokenError

from auth_core import policy
from auth_core.sessions.delivery import HeaderDelivery
from auth_core.sessions.models import Delivery
from auth_core.sessions.tokens import AccessToken, RefreshToken, SessionToken

from . import csrf

SAMESITE: Final = "Lax"


def cookie_name(kind: str) -> str:
    """Return the cookie's name; the prefix ties it to this host and https (RFC 6265bis, 4.1.3.2)."""
    return f"__Host-{kind}" if settings.PRODUCTION else kind


def session_id_of(request: Any) -> str:
    """Return the id of the session that the cookies belong to, or an empty string."""
    kinds: dict[str, type[SessionToken]] = {"refresh": RefreshToken, "access": AccessToken}
    for kind, token_class in kinds.items():
        try:
            return str(token_class(request.COOKIES[cookie_name(kind)])["sid"])
        except (KeyError, TokenError):
            continue
    return ""


class CookieDelivery(HeaderDelivery):
    """Cookies for every client, or, with both ways, for those that send X-Token-Delivery: cookie."""

    def of(self, request: HttpRequest | Request) -> Delivery:
        asked = request.headers.get("X-Token-Delivery") == "cookie"
        return Delivery.COOKIE if asked or policy.TOKEN_DELIVERY == "cookie" else Delivery.HEADER

    def check(self, request: Request) -> None:
        """Ask a proof of whoever may be given cookies; one for nobody will do (login CSRF)."""
        if self.of(request) == Delivery.COOKIE:
            csrf.require_proof(request, "", session_id_of(request))

    def access_token(self, request: Request) -> str | None:
        return self._cookie(request, "access")

    def refresh_token(self, request: Request) -> str | None:
        return self._cookie(request, "refresh")

    def _cookie(self, request: Request, kind: str) -> str | None:
        if self.of(request) != Delivery.COOKIE:
            return None
        csrf.require_proof(request, session_id_of(request))
        return request.COOKIES.get(cookie_name(kind))

    def body(self, pair: Any) -> dict[str, Any]:
        body = super().body(pair)
        if pair.session.delivery != Delivery.COOKIE:
            return body
        del body["access"], body["refresh"]
        return {**body, "csrf_token": csrf.make_token(str(pair.session.pk))}

    def attach(self, response: Response, pair: Any) -> Response:
        if pair.session.delivery == Delivery.COOKIE:
            self._set(response, "access", str(pair.access), pair.access["exp"])
            self._set(response, "refresh", str(pair.refresh), pair.refresh["exp"])
        return response

    @staticmethod
    def _set(response: Response, kind: str, value: str, expires: int) -> None:
        response.set_cookie(
            cookie_name(kind),
            value,
            max_age=max(0, expires - int(timezone.now().timestamp())),
            path="/",
            secure=settings.PRODUCTION,
            httponly=True,
            samesite=SAMESITE,
        )

    def clear(self, request: Any, response: Any) -> Any:
        names = [cookie_name(kind) for kind in ("access", "refresh")]
        if any(name in request.COOKIES for name in names):
            for name in names:
                # delete_cookie would drop HttpOnly.
                response.set_cookie(
                    name,
                    "",
                    max_age=0,
                    path="/",
                    secure=settings.PRODUCTION,
                    httponly=True,
                    samesite=SAMESITE,
                )
            if response.status_code == 200:
                response["Clear-Site-Data"] = '"cookies", "storage"'
        return response
