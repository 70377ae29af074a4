"""Gives the operations of each provider readable names in the OpenAPI schema."""

from typing import Any


def describe(operation: dict[str, Any], schema: Any) -> None:
    """Set the operationId: the same views serve every provider."""
    provider = getattr(schema.view, "provider", "")
    names = {
        "BeginLoginView": "login_begin",
        "LoginView": "login",
        "BeginLinkView": "link_begin",
        "LinkView": "unlink" if schema.method == "DELETE" else "link",
    }
    name = names.get(type(schema.view).__name__)
    if provider and name:
        operation["operationId"] = f"social_{provider}_{name}"
