"""CSRF proof: the origin of the request, and a token bound to the session (OWASP: signed double submit)."""

import secrets
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


def make_token(session_id: str) -> str:
    """Make a token for one session; an empty id stands for nobody logged in yet."""
    nonce = secrets.token_urlsafe(16)
    return f"{nonce}.{_mac(session_id, nonce)}"


def _mac(session_id: str, nonce: str) -> str:
    value = f"{session_id}:{nonce}"
    return salted_hmac("auth_core.features.cookies", value, algorithm="sha256").hexdigest()


def require_proof(request: Request, *session_ids: str) -> None:
    """Refuse (403 csrf_failed) an unsafe request without the proof for one of the sessions."""
    if request.method in SAFE_METHODS:
        return
    nonce, _dot, mac = request.headers.get("X-CSRF-Token", "").partition(".")
    genuine = any(constant_time_compare(mac, _mac(sid, nonce)) for sid in session_ids)
    if not genuine or not _comes_from_us(request):
        raise PermissionDenied(_("The CSRF proof is missing or wrong."), code="csrf_failed")


def _comes_from_us(request: Request) -> bool:
    """Compare Origin with our own and the listed ones; without it, believe Sec-Fetch-Site."""
    origin = request.headers.get("Origin")
    if origin is None:
        return request.headers.get("Sec-Fetch-Site") != "cross-site"
    frontend = urlsplit(settings.FRONTEND_URL)
    return origin in {
        f"{request.scheme}://{request.get_host()}",
        f"{frontend.scheme}://{frontend.netloc}",
        *settings.CORS_ALLOWED_ORIGINS,
    }
