"""Who may call what, read from the code; `python -m auth_core.contract.permissions` writes the table."""

import os
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import django

INTRODUCTION = """# Permissions

Who may call which endpoint of `auth_core`, read from its code. Written by
`python -m auth_core.contract.permissions > docs/permissions.md`; a test compares.

- **anyone**: no token needed. The endpoint proves identity itself (a password, a token, a mailed key), or tells nothing
  that is not public; a dead token sent along changes nothing.
- **user**: a live access token. What is read, changed or ended belongs to its user; somebody else's is answered with 404,
  for staff, too: no endpoint gives an administrator more, but for those marked so.
- **recent user**: a user whose session logged in, or called `reauthenticate/`, within REAUTHENTICATION_MINUTES.
- **staff**: the same of a user with `is_staff`, where a feature that was chosen has such endpoints.
- **documents**: anyone where `API_DOCUMENTS_ARE_PUBLIC`, which is development; elsewhere staff who logged in to the admin.
- **admin**: Django's admin under `ADMIN_PATH` (empty: none), for staff with the model's permission, from `ADMIN_NETWORKS`.

Fields: `user/` shows and changes what `Meta.fields` and `Meta.read_only_fields` of `users/serializers.py` say.

| method | path | who |
|---|---|---|
"""
METHODS = ("get", "post", "put", "patch", "delete")
WHO = {
    "AllowAny": "anyone",
    "IsAuthenticated": "user",
    "RecentlyAuthenticated": "recent user",
    "IsAdminUser": "staff",
    "MayReadDocuments": "documents",
}

Row = tuple[str, str, str]


def explicit_permissions(view: type[Any]) -> list[str] | None:
    """Return the names of a view's own permission classes, or None where it leaves them to a default."""
    from rest_framework.views import APIView

    classes = view.__mro__
    own = classes[: classes.index(APIView)] if issubclass(view, APIView) else ()
    found = [vars(each)["permission_classes"] for each in own if "permission_classes" in vars(each)]
    return [permission.__name__ for permission in found[0]] if found else None


def permissions_of(view: type[Any], method: str) -> list[str]:
    """Return the names of the permission classes that a request of this method meets."""
    if explicit_permissions(view) is None:
        return ["AllowAny"]  # what is no view of DRF only reads, for everybody
    instance = view()
    instance.request = SimpleNamespace(method=method)
    return [type(permission).__name__ for permission in instance.get_permissions()]


def rows() -> Iterator[Row]:
    """List method, path and who may call it, in the order of the URLs."""
    from django.urls import URLResolver
    from django.views.generic import RedirectView

    from auth_core import urls

    for pattern in urls.urlpatterns:
        view = getattr(pattern.callback, "view_class", type(None))
        path = f"`/{pattern.pattern}`"
        if isinstance(pattern, URLResolver) or issubclass(view, RedirectView):
            yield ("any", path, "admin")
            continue
        for method in METHODS:
            if hasattr(view, method) or (view is type(None) and method == "get"):
                names = permissions_of(view, method.upper())
                yield (method.upper(), path, " and ".join(WHO.get(name, name) for name in names))


def table() -> str:
    # A feature may stand before the kernel at the same path.
    lines = (f"| {' | '.join(row)} |\n" for row in dict.fromkeys(rows()))
    return INTRODUCTION + "".join(lines)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    sys.stdout.write(table())
