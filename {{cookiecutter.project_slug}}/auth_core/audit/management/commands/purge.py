"""Deletes what is kept no longer: see PURGES in the settings."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction
from django.utils import timezone
from django.utils.module_loading import import_string


class Command(BaseCommand):
    help = "Delete what is kept no longer: ended sessions, unfinished registrations, old audit events ... Run it daily."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="count, and delete nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        for kind, path in settings.PURGES.items():
            purge = import_string(path)
            if options["dry_run"]:
                with transaction.atomic():
                    count = purge(now)
                    transaction.set_rollback(True)
                self.stdout.write(f"{kind}: {count} would be deleted")
            else:
                self.stdout.write(f"{kind}: {purge(now)} deleted")
