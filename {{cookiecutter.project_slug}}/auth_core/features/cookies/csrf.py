"""CSRF proof: the origin of the request, and a token bound to the session (OWASP: signed double submit)."""

import secrets
from typing import Any

from django.conf import settings
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import PermissionDenied, UnsupportedMediaType
from rest_framework.request import Request

from auth_core.http import origins

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


def make_token(session_id: str) -> str:
    """Make a token for one session; an empty id stands for nobody logged in yet."""
    nonce = secrets.token_urlsafe(16)
    return f"{nonce}.{_mac(session_id, nonce)}"


def _mac(session_id: str, nonce: str, secret: str | None = None) -> str:
    value = f"{session_id}:{nonce}"
    return salted_hmac("auth_core.features.cookies", value, secret, algorithm="sha256").hexdigest()


def require_proof(request: Request, *session_ids: str) -> None:
    """Refuse an unsafe request without the proof for one of the sessions (ASVS 3.5.1, 3.5.2).

    Raises PermissionDenied (403) with the code csrf_failed, and UnsupportedMediaType (415) for a
    body that the view does not parse, also where it would never have read it: forms need no leave.
    """
    if request.method in SAFE_METHODS:
        return
    if request.content_type and not _is_parsed(request):
        raise UnsupportedMediaType(request.content_type)
    nonce, _dot, mac = request.headers.get("X-CSRF-Token", "").partition(".")
    genuine = any(
        constant_time_compare(mac, _mac(sid, nonce, secret))
        for sid in session_ids
        for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    )
    if not genuine or not _comes_from_us(request):
        raise PermissionDenied(_("The CSRF proof is missing or wrong."), code="csrf_failed")


def _is_parsed(request: Any) -> bool:
    return bool(request.negotiator.select_parser(request, request.parsers))


def _comes_from_us(request: Request) -> bool:
    """Compare Origin with our own and those that CORS allows; without it, believe Sec-Fetch-Site."""
    origin = request.headers.get("Origin")
    if origin is None:
        # Neither comes from a client that is no browser, which sends no cookie unasked.
        return request.headers.get("Sec-Fetch-Site") in (None, "same-origin", "none")
    return origin == f"{request.scheme}://{request.get_host()}" or origins.is_ours(origin)
