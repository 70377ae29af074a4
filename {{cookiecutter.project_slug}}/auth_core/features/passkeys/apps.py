"""The Django application of the passkeys."""

from django.apps import AppConfig


class PasskeysConfig(AppConfig):
    name = "auth_core.features.passkeys"
    label = "auth_passkeys"
    verbose_name = "Passkeys"

    def ready(self) -> None:
        from auth_core.accounts.signals import account_recovered

        from .services import ask_for_password_of_recovered

        account_recovered.connect(ask_for_password_of_recovered)
