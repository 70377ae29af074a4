"""The Django application of these parts of pages."""

from typing import Any

from django.apps import AppConfig
from django.utils.translation import gettext

from auth_core import policy
from auth_core.features.pages.extensions import Extension

LABELS = {"google": "Google", "github": "GitHub"}


class SocialPagesConfig(Extension, AppConfig):
    name = "auth_core.features.social.pages"
    label = "auth_social_pages"
    verbose_name = "Pages of logins at other providers"
    slots = {
        "login": "pages/social_login.html",
        "account": "pages/social_account.html",
        "reauthenticate": "pages/social_reauthenticate.html",
    }
    pages = {f"social/{name}": "pages/social.html" for name in policy.SOCIAL_PROVIDERS.split(",")}

    def context(self) -> dict[str, Any]:
        names = policy.SOCIAL_PROVIDERS.split(",")
        return {"providers": {name: LABELS.get(name, gettext("single sign-on")) for name in names}}
