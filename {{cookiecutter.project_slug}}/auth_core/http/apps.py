"""The Django applications of the HTTP layer: its checks, and Django's admin with our site."""

from django.apps import AppConfig
from django.conf import settings
from django.contrib.admin import apps as admin
from django.db.models.signals import post_save

from auth_core import env


class HttpConfig(AppConfig):
    name = "auth_core.http"
    label = "auth_http"
    verbose_name = "HTTP layer"

    def ready(self) -> None:
        from . import checks  # noqa: F401 - they register themselves

        # The team's settings have the last word, but not here: a server runs no system checks.
        if settings.PRODUCTION and settings.DEBUG:
            env.refuse("DEBUG", "is on in production", "remove it from config/settings_team.py")


class AdminConfig(admin.AdminConfig):
    default = False  # of this module; Django's own says True
    default_site = "auth_core.http.admin.AdminSite"

    def ready(self) -> None:
        super().ready()
        from .admin import record_log_entry

        post_save.connect(record_log_entry, sender="admin.LogEntry")
