"""DRF authentication by API key: `Authorization: Api-Key KEY`, or `curl -u KEY:` (HTTP Basic, RFC 7617)."""

import base64
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from auth_core.sessions.authentication import SessionTokenAuthentication
from auth_core.sessions.services import restrict_user

from . import keys, services
from .models import ApiKey
from .permissions import HasScope


def sent_key(request: Request) -> str | None:
    """Return what was sent as a key; a proxy's own Basic credentials are none."""
    scheme, _space, rest = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "api-key":
        return rest.strip()
    if scheme.lower() == "basic":
        try:
            name, _colon, password = base64.b64decode(rest, validate=True).decode().partition(":")
        except ValueError:
            return None
        return name if keys.is_meant(name) and not password else None
    return None


class ApiKeyAuthentication(BaseAuthentication):
    """Sets request.user to the key's user and request.auth to the ApiKey.

    Only for views that say with `has_scope` what a key must hold: elsewhere, so at every endpoint of
    the account, a good key is refused with 403 and the code `key_not_accepted`.
    """

    reads_cookies = False

    def authenticate(self, request: Request) -> tuple[Any, ApiKey] | None:
        text = sent_key(request)
        if text is None:
            return None
        key = services.live_key(text, request._request)
        # Set already here: get_permissions of a view may ask whose request it is.
        request.user, request.auth = key.user, key
        view = request.parser_context["view"]
        if not any(isinstance(permission, HasScope) for permission in view.get_permissions()):
            raise PermissionDenied(_("API keys are not accepted here."), code="key_not_accepted")
        restrict_user(key.user, request)
        services.note_use(key)
        return key.user, key

    def authenticate_header(self, request: Request) -> str:
        """Ask for Basic never: browsers would ask people for a password."""
        if sent_key(request) is None:
            return SessionTokenAuthentication().authenticate_header(request)
        return 'Api-Key realm="api"'
