"""The Django application of the sessions."""

from django.apps import AppConfig
from django.conf import settings
from django.contrib.auth.signals import user_logged_in, user_logged_out

from auth_core import env

ASKS_DJANGO = "django.contrib.auth.middleware.AuthenticationMiddleware"
ASKS_THE_LIST = "auth_core.sessions.django_sessions.LivingSessionMiddleware"


def refuse_unchecked_sessions() -> None:
    """Refuse a MIDDLEWARE of the team's own that would believe Django's cookie of an ended session."""
    found = [it for it in settings.MIDDLEWARE if it in (ASKS_DJANGO, ASKS_THE_LIST)]
    if found[-1:] == [ASKS_DJANGO]:
        env.refuse("MIDDLEWARE", "believes sessions that have ended", f"put {ASKS_THE_LIST} behind")


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
        refuse_unchecked_sessions()
        accounts_deactivated.connect(end_of_deactivated)
        account_recovered.connect(end_of_recovered)
        user_logged_in.connect(begin)
        user_logged_out.connect(end)
