"""Deletes sessions that ended long ago, in small batches."""

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db.models import Q
from django.utils import timezone

from auth_core.sessions.models import AuthSession

BATCH = 1000


class Command(BaseCommand):
    help = "Delete sessions that expired or were ended more than --days ago (7). Run it daily."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=int, default=7)

    def handle(self, *args: Any, **options: Any) -> None:
        before = timezone.now() - timedelta(days=options["days"])
        dead = AuthSession.objects.filter(
            Q(revoked_at__lt=before)
            | Q(idle_expires_at__lt=before)
            | Q(absolute_expires_at__lt=before)
        ).order_by()
        deleted = 0
        while batch := list(dead.values_list("pk", flat=True)[:BATCH]):
            deleted += AuthSession.objects.filter(pk__in=batch).delete()[0]
        self.stdout.write(f"{deleted} sessions deleted.")
