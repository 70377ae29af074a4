"""Tells the OpenAPI schema what who must have a second factor is refused, and gives examples."""

from typing import Any


def describe(operation: dict[str, Any], schema: Any) -> None:
    """Add the code of `services.require_enrolment`, which is asked of every session."""
    is_open = getattr(schema.view, "is_for_enrolment", False)
    is_verification = operation["operationId"] == "token_verify"
    if (schema.view.get_authenticators() or is_verification) and not is_open:
        operation["x-refusals"][403].add("mfa_enrolment_required")
