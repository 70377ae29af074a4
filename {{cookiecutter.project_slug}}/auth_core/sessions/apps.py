"""The Django application of the sessions."""

from django.apps import AppConfig
from django.conf import settings
from django.db.models.signals import post_save


class SessionsConfig(AppConfig):
    name = "auth_core.sessions"
    label = "auth_sessions"
    verbose_name = "Login sessions"

    def ready(self) -> None:
        from auth_core import primary

        from . import schema  # noqa: F401 - it registers itself
        from .services import end_if_deactivated

        primary.install()
        post_save.connect(end_if_deactivated, sender=settings.AUTH_USER_MODEL)
