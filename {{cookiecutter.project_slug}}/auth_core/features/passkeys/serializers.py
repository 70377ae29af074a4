"""Bodies of the passkeys: what browsers' `toJSON()` and `parse...FromJSON()` take and give (WebAuthn Level 3, 5.1)."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from .models import Passkey

NAME_LENGTH = 100


class Base64URLField(serializers.RegexField):
    """Bytes in base64url, without padding (RFC 4648, 5)."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(r"\A[A-Za-z0-9_-]+\Z", **kwargs)


class AttestationSerializer(serializers.Serializer):
    """The `response` of a new passkey."""

    clientDataJSON = Base64URLField()  # noqa: N815 - the standard's names
    attestationObject = Base64URLField()  # noqa: N815


class AssertionSerializer(serializers.Serializer):
    """The `response` of a passkey that was used."""

    clientDataJSON = Base64URLField()  # noqa: N815
    authenticatorData = Base64URLField()  # noqa: N815
    signature = Base64URLField()
    userHandle = Base64URLField(required=False, allow_null=True)  # noqa: N815


class PublicKeyCredentialSerializer(serializers.Serializer):
    """A `PublicKeyCredential` as its `toJSON()` gives it; what is not listed is ignored."""

    id = Base64URLField()
    rawId = Base64URLField()  # noqa: N815
    type = serializers.ChoiceField(["public-key"])


class NewCredentialSerializer(PublicKeyCredentialSerializer):
    response = AttestationSerializer()


class UsedCredentialSerializer(PublicKeyCredentialSerializer):
    response = AssertionSerializer()


class CeremonyAnswer(serializers.Serializer):
    """What to ask the browser for, and the token to bring back with its answer, within five minutes.

    `options` are for `PublicKeyCredential.parseCreationOptionsFromJSON()` or `parseRequestOptionsFromJSON()`.
    """

    flow_token = serializers.CharField()
    options = serializers.DictField()


class PasskeyRegistrationSerializer(serializers.Serializer):
    """{"flow_token", "credential", "name"}: the name is for the user, who may have several."""

    flow_token = serializers.CharField()
    credential = NewCredentialSerializer()
    name = serializers.CharField(max_length=NAME_LENGTH, default=_("Passkey"))


class PasskeyLoginSerializer(serializers.Serializer):
    """{"flow_token", "credential"}."""

    flow_token = serializers.CharField()
    credential = UsedCredentialSerializer()


class PasskeyVerificationBeginSerializer(serializers.Serializer):
    """{"ephemeral_token"}: of the login that waits for its second factor."""

    ephemeral_token = serializers.CharField()


class PasskeyVerificationSerializer(PasskeyLoginSerializer):
    """{"ephemeral_token", "flow_token", "credential"}."""

    ephemeral_token = serializers.CharField()


class PasskeySerializer(serializers.ModelSerializer):
    """A passkey, without its key. Times are ISO 8601 in UTC, or null; only the name can be changed."""

    name = serializers.CharField(max_length=NAME_LENGTH)
    created_at = serializers.DateTimeField(read_only=True)
    last_used_at = serializers.DateTimeField(read_only=True, allow_null=True)

    class Meta:
        model = Passkey
        fields = ("id", "name", "created_at", "last_used_at")


class RegisteredPasskeySerializer(PasskeySerializer):
    """A new passkey and, with the first second factor of a user, recovery codes, shown once."""

    recovery_codes = serializers.ListField(child=serializers.CharField())

    class Meta(PasskeySerializer.Meta):
        fields = (*PasskeySerializer.Meta.fields, "recovery_codes")  # type: ignore[assignment]
