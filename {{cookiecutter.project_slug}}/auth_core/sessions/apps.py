"""The Django application of the sessions."""

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in, user_logged_out


class SessionsConfig(AppConfig):
    name = "auth_core.sessions"
    label = "auth_sessions"
    verbose_name = "Login sessions"

    def ready(self) -> None:
        from auth_core import primary
        from auth_core.accounts.signals import account_recovered, accounts_deactivated

        from . import schema  # noqa: F401 - it registers itself
        from .django_sessions import begin, end
        from .services import end_of_deactivated, end_of_recovered

        primary.install()
        accounts_deactivated.connect(end_of_deactivated)
        account_recovered.connect(end_of_recovered)
        user_logged_in.connect(begin)
        user_logged_out.connect(end)
