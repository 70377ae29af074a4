"""The Django application of the second factor."""

from django.apps import AppConfig
from django.contrib import admin


class MFAConfig(AppConfig):
    name = "auth_core.features.mfa"
    label = "auth_mfa"
    verbose_name = "Second factors"

    def ready(self) -> None:
        from auth_core.accounts.signals import account_recovered

        from . import checks  # noqa: F401 - it registers itself
        from .admin import SecondFactorLoginForm
        from .services import remove_of_unclaimed

        account_recovered.connect(remove_of_unclaimed)

        admin.site.login_form = SecondFactorLoginForm
        admin.site.login_template = "mfa/admin_login.html"
