"""The Django application of the sessions."""

from django.apps import AppConfig


class SessionsConfig(AppConfig):
    name = "auth_core.sessions"
    label = "auth_sessions"
    verbose_name = "Login sessions"

    def ready(self) -> None:
        from . import schema  # noqa: F401 - it registers itself
