"""What a key must hold to be let in: asked by views, of keys alone."""

from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _
from rest_framework.permissions import SAFE_METHODS, IsAuthenticated
from rest_framework.request import Request

from .models import ApiKey


class HasScope(IsAuthenticated):
    """A logged-in user, or a key that holds the scope for this method; see `has_scope`.

    Refused with 403 and the code `insufficient_scope`.
    """

    code = "insufficient_scope"
    read = ""
    write = ""

    def has_permission(self, request: Request, view: Any) -> bool:
        if not super().has_permission(request, view):
            return False
        if not isinstance(request.auth, ApiKey):
            return True
        scope = self.read if request.method in SAFE_METHODS else self.write
        lacks = _("The API key lacks the scope for this: %s.") % scope
        self.message = lacks if scope else str(_("No API key may do this."))
        return scope in request.auth.scopes


def has_scope(*, read: str = "", write: str = "") -> type[HasScope]:
    """Open a view to users and to keys with a scope: `permission_classes = (has_scope(read="read"),)`.

    `read` is for GET, HEAD and OPTIONS, `write` for everything else; without one no key does that.
    It must stand in permission_classes by itself: a key is refused where it is part of an `|`.
    Raises ImproperlyConfigured for a scope that API_KEY_SCOPES does not have.
    """
    known: dict[str, str] = settings.API_KEY_SCOPES  # type: ignore[misc] # of a feature
    for scope in filter(None, (read, write)):
        if scope not in known:
            raise ImproperlyConfigured(
                f"{scope!r} is none of API_KEY_SCOPES ({', '.join(known)}): add it there."
            )

    class Scoped(HasScope):
        pass

    Scoped.read, Scoped.write = read, write
    return Scoped
