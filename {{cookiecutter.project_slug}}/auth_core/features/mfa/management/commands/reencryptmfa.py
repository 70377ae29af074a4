"""Encrypts the secrets of second factors with the first key of MFA_ENCRYPTION_KEYS."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from auth_core.features.mfa import services


class Command(BaseCommand):
    help = """To replace a key: put the one of `make secret` before it in MFA_ENCRYPTION_KEYS and deploy, run this, remove
the old key and deploy. No user notices."""

    def handle(self, *args: Any, **options: Any) -> None:
        done, unreadable = services.reencrypt()
        self.stdout.write(f"{done} secrets encrypted anew.")
        if unreadable:
            raise CommandError(
                f"{unreadable} secrets were encrypted with no key of MFA_ENCRYPTION_KEYS: "
                "put the missing key back, behind the others."
            )
