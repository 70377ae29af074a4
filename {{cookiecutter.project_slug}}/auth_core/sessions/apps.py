"""The Django application of the sessions."""

from django.apps import AppConfig
from django.conf import settings
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db.models.signals import post_delete, post_save


class SessionsConfig(AppConfig):
    name = "auth_core.sessions"
    label = "auth_sessions"
    verbose_name = "Login sessions"

    def ready(self) -> None:
        from . import schema  # noqa: F401 - it registers itself
        from .django_sessions import begin, end
        from .lookup import forget_owner
        from .services import end_if_deactivated

        post_save.connect(end_if_deactivated, sender=settings.AUTH_USER_MODEL)
        user_logged_in.connect(begin)
        user_logged_out.connect(end)
        for changed in (settings.AUTH_USER_MODEL, "auth_sessions.AuthSession"):
            post_save.connect(forget_owner, sender=changed)
            post_delete.connect(forget_owner, sender=changed)
