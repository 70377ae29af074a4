"""Cookies may cross sites only to frontends that are named, and with the CSRF proof."""

from typing import Any

from corsheaders.conf import conf as cors
from rest_framework.settings import api_settings

from auth_core import env

from .authentication import CookieAuthentication
from .delivery import samesite


def refuse_none_without_frontends() -> None:
    """Stop the start where SameSite=None has no allow-list or not our CSRF proof (ASVS 3.3.2)."""
    chosen = samesite()
    classes: Any = api_settings.DEFAULT_AUTHENTICATION_CLASSES
    proof = all(
        issubclass(each, CookieAuthentication) or not getattr(each, "reads_cookies", True)
        for each in classes
    )
    listed = cors.CORS_ALLOWED_ORIGINS or cors.CORS_ALLOWED_ORIGIN_REGEXES
    if chosen not in ("Lax", "Strict") and not (chosen == "None" and listed and proof):
        env.refuse(
            "TOKEN_COOKIE_SAMESITE",
            f"is {chosen!r}",
            'choose "Lax" or "Strict"; "None" needs the frontends in CORS_ALLOWED_ORIGINS and '
            "CookieAuthentication alone",
        )
