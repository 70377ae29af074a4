"""Bodies of the token and session endpoints."""

from typing import Any

from rest_framework import serializers

from auth_core import policy

from .models import AuthSession

IN_BODY = policy.TOKEN_DELIVERY == "header"


class RefreshSerializer(serializers.Serializer):
    refresh = serializers.CharField(required=IN_BODY)


class TokenSerializer(serializers.Serializer):
    token = serializers.CharField()


class TokenPairSerializer(serializers.Serializer):
    """A fresh pair, unless it travels otherwise; the expirations are ISO 8601 times in UTC."""

    if policy.TOKEN_DELIVERY != "cookie":
        access = serializers.CharField(required=IN_BODY)
        refresh = serializers.CharField(required=IN_BODY)
    if policy.TOKEN_DELIVERY != "header":
        csrf_token = serializers.CharField(required=policy.TOKEN_DELIVERY == "cookie")
    access_expiration = serializers.DateTimeField()
    refresh_expiration = serializers.DateTimeField()


class LogoutSerializer(serializers.Serializer):
    """A refresh token, for clients that no longer have a valid access token."""

    refresh = serializers.CharField(required=False, allow_blank=True, allow_null=True)


class SessionSerializer(serializers.ModelSerializer):
    """A living session of the user; `current` is the one that asks. Times are ISO 8601 in UTC."""

    created = serializers.DateTimeField(source="created_at")
    last_used = serializers.DateTimeField(source="rotated_at")
    expires = serializers.DateTimeField(source="expires_at")
    amr = serializers.ListField(child=serializers.CharField())
    current = serializers.SerializerMethodField()

    class Meta:
        model = AuthSession
        fields = ("id", "created", "last_used", "expires", "ip", "user_agent", "amr", "current")
        read_only_fields = fields

    def get_current(self, session: Any) -> bool:
        return bool(session == self.context["request"].auth)
