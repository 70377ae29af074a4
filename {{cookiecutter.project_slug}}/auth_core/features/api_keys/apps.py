"""The Django application of the API keys."""

from django.apps import AppConfig
from django.conf import settings
from django.db.models.signals import post_save


class ApiKeysConfig(AppConfig):
    name = "auth_core.features.api_keys"
    label = "auth_api_keys"
    verbose_name = "API keys"

    def ready(self) -> None:
        from auth_core.accounts.signals import account_recovered

        from . import checks, schema  # noqa: F401 - they register themselves
        from .services import end_if_deactivated, end_of_recovered

        post_save.connect(end_if_deactivated, sender=settings.AUTH_USER_MODEL)
        account_recovered.connect(end_of_recovered)
