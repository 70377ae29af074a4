"""Bodies of the API keys, and what the export of an account tells of them."""

from typing import Any

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from .models import ApiKey

# Of a feature: mypy reads the kernel's.
MAX_DAYS: int = settings.API_KEY_MAX_DAYS  # type: ignore[misc]


class ScopeField(serializers.ChoiceField):
    """One of API_KEY_SCOPES."""

    def __init__(self, **kwargs: Any) -> None:
        choices: dict[str, str] = settings.API_KEY_SCOPES  # type: ignore[misc] # of a feature
        unknown = _('There is no scope "{input}"; there is: %s.') % ", ".join(choices)
        super().__init__([*choices.items()], error_messages={"invalid_choice": unknown}, **kwargs)


class NewApiKeySerializer(serializers.Serializer):
    """{"name", "scopes", "days"}: what the key is for, what it may do, and for how long it lives."""

    name = serializers.CharField(max_length=100)
    scopes = serializers.ListField(child=ScopeField(), allow_empty=False)
    days = serializers.IntegerField(min_value=1, max_value=MAX_DAYS)

    def validate_scopes(self, scopes: list[str]) -> list[str]:
        return sorted({*scopes})


class ApiKeySerializer(serializers.ModelSerializer):
    """A key without its secret; `prefix` is how it begins. Times are ISO 8601 in UTC, or null."""

    prefix = serializers.CharField()
    scopes = serializers.ListField(child=serializers.CharField())
    created = serializers.DateTimeField(source="created_at")
    expires = serializers.DateTimeField(source="expires_at")
    last_used = serializers.DateTimeField(source="last_used_at", allow_null=True)

    class Meta:
        model = ApiKey
        fields: tuple[str, ...] = (
            "id",
            "name",
            "prefix",
            "scopes",
            "created",
            "expires",
            "last_used",
        )
        read_only_fields = fields


class CreatedApiKeySerializer(ApiKeySerializer):
    """A new key, and this once `key`, the secret itself."""

    key = serializers.CharField()

    class Meta(ApiKeySerializer.Meta):
        fields = (*ApiKeySerializer.Meta.fields, "key")


class ExportedApiKeySerializer(ApiKeySerializer):
    revoked = serializers.DateTimeField(source="revoked_at", allow_null=True)

    class Meta(ApiKeySerializer.Meta):
        fields = (*ApiKeySerializer.Meta.fields, "revoked")


def export(user: Any) -> dict[str, Any]:
    """Tell of a user's keys what is stored, without their hashes."""
    return {"api_keys": ExportedApiKeySerializer(user.api_keys.all(), many=True).data}
