"""The Django application of the pages: their templates and static files."""

from django.apps import AppConfig


class PagesConfig(AppConfig):
    name = "auth_core.features.pages"
    label = "auth_pages"
    verbose_name = "Account pages"
