"""Serves the metrics to Prometheus: `manage.py servemetrics`, which gunicorn.conf.py starts by itself."""

import os
import sys
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import Error, connection
from django.db.models import Count, Min
from django.utils import timezone
from django_tasks_db.models import DBTaskResult
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from auth_core.features.metrics.serving import FOLDER
from auth_core.mail.outbox import QUEUE


class MailQueue(Collector):
    """Asks the database how many mails wait, and since when the oldest does."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        waiting = DBTaskResult.objects.ready().filter(queue_name=QUEUE)
        try:
            found = waiting.order_by().aggregate(number=Count("pk"), since=Min("enqueued_at"))
        except Error:
            return  # an alert tells of the absence
        finally:
            connection.close()
        age = timezone.now() - found["since"] if found["since"] else None
        yield GaugeMetricFamily(
            "auth_mail_waiting", "Mails that wait to be sent.", value=found["number"]
        )
        yield GaugeMetricFamily(
            "auth_mail_oldest_seconds",
            "How long the oldest of them has waited.",
            value=age.total_seconds() if age else 0,
        )


class Command(BaseCommand):
    help = "Serve the metrics of gunicorn's processes on METRICS_ADDRESS, as long as those live."

    def handle(self, *args: Any, **options: Any) -> None:
        address: str = settings.METRICS_ADDRESS  # type: ignore[misc] # of a feature: mypy reads the kernel's
        host, _, port = address.rpartition(":")
        if FOLDER not in os.environ:
            raise CommandError("gunicorn.conf.py starts this where METRICS_ADDRESS is set.")
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        registry.register(MailQueue())
        server, thread = start_http_server(int(port), host, registry)
        sys.stdin.read()
        server.shutdown()
        thread.join()
