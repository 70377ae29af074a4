"""The Django application of the logins at other providers."""

from django.apps import AppConfig


class SocialConfig(AppConfig):
    name = "auth_core.features.social"
    label = "auth_social"
    verbose_name = "Logins at other providers"

    def ready(self) -> None:
        from auth_core.accounts.signals import account_recovered

        from .services import end_of_recovered

        account_recovered.connect(end_of_recovered)
