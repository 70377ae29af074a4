"""System check: cookies may cross sites only to frontends that are named, and with the CSRF proof."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from rest_framework.settings import api_settings

from .authentication import CookieAuthentication
from .delivery import samesite


@register()
def samesite_none(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Refuse SameSite=None without an allow-list or without our CSRF proof (ASVS 3.3.2)."""
    chosen = samesite()
    classes: Any = api_settings.DEFAULT_AUTHENTICATION_CLASSES
    proof = all(
        issubclass(each, CookieAuthentication) or not getattr(each, "reads_cookies", True)
        for each in classes
    )
    if chosen in ("Lax", "Strict") or (
        chosen == "None" and settings.CORS_ALLOWED_ORIGINS and proof
    ):
        return []
    return [
        Error(
            f"TOKEN_COOKIE_SAMESITE is {chosen!r}.",
            hint='Choose "Lax" or "Strict"; "None" needs the frontends in CORS_ALLOWED_ORIGINS '
            "and CookieAuthentication alone.",
            id="auth_cookies.E001",
        )
    ]
