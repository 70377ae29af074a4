"""Bodies of the logins at other providers."""

from typing import Any

from allauth.socialaccount.models import SocialAccount
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from .providers import name_of, redirect_uris


class BeginSerializer(serializers.Serializer):
    """{"redirect_uri"}: one of those that are allowed, the first where none is given."""

    redirect_uri = serializers.CharField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        allowed = redirect_uris(self.context["view"].provider)
        uri = attrs.get("redirect_uri") or next(iter(allowed), None)
        if uri not in allowed:
            raise serializers.ValidationError(
                {"redirect_uri": [_("This address is not allowed.")]}, code="invalid_redirect_uri"
            )
        return {"redirect_uri": uri}


class BegunSerializer(serializers.Serializer):
    """Where to send the user, and what to send back with the code; keep the token out of URLs."""

    authorization_url = serializers.CharField()
    flow_token = serializers.CharField()


class FinishSerializer(serializers.Serializer):
    """{"flow_token"} and what the provider added to the redirect URI: {"code", "state", "iss"} or {"error", "state"}."""

    flow_token = serializers.CharField()
    state = serializers.CharField()
    code = serializers.CharField(required=False)
    iss = serializers.CharField(required=False)
    error = serializers.CharField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not {"code", "error"} & attrs.keys():
            raise serializers.ValidationError(
                {"code": [_("This field is required.")]}, code="required"
            )
        return attrs


class SocialAccountSerializer(serializers.ModelSerializer):
    """A linked account; `uid` is the provider's id of the user. Times are ISO 8601 in UTC."""

    provider = serializers.SerializerMethodField()

    class Meta:
        model = SocialAccount
        fields = ("provider", "uid", "last_login", "date_joined")
        read_only_fields = fields

    def get_provider(self, account: SocialAccount) -> str:
        return name_of(account)
