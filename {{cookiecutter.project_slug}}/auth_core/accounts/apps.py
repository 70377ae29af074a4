"""The Django application of the accounts."""

from django.apps import AppConfig
from django.conf import settings
from django.db.models.signals import post_save


class AccountsConfig(AppConfig):
    name = "auth_core.accounts"
    label = "auth_accounts"
    verbose_name = "Accounts"

    def ready(self) -> None:
        from .email_change import end_of_recovered
        from .signals import account_recovered, tell_if_deactivated

        post_save.connect(tell_if_deactivated, sender=settings.AUTH_USER_MODEL)
        account_recovered.connect(end_of_recovered)
