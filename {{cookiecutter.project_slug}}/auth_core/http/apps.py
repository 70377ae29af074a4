"""The Django applications of the HTTP layer: its checks, and Django's admin with our site."""

from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.contrib.admin import apps as admin
from django.db import connections
from django.db.models.signals import post_save, pre_migrate

from auth_core import dotted_paths, env


def allow_long_statements(using: str, **kwargs: Any) -> None:
    """Let a migration take its time; for a lock it waits no longer than a request, which it would block."""
    if connections[using].vendor == "postgresql":
        with connections[using].cursor() as cursor:
            cursor.execute("SET statement_timeout = 0")


class HttpConfig(AppConfig):
    name = "auth_core.http"
    label = "auth_http"
    verbose_name = "HTTP layer"

    def ready(self) -> None:
        from . import checks, origins  # noqa: F401 - the checks register themselves

        pre_migrate.connect(allow_long_statements, sender=self)
        # The team's settings have the last word, but not here: a server runs no system checks.
        if settings.PRODUCTION and settings.DEBUG:
            env.refuse("DEBUG", "is on in production", "remove it from config/settings_team.py")
        origins.refuse_what_is_open()
        dotted_paths.refuse_what_names_nothing()


class AdminConfig(admin.AdminConfig):
    default = False  # of this module; Django's own says True
    default_site = "auth_core.http.admin.AdminSite"

    def ready(self) -> None:
        super().ready()
        from .admin import record_log_entry

        post_save.connect(record_log_entry, sender="admin.LogEntry")
