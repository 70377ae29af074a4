"""Tells the OpenAPI schema of the cookie."""

from typing import Any

from auth_core.sessions.schema import SessionTokenScheme


class CookieScheme(SessionTokenScheme):
    target_class = "auth_core.features.cookies.authentication.CookieAuthentication"
    name = ["accessToken", "accessCookie"]  # type: ignore[assignment]

    def get_security_requirement(self, auto_schema: Any) -> Any:
        return [{name: []} for name in self.name]

    def get_security_definition(self, auto_schema: Any) -> Any:
        cookie = {"type": "apiKey", "in": "cookie", "name": "__Host-access"}
        return [super().get_security_definition(auto_schema), cookie]
