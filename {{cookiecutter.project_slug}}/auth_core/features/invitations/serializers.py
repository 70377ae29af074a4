"""Bodies of the invitations, and of the registration that needs one."""

from typing import Any

from allauth.account.adapter import get_adapter
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from auth_core.accounts import addresses, registrations
from auth_core.accounts.serializers import RegisterSerializer
from auth_core.audit.log import record

from .models import Invitation, InvitationQuerySet
from .services import Event


def required(invitations: InvitationQuerySet) -> Invitation:
    """Return the one invitation, or answer alike for a key that is wrong, used, withdrawn, replaced or expired."""
    invitation = invitations.first()
    if invitation is None:
        raise serializers.ValidationError(
            {"invitation": [_("The invitation is not valid or has expired.")]},
            code="invalid_invitation",
        )
    return invitation


class InvitationSerializer(serializers.ModelSerializer):
    """{"email"} invites; answered with the invitation, whose times are ISO 8601 in UTC, or null."""

    created = serializers.DateTimeField(source="created_at", read_only=True)
    expires = serializers.DateTimeField(source="expires_at", read_only=True)
    accepted = serializers.DateTimeField(source="accepted_at", read_only=True, allow_null=True)
    revoked = serializers.DateTimeField(source="revoked_at", read_only=True, allow_null=True)

    class Meta:
        model = Invitation
        fields = ("id", "email", "created", "expires", "accepted", "revoked", "sent")
        read_only_fields = ("sent",)

    def validate_email(self, email: str) -> str:
        return get_adapter().clean_email(email)


class InvitedRegisterSerializer(RegisterSerializer):
    """{"invitation", "username", "password1", "password2"}: the invitation says which address.

    It counts as verified: the key was read in a mail to it.
    """

    invitation = serializers.CharField()

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        del fields["email"]
        return fields

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        found = Invitation.objects.of_key(attrs["invitation"])
        invitation = required(found)
        try:
            return super().validate({**attrs, "invitation": invitation, "email": invitation.email})
        except serializers.ValidationError:
            # Another acceptance may have used it since, and so have taken the name and the address.
            required(found)
            raise

    def save(self, request: Any) -> Any:
        """Create the user and use the invitation up, once: its row stays locked meanwhile."""
        read: Invitation = self.validated_data["invitation"]
        valid = Invitation.objects.valid().select_for_update()
        invitation = required(valid.filter(link=read.link))
        registrations.drop(invitation.email, request)
        user = super().save(request)
        addresses.settle(user)
        invitation.accepted_by, invitation.accepted_at = user, timezone.now()
        invitation.save(update_fields=["accepted_by", "accepted_at"])
        record(Event.INVITATION_ACCEPTED, request, user_id=user.pk, invitation=str(invitation.pk))
        return user
