"""Building blocks of the OpenAPI schema."""

from typing import Any

from rest_framework import serializers


class Detail(serializers.Serializer):
    """A sentence for people."""

    detail = serializers.CharField()


class Error(serializers.Serializer):
    """Every refusal; a validation error (400) holds a list of messages per field besides, and `codes`."""

    detail = serializers.CharField(required=False)
    code = serializers.CharField()
    request_id = serializers.CharField()


ERRORS_400: dict[int, Any] = {400: Error}
ERRORS_400_401: dict[int, Any] = {400: Error, 401: Error}
ERRORS_401: dict[int, Any] = {401: Error}
ERRORS_404: dict[int, Any] = {404: Error}
