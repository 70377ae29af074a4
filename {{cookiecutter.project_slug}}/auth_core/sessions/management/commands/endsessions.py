"""Ends sessions at once: of one user, or of everybody."""

from contextlib import suppress
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Q

from auth_core.sessions.models import AuthSession, RevocationReason
from auth_core.sessions.services import end_sessions


def user_named(name: str) -> Any:
    """Find a user by user name, e-mail address or id; raises CommandError."""
    users = get_user_model().objects
    found = users.filter(Q(username=name) | Q(email=name)).first()
    with suppress(ValueError):
        found = found or users.filter(pk=UUID(name)).first()
    if found is None:
        raise CommandError(f"No user has the name, e-mail address or id {name!r}.")
    return found


class Command(BaseCommand):
    help = "End the sessions of one user (by user name, e-mail address or id) or, with --all, of everybody."

    def add_arguments(self, parser: CommandParser) -> None:
        who = parser.add_mutually_exclusive_group(required=True)
        who.add_argument("--user", metavar="NAME")
        who.add_argument("--all", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        sessions, user_id = AuthSession.objects.all(), None
        if options["user"]:
            user_id = user_named(options["user"]).pk
            sessions = sessions.filter(user=user_id)
        ended = end_sessions(sessions, RevocationReason.ADMIN, user_id=user_id)
        self.stdout.write(f"{ended} sessions ended.")
