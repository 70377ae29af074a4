"""Sends, reads and clears the token cookies."""

from typing import Any

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

TOKEN_CLASSES: dict[str, type[SessionToken]] = {"refresh": RefreshToken, "access": AccessToken}
# Of an access token that is dead while its session may live.
DEAD_ALONE = ("token_not_valid", "token_expired")


def cookie_name(kind: str) -> str:
    """Return the cookie's name, which is of this project: cookies know no port (RFC 6265, 8.5).

    The prefix ties it to this host and https (RFC 6265bis, 4.1.3.2).
    """
    return _of_host(f"{policy.PROJECT_SLUG}-{kind}")


def former_name(kind: str) -> str:
    """Return the name of former versions, which other projects on this host may use, too.

    It is read for as long as their cookies live, one refresh lifetime, and never written.
    """
    return _of_host(kind)


def _of_host(name: str) -> str:
    return f"__Host-{name}" if settings.PRODUCTION else name


def samesite() -> Any:
    chosen: Any = settings.TOKEN_COOKIE_SAMESITE  # type: ignore[misc] # of a feature: mypy reads the kernel's
    return chosen


def read_cookie(request: Request, kind: str) -> str | None:
    """Return a token cookie, and note that the request stands on it: `clear` takes no other away."""
    token = _token_of(request, kind)
    if token is not None:
        _cookies_read(request).add(kind)
    return token


def _token_of(request: Any, kind: str) -> str | None:
    """Return a token cookie; by its former name where there is none by the new ones, and it is ours."""
    if any(cookie_name(it) in request.COOKIES for it in TOKEN_CLASSES):
        token: str | None = request.COOKIES.get(cookie_name(kind))
        return token
    return _former_token_of(request, kind)


def _former_token_of(request: Any, kind: str) -> str | None:
    token: str | None = request.COOKIES.get(former_name(kind))
    return token if _claims_of(kind, token) else None


def _claims_of(kind: str, token: str | None) -> SessionToken | None:
    """Return a genuine token of ours that has not expired, or None."""
    try:
        return TOKEN_CLASSES[kind](token) if token else None  # type: ignore[arg-type]
    except TokenError:
        return None


def _cookies_read(request: Request) -> set[str]:
    kinds: set[str] = request._request.__dict__.setdefault("_token_cookies_read", set())
    return kinds


def session_id_of(request: Any) -> str:
    """Return the id of the session that the cookies belong to, or an empty string."""
    for kind in TOKEN_CLASSES:
        claims = _claims_of(kind, _token_of(request, kind))
        if claims is not None:
            return str(claims["sid"])
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
        """Return a cookie, where cookies were asked for, to whoever has the proof of its session."""
        if self.of(request) != Delivery.COOKIE:
            return None
        token = read_cookie(request, kind)
        if token is not None:
            csrf.require_proof(request, session_id_of(request))
        return token

    def body(self, pair: Any) -> dict[str, Any]:
        body = super().body(pair)
        if pair.session.delivery != Delivery.COOKIE:
            return body
        del body["access"], body["refresh"]
        return {**body, "csrf_token": csrf.make_token(str(pair.session.pk))}

    def attach(self, request: Any, response: Response, pair: Any) -> Response:
        if pair.session.delivery == Delivery.COOKIE:
            for kind, token in (("access", pair.access), ("refresh", pair.refresh)):
                seconds = token["exp"] - int(timezone.now().timestamp())
                self._set(request, response, kind, str(token), max(0, seconds))
        return response

    @staticmethod
    def _set(request: Any, response: Response, kind: str, value: str = "", age: int = 0) -> None:
        """Set a cookie, or expire it; one by its former name goes with it, if it was ours."""
        cookies = {cookie_name(kind): (value, age)}
        if _former_token_of(request, kind):
            cookies[former_name(kind)] = ("", 0)
        for name, (content, max_age) in cookies.items():
            # delete_cookie would drop HttpOnly.
            response.set_cookie(
                name,
                content,
                max_age=max_age,
                path="/",
                secure=settings.PRODUCTION,
                httponly=True,
                samesite=samesite(),
            )

    def clear(self, request: Any, response: Response) -> Response:
        """Delete the cookies that the request stood on: after a logout (200), or the dead ones (401).

        A live refresh cookie survives its access cookie, or nobody would stay logged in; and the
        refusal of a token in a header or a body touches no cookie.
        """
        read = _cookies_read(request)
        refused = response.status_code == 401
        if not read:
            return response
        alone = refused and response.data["code"] in DEAD_ALONE and "refresh" not in read
        for kind in ("access",) if alone else ("access", "refresh"):
            self._set(request, response, kind)
        if not refused:
            # Never "cookies": those of every host of the domain would go.
            response["Clear-Site-Data"] = '"storage"'
        return response
