"""The Django application of these parts of pages."""

from typing import Any

from django.apps import AppConfig
from django.conf import settings

from auth_core.features.pages.extensions import Extension


class PasskeysPagesConfig(Extension, AppConfig):
    name = "auth_core.features.passkeys.pages"
    label = "auth_passkeys_pages"
    verbose_name = "Pages of the passkeys"
    slots = {
        "login": "pages/passkeys_login.html",
        "step": "pages/passkeys_step.html",
        "account": "pages/passkeys_account.html",
        "reauthenticate": "pages/passkeys_reauthenticate.html",
    }

    def context(self) -> dict[str, Any]:
        # Of a feature: mypy reads the kernel's.
        return {"passkey_origin": settings.PASSKEY_ORIGINS[0]}  # type: ignore[misc]
