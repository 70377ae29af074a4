"""The Django application of the logins by an e-mailed code."""

from django.apps import AppConfig


class LoginByCodeConfig(AppConfig):
    name = "auth_core.features.login_by_code"
    label = "auth_login_by_code"
    verbose_name = "Logins by an e-mailed code"

    def ready(self) -> None:
        from auth_core.accounts.signals import account_recovered, accounts_deactivated

        from .services import end_of_deactivated, end_of_recovered

        account_recovered.connect(end_of_recovered)
        accounts_deactivated.connect(end_of_deactivated)
