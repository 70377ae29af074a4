"""The Django application of the HTTP layer: its templates and static files."""

from django.apps import AppConfig


class HttpConfig(AppConfig):
    name = "auth_core.http"
    label = "auth_http"
    verbose_name = "HTTP layer"

    def ready(self) -> None:
        from . import checks  # noqa: F401 - they register themselves
