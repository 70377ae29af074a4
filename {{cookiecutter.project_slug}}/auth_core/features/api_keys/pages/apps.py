"""The Django application of this part of a page."""

from typing import Any

from django.apps import AppConfig
from django.conf import settings

from auth_core.features.pages.extensions import Extension


class ApiKeyPagesConfig(Extension, AppConfig):
    name = "auth_core.features.api_keys.pages"
    label = "auth_api_key_pages"
    verbose_name = "Pages of API keys"
    slots = {"account": "pages/api_keys_account.html"}

    def context(self) -> dict[str, Any]:
        # Of a feature: mypy reads the kernel's.
        return {"scopes": settings.API_KEY_SCOPES, "max_days": settings.API_KEY_MAX_DAYS}  # type: ignore[misc]
