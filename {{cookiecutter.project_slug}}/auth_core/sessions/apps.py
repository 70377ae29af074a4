"""The Django application of the sessions."""

from django.apps import AppConfig
from django.conf import settings
from django.db.models.signals import post_delete, post_save


class SessionsConfig(AppConfig):
    name = "auth_core.sessions"
    label = "auth_sessions"
    verbose_name = "Login sessions"

    def ready(self) -> None:
        from auth_core.accounts.signals import account_recovered, accounts_deactivated

        from . import schema  # noqa: F401 - it registers itself
        from .lookup import forget_owner
        from .services import end_of_deactivated, end_of_recovered

        accounts_deactivated.connect(end_of_deactivated)
        account_recovered.connect(end_of_recovered)
        for changed in (settings.AUTH_USER_MODEL, "auth_sessions.AuthSession"):
            post_save.connect(forget_owner, sender=changed)
            post_delete.connect(forget_owner, sender=changed)
