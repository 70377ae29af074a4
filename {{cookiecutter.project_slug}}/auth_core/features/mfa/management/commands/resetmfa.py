"""Takes the second factor from a user who has lost it."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from auth_core.features.mfa import services
from auth_core.sessions.management.commands.endsessions import user_named


class Command(BaseCommand):
    help = """Remove the second factor and the recovery codes of a user who has lost both (by user name, e-mail address
or id): be sure by another way who asks. Every session of the user ends, and the user is mailed."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--user", metavar="NAME", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        if not services.reset(user_named(options["user"])):
            raise CommandError(f"{options['user']} has no second factor.")
        self.stdout.write("The second factor was removed; the password alone logs in.")
