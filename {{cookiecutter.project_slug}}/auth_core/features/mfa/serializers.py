"""Bodies of the second factor: dj-rest-auth's, where it has them."""

from typing import Any

from rest_framework import serializers

from auth_core.accounts.reauthentication import ReauthenticateSerializer

from . import factors, services


class CodeField(serializers.CharField):
    """A code of the authenticator app, or a recovery code; spaces, dashes and letter case do not count."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=64, write_only=True, **kwargs)


class PendingLoginAnswer(serializers.Serializer):
    """The password was right, a second factor is wanted, such as a code: bring both to `mfa/verify/`.

    `factors` names the kinds that the user has.
    """

    mfa_required = serializers.BooleanField()
    ephemeral_token = serializers.CharField()
    factors = serializers.ListField(child=serializers.CharField())


class VerifySerializer(serializers.Serializer):
    """{"ephemeral_token", "code"}."""

    ephemeral_token = serializers.CharField()
    code = CodeField()


class StatusAnswer(serializers.Serializer):
    """Times are ISO 8601 in UTC; `mfa_required` says whether this user must have a second factor.

    `factors` names the kinds that are set up.
    """

    mfa_enabled = serializers.BooleanField()
    mfa_required = serializers.BooleanField()
    factors = serializers.ListField(child=serializers.CharField())
    created_at = serializers.DateTimeField(allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True)
    recovery_codes_left = serializers.IntegerField()


class EnrolmentAnswer(serializers.Serializer):
    """A secret for an authenticator app, as text, as a URL and as a picture of that, an SVG."""

    secret = serializers.CharField()
    totp_url = serializers.CharField()
    qr_code_data_uri = serializers.CharField()
    activation_token = serializers.CharField()


class EnrolSerializer(serializers.Serializer):
    """{"activation_token", "code"}: with the app's first code."""

    activation_token = serializers.CharField()
    code = CodeField()


class EnrolledAnswer(serializers.Serializer):
    recovery_codes = serializers.ListField(child=serializers.CharField())


class UndoSerializer(serializers.Serializer):
    """{"key"} from the mailed link."""

    key = serializers.CharField()


class CodeSerializer(serializers.Serializer):
    """{"code"}."""

    code = CodeField()


class RecoveryCodesAnswer(serializers.Serializer):
    codes = serializers.ListField(child=serializers.CharField())


class FullReauthenticateSerializer(ReauthenticateSerializer):
    """{"password"}, and "code" from who has a second factor."""

    code = CodeField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        request = self.context["request"]
        if not factors.has_factor(request.user.pk):
            return attrs
        if "code" not in attrs:
            raise serializers.ValidationError(
                {"code": [self.fields["code"].error_messages["required"]]}, code="required"
            )
        services.demand_code(request, attrs["code"])
        services.count_factor(request.auth, services.SECOND)
        return attrs
