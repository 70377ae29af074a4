"""The Django application of the limits."""

from django.apps import AppConfig


class ThrottlingConfig(AppConfig):
    name = "auth_core.throttling"
    label = "auth_throttling"
    verbose_name = "Limits"

    def ready(self) -> None:
        from . import checks  # noqa: F401 - they register themselves
