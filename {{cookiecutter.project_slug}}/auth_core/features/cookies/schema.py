"""Tells the OpenAPI schema of the cookies, of the CSRF token and of the header that asks for them."""

from typing import Any

from auth_core import policy
from auth_core.sessions.schema import SessionTokenScheme

from .csrf import SAFE_METHODS

HAS_HEADERS = policy.TOKEN_DELIVERY == "both"
PROOF: dict[str, list[str]] = {"csrfToken": []}
ASKS_FOR_COOKIES = {
    "in": "header",
    "name": "X-Token-Delivery",
    "schema": {"type": "string", "enum": ["cookie"]},
    "description": "Asks for tokens in cookies; without it they travel in bodies.",
}


class CookieScheme(SessionTokenScheme):
    target_class = "auth_core.features.cookies.authentication.CookieAuthentication"
    name = ["accessToken", "accessCookie", "refreshCookie", "csrfToken"]  # type: ignore[assignment]

    def get_security_requirement(self, auto_schema: Any) -> Any:
        proof = {} if auto_schema.method in SAFE_METHODS else PROOF
        by_cookie = {"accessCookie": [], **proof}
        return [{"accessToken": []}, by_cookie] if HAS_HEADERS else [by_cookie]

    def get_security_definition(self, auto_schema: Any) -> Any:
        cookies = [
            {
                "type": "apiKey",
                "in": "cookie",
                "name": f"__Host-{policy.PROJECT_SLUG}-{kind}",
                "description": "In development, over plain http, without `__Host-`.",
            }
            for kind in ("access", "refresh")
        ]
        proof = {
            "type": "apiKey",
            "in": "header",
            "name": "X-CSRF-Token",
            "description": "`csrf_token` of the answer that set the cookies, or of `csrf/`.",
        }
        return [super().get_security_definition(auto_schema), *cookies, proof]


def describe(operation: dict[str, Any], schema: Any) -> None:
    """Add the proof that an unsafe operation needs, and what it is refused with without one."""
    from auth_core.http.views import PublicEndpoint  # its own description is made by this module

    if schema.method in SAFE_METHODS:
        return
    operation["x-refusals"][403].add("csrf_failed")
    operation["x-refusals"][415].add("unsupported_media_type")
    if isinstance(schema.view, PublicEndpoint):
        is_refresh = operation["operationId"] == "token_refresh"
        needed = {**({"refreshCookie": []} if is_refresh else {}), **PROOF}
        operation["security"] = [{}, needed] if HAS_HEADERS else [needed]
        if HAS_HEADERS:
            operation["parameters"] = [*operation.get("parameters", []), ASKS_FOR_COOKIES]
