"""System checks: a mistyped or outdated setting is silently ignored by its library, but not here."""

from collections.abc import Iterator
from typing import Any

from allauth.account.app_settings import AppSettings
from dj_rest_auth.app_settings import DEFAULTS as REST_AUTH_DEFAULTS
from django.conf import settings
from django.core.checks import WARNING, CheckMessage, Error, register
from rest_framework_simplejwt.settings import DEFAULTS as SIMPLE_JWT_DEFAULTS

# Settings of the libraries that these ones grew out of: nothing reads them any more.
DEAD = (
    "REST_USE_JWT",
    "JWT_AUTH",
    "JWT_AUTH_COOKIE",
    "REST_AUTH_SERIALIZERS",
    "REST_SESSION_LOGIN",
)
# Settings of former versions that nothing reads any more.
REMOVED = ("SESSION_LIVENESS_CACHE_SECONDS",)
HEADERS = "auth_core.http.middleware.SecurityHeadersMiddleware"
# ACCOUNT_* settings that allauth reads elsewhere than in its AppSettings.
OTHER_ACCOUNT_SETTINGS = {"USER_DISPLAY", "LOGOUT_ON_GET"}


def _unknown() -> Iterator[str]:
    for name, known in (("REST_AUTH", REST_AUTH_DEFAULTS), ("SIMPLE_JWT", SIMPLE_JWT_DEFAULTS)):
        yield from (f'{name}["{key}"]' for key in getattr(settings, name, {}) if key not in known)
    for name in dir(settings):
        key = name.removeprefix("ACCOUNT_")
        if key != name and not (hasattr(AppSettings, key) or key in OTHER_ACCOUNT_SETTINGS):
            yield name
    yield from (name for name in DEAD if hasattr(settings, name))


@register()
def unknown_settings(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    hint = "Correct the name, or remove it: its library would ignore it."
    return [Error(f"{name} is no setting.", hint=hint, id="auth_core.E003") for name in _unknown()]


@register()
def removed_settings(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    hint = "Remove it: this version does without."
    return [
        CheckMessage(WARNING, f"{name} has no effect.", hint=hint, id="auth_core.W001")
        for name in REMOVED
        if hasattr(settings, name)
    ]


@register()
def cache_inside_of_headers(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Refuse a cache of whole answers that sees them before they say `no-store` (ASVS 14.2.5)."""
    cache = "django.middleware.cache.UpdateCacheMiddleware"
    inner = settings.MIDDLEWARE[settings.MIDDLEWARE.index(HEADERS) :]
    hint = "Put it first in MIDDLEWARE, as Django's documentation has it."
    return [Error(f"{cache} is behind {HEADERS}.", hint=hint, id="auth_core.E005")] * (
        cache in inner
    )
