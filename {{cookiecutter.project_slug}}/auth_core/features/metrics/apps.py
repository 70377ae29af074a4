"""The Django application of the metrics: it listens to what happens anyway."""

import logging

from django.apps import AppConfig


class MetricsConfig(AppConfig):
    name = "auth_core.features.metrics"
    label = "auth_metrics"
    verbose_name = "Metrics"

    def ready(self) -> None:
        from auth_core.accounts.hashers import hashed

        from .instruments import CountEvents, observe_hash

        logging.getLogger("auth.audit").addHandler(CountEvents())
        hashed.connect(observe_hash)
