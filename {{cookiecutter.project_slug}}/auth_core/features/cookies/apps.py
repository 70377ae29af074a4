"""The Django application of the cookies."""

from django.apps import AppConfig


class CookiesConfig(AppConfig):
    name = "auth_core.features.cookies"
    label = "auth_cookies"
    verbose_name = "Token cookies"

    def ready(self) -> None:
        from . import schema  # noqa: F401 - it registers itself
        from .samesite import refuse_none_without_frontends

        refuse_none_without_frontends()
