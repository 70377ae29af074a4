"""Tells the OpenAPI schema which operations take a key, how it is sent and what it must hold."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.permissions import SAFE_METHODS

from .authentication import ApiKeyAuthentication
from .permissions import HasScope
from .services import MESSAGES


class ApiKeyScheme(OpenApiAuthenticationExtension):
    target_class = "auth_core.features.api_keys.authentication.ApiKeyAuthentication"
    name = ["apiKey", "apiKeyAsUserName"]

    def get_security_requirement(self, auto_schema: Any) -> Any:
        is_safe = auto_schema.method in SAFE_METHODS
        for permission in auto_schema.view.get_permissions():
            if isinstance(permission, HasScope):
                scope = permission.read if is_safe else permission.write
                return [{name: [scope]} for name in self.name] if scope else []
        return []

    def get_security_definition(self, auto_schema: Any) -> Any:
        return [
            {
                "type": "apiKey",
                "in": "header",
                "name": "Authorization",
                "description": "`Api-Key KEY`",
            },
            {
                "type": "http",
                "scheme": "basic",
                "description": "The API key as the user name, and an empty password.",
            },
        ]


def describe(operation: dict[str, Any], schema: Any) -> None:
    """Add what a key is refused with; one that is good, where no key is taken."""
    view = schema.view
    if not any(isinstance(it, ApiKeyAuthentication) for it in view.get_authenticators()):
        return
    refusals = operation["x-refusals"]
    refusals[401].update(MESSAGES)
    if not any(isinstance(it, HasScope) for it in view.get_permissions()):
        refusals[403].add("key_not_accepted")
