"""What a feature adds to the pages."""

from typing import Any

from django.apps import apps


class Extension:
    """Beside Django's AppConfig: the application in the folder `pages` of a feature, found there by settings.py.

    `slots` maps a place to a template that stands there: "login" (another way to log in), "step" (what
    may follow a password), "account" (a section), "reauthenticate" (beside the password). `pages` maps the
    path of a page of its own to its template.
    """

    slots: dict[str, str] = {}
    pages: dict[str, str] = {}

    def context(self) -> dict[str, Any]:
        """Return what its templates need to know."""
        return {}


def extensions() -> list[Extension]:
    return [each for each in apps.get_app_configs() if isinstance(each, Extension)]
