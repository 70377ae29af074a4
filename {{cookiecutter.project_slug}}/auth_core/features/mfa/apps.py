"""The Django application of the second factor."""

from django.apps import AppConfig
from django.contrib import admin


class MFAConfig(AppConfig):
    name = "auth_core.features.mfa"
    label = "auth_mfa"
    verbose_name = "Second factors"

    def ready(self) -> None:
        from auth_core.accounts.signals import (
            account_recovered,
            accounts_deactivated,
            credential_removed,
        )

        from . import checks, disowning, services  # noqa: F401 - they register themselves
        from .admin import SecondFactorLoginForm

        account_recovered.connect(services.end_logins)
        account_recovered.connect(disowning.remove_of_recovered)
        credential_removed.connect(services.end_logins)
        accounts_deactivated.connect(services.end_logins_of_deactivated)
        admin.site.login_form = SecondFactorLoginForm
        admin.site.login_template = "mfa/admin_login.html"
