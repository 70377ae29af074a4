"""Bodies of the logins by an e-mailed code."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from auth_core import policy
from auth_core.accounts.fields import AddressField
from auth_core.accounts.serializers import LOGIN_FIELDS


class LoginCodeSerializer(serializers.Serializer):
    """{"username"} or {"email"}, as the policy's login_with has it."""

    username = serializers.CharField(required=False, max_length=254)
    email = AddressField(required=False, max_length=254)

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        allowed = LOGIN_FIELDS[policy.LOGIN_WITH]
        return {name: field for name, field in fields.items() if name in allowed}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        # As at a login, the address counts where there are both.
        name = attrs.get("email") or attrs.get("username")
        if not name:
            known = " or ".join(f'"{field}"' for field in self.fields)
            raise serializers.ValidationError(_("Must include %s.") % known, code="required")
        return {"name": name}


class LoginCodeAnswer(serializers.Serializer):
    """Bring `login_token` with the mailed code; only the client that has it can use the code."""

    detail = serializers.CharField()
    login_token = serializers.CharField()


class LoginCodeConfirmSerializer(serializers.Serializer):
    """{"login_token", "code"}; in a code, spaces, dashes and letter case do not count."""

    login_token = serializers.CharField()
    code = serializers.CharField(max_length=64, write_only=True)
