"""Lists stored addresses that no account could take any more; an operator decides."""

from collections.abc import Iterator
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandParser
from django.db.models import Q

from auth_core.accounts.fields import other_spellings, problem_of

REFUSED = Q(email__contains='"') | Q(email__contains="@[") | Q(email__contains="xn--")
# Where IDNA 2003 may have left out what IDNA 2008 keeps: a sharp s became ss; a final sigma is in an A-label.
POSSIBLE = Q(email__regex=r"@.*(ss|xn--)")


class Command(BaseCommand):
    help = """List the accounts whose stored address is refused today: a quoted name, an IP address for a domain, a domain
that is none by IDNA 2008. They keep logging in; change their address in the admin, or leave it. With --possible also those
whose domain may have been typed otherwise (a sharp s or a final sigma, which former versions replaced)."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--possible", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        found = list(self._refused())
        found += self._possible() if options["possible"] else []
        for line in found:
            self.stdout.write(line)
        self.stdout.write(f"{len(found)} addresses to decide on.")

    def _refused(self) -> Iterator[str]:
        for pk, email in _addresses(REFUSED):
            if problem := problem_of(email):
                yield f"{pk} {email}: {problem}"

    def _possible(self) -> Iterator[str]:
        for pk, email in _addresses(POSSIBLE):
            if others := other_spellings(email):
                yield f"{pk} {email}: may have been typed {' or '.join(others)}"


def _addresses(which: Q) -> Iterator[tuple[Any, str]]:
    users = get_user_model().objects.filter(which).order_by("pk")
    yield from users.values_list("pk", "email").iterator()
