"""The Django application of the accounts."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "auth_core.accounts"
    label = "auth_accounts"
    verbose_name = "Accounts"
