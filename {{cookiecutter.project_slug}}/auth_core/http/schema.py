"""Building blocks of the OpenAPI schema."""

from http import HTTPStatus
from typing import Any

from rest_framework import serializers


class Detail(serializers.Serializer):
    """A sentence for people."""

    detail = serializers.CharField()


class Error(serializers.Serializer):
    """Every refusal; a validation error (400) holds a list of messages per field besides, and `codes`."""

    detail = serializers.CharField(required=False)
    code = serializers.CharField()
    codes = serializers.DictField(required=False)
    request_id = serializers.CharField()


ERRORS_400: dict[int, Any] = {400: Error}
ERRORS_400_401: dict[int, Any] = {400: Error, 401: Error}
ERRORS_401: dict[int, Any] = {401: Error}
ERRORS_404: dict[int, Any] = {404: Error}

# What any operation may answer besides its own: a malformed request, plain http or a missing proof,
# ?format=, Accept, a limit, the database away. And what those with a body or a login may.
OF_ALL = (400, 403, 404, 406, 429, 503)
OF_BODIES = (411, 413, 415)


def add_common_errors(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Postprocess the schema: each operation names every status that it can answer with."""
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    for operations in result["paths"].values():
        for operation in operations.values():
            statuses = [
                *OF_ALL,
                *(OF_BODIES if "requestBody" in operation else ()),
                *((401,) if any(operation.get("security", ())) else ()),
            ]
            responses = operation["responses"]
            for status in statuses:
                description = HTTPStatus(status).phrase
                responses.setdefault(str(status), {"content": error, "description": description})
            operation["responses"] = dict(sorted(responses.items()))
    return result
