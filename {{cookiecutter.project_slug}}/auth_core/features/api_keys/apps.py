"""The Django application of the API keys."""

from django.apps import AppConfig


class ApiKeysConfig(AppConfig):
    name = "auth_core.features.api_keys"
    label = "auth_api_keys"
    verbose_name = "API keys"

    def ready(self) -> None:
        from auth_core.accounts.signals import account_recovered, accounts_deactivated

        from . import checks, schema  # noqa: F401 - they register themselves
        from .services import end_of_deactivated, end_of_recovered

        accounts_deactivated.connect(end_of_deactivated)
        account_recovered.connect(end_of_recovered)
