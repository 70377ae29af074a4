"""The Django application of the logins by an e-mailed code."""

from django.apps import AppConfig


class LoginByCodeConfig(AppConfig):
    name = "auth_core.features.login_by_code"
    label = "auth_login_by_code"
    verbose_name = "Logins by an e-mailed code"
