"""The Django application of this part of the pages."""

from django.apps import AppConfig

from auth_core.features.pages.extensions import Extension


class LoginByCodePagesConfig(Extension, AppConfig):
    name = "auth_core.features.login_by_code.pages"
    label = "auth_login_by_code_pages"
    verbose_name = "Pages of the logins by an e-mailed code"
    slots = {"login": "pages/login_by_code.html"}
