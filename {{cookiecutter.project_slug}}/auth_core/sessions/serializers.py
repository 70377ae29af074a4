"""Bodies of the token endpoints."""

from rest_framework import serializers


class RefreshSerializer(serializers.Serializer):
    refresh = serializers.CharField()


class TokenSerializer(serializers.Serializer):
    token = serializers.CharField()


class TokenPairSerializer(serializers.Serializer):
    """A refreshed pair; the expirations are ISO 8601 times in UTC."""

    access = serializers.CharField()
    refresh = serializers.CharField()
    access_expiration = serializers.DateTimeField()
    refresh_expiration = serializers.DateTimeField()


class LogoutSerializer(serializers.Serializer):
    """A refresh token, for clients that no longer have a valid access token."""

    refresh = serializers.CharField(required=False, allow_blank=True, allow_null=True)
