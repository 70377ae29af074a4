"""Bodies of the tutorial's contract."""

from typing import Any

from rest_framework import serializers

from auth_core.accounts.answers import LoginAnswer


class TutorialAnswer(LoginAnswer):
    """The kernel's answer, and the access token once more under the tutorial's name."""

    token = serializers.CharField(source="access")


class TutorialRefreshSerializer(serializers.Serializer):
    """{"token": an unexpired access token}, or the kernel's {"refresh": a refresh token}."""

    token = serializers.CharField(required=False)
    refresh = serializers.CharField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if len(attrs) != 1:
            raise serializers.ValidationError('Send either "token" or "refresh".', code="required")
        return attrs


class TutorialRefreshAnswer(serializers.Serializer):
    """{"token"}, or the kernel's pair where "refresh" was sent."""

    token = serializers.CharField(required=False)
    access = serializers.CharField(required=False)
    refresh = serializers.CharField(required=False)
    access_expiration = serializers.DateTimeField(required=False)
    refresh_expiration = serializers.DateTimeField(required=False)
