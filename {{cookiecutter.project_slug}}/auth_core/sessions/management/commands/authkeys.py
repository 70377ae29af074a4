"""Lists and changes the signing keys without logging anybody out."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from auth_core import policy
from auth_core.sessions.keys import ALGORITHMS, Key, KeyRing, WeakKey

OTHER_FAMILY = (
    "To change from one to the other, regenerate the project with the new signing_algorithm and set "
    "AUTH_SIGNING_KEYS to the one of `make secret`; every older token is refused from then on, so "
    "that everybody logs in again."
)


class Command(BaseCommand):
    help = f"""Signing keys. To replace one: `add` a key and deploy, so that every verifier knows it (JWKS is cached
for five minutes); `sign` with it and deploy; {policy.REFRESH_TOKEN_DAYS} days later, when the last refresh token
of the old one has expired, `retire` that and deploy. Nobody is logged out."""

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("list", help="show the keys; the first signs")
        add = actions.add_parser("add", help="add a new key that verifies")
        add.add_argument("--algorithm", choices=ALGORITHMS, default=policy.SIGNING_ALGORITHM)
        sign = actions.add_parser("sign", help="make a key the one that signs")
        retire = actions.add_parser("retire", help="remove a key: its tokens are refused at once")
        for action in (sign, retire):
            action.add_argument("kid", help="as `list` shows it")
        for action in (add, sign, retire):
            action.add_argument(
                "--write",
                metavar="FILE",
                help="put the result into FILE (.env) instead of printing it",
            )

    def handle(self, *args: Any, **options: Any) -> None:
        keys = list(KeyRing(settings.AUTH_SIGNING_KEYS).keys.values())
        if options["action"] == "list":
            for position, key in enumerate(keys):
                self.stdout.write(
                    f"{key.kid}  {key.algorithm}  {'verifies' if position else 'signs'}"
                )
            return
        if options["action"] == "add":
            keys.append(Key.generate(options["algorithm"]))
        else:
            keys = self._without(keys, **options)
        entries = list(map(str, keys))
        try:
            KeyRing(entries)
        except WeakKey as error:
            raise CommandError(f"Nothing was changed: {error}. {OTHER_FAMILY}") from error
        self._publish(",".join(entries), options["write"])

    def _without(self, keys: list[Key], *, action: str, kid: str, **_options: Any) -> list[Key]:
        key = next((key for key in keys if key.kid == kid), None)
        if key is None:
            known = ", ".join(key.kid for key in keys)
            raise CommandError(f"{kid} is no key of the ring; its keys are {known}.")
        rest = [other for other in keys if other is not key]
        if action == "sign":
            return [key, *rest]
        if key is keys[0]:
            raise CommandError(f"{kid} signs; make another key sign before you retire it.")
        return rest

    def _publish(self, value: str, file: str | None) -> None:
        line = f"AUTH_SIGNING_KEYS={value}"
        if file is None:
            self.stdout.write(line)
            return
        path = Path(file)
        try:
            path.touch(mode=0o600)
            lines = path.read_text(encoding="utf-8").splitlines()
            kept = [old for old in lines if old.partition("=")[0].strip() != "AUTH_SIGNING_KEYS"]
            path.write_text("\n".join([*kept, line, ""]), encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror}.") from error
        self.stdout.write(f"Wrote AUTH_SIGNING_KEYS to {path}; restart the processes.")
