"""Building blocks of the OpenAPI schema, for views to describe themselves with."""

from typing import Any

from rest_framework import serializers


class Detail(serializers.Serializer):
    """A sentence for people."""

    detail = serializers.CharField()


def codes(*names: str) -> dict[str, Any]:
    """Describe what an operation answers one status with, besides what any operation of its kind does.

    `responses={200: Answer, 400: codes("invalid_key")}`: the codes of fields, logins, permissions and
    limits are found by `auth_core.http.openapi`.
    """
    return {"enum": [*names]}
