"""Voids passwords that somebody else may know: of one user, or of everybody."""

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction

from auth_core.accounts.recovery import send_reset_mail
from auth_core.accounts.signals import account_recovered
from auth_core.audit.log import Event, record
from auth_core.mail import outbox
from auth_core.sessions.lookup import locked_user
from auth_core.sessions.management.commands.endsessions import user_named


class Command(BaseCommand):
    help = """Void the password of one user (by user name, e-mail address or id) or, with --all, of everybody who has one: it
logs in no more, sessions, API keys and links to providers end, and the mailed link sets a new one. Whoever has no address to mail to keeps it, and is named."""

    def add_arguments(self, parser: CommandParser) -> None:
        who = parser.add_mutually_exclusive_group(required=True)
        who.add_argument("--user", metavar="NAME")
        who.add_argument("--all", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        users = get_user_model().objects.filter(is_active=True)
        if options["user"]:
            users = users.filter(pk=user_named(options["user"]).pk)
        done = sum(void_password(pk) for pk in users.values_list("pk", flat=True).iterator())
        self.stdout.write(f"{done} passwords voided; each user is mailed a link.")
        kept = [user for user in users.filter(email=None) if user.has_usable_password()]
        if kept:
            names = ", ".join(sorted(str(user) for user in kept))
            self.stderr.write(f"Not voided, for want of an address: {names}.")


@transaction.atomic
def void_password(pk: Any) -> bool:
    """Leave a user no password but the one that a mailed link sets; False where that cannot be."""
    user = locked_user(pk)
    if user is None or not user.email or not user.has_usable_password():
        return False
    user.set_unusable_password()
    user.save(update_fields=["password"])
    record(Event.PASSWORD_RESET_REQUESTED, user_id=pk, reason="admin")
    account_recovered.send(sender=type(user), request=None, user=user, email=None, since=None)
    outbox.defer(send_reset_mail, email=user.email)
    return True
