"""What is known of a passkey besides allauth's `Authenticator`, and the ceremonies that wait for their answer."""

import uuid
from datetime import datetime
from typing import Any

from allauth.mfa.models import Authenticator
from django.db import models
from django.utils.translation import gettext_lazy as _


class Passkey(models.Model):
    """One passkey. Its public key is in its Authenticator's row, as allauth stores it, beside its name."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    authenticator = models.OneToOneField(
        Authenticator, on_delete=models.CASCADE, related_name="passkey"
    )
    # A hash of the credential's id, which is nobody else's (WebAuthn Level 3, 7.1, step 26).
    digest = models.CharField(max_length=64, unique=True)
    # Of its last use; 0 of those that do not count.
    sign_count = models.BigIntegerField()
    # After the account was recovered, not before it was used beside the new password: a thief may have
    # registered it.
    logs_in_alone = models.BooleanField(default=True)

    class Meta:
        verbose_name = _("passkey")

    def __str__(self) -> str:
        return self.name

    @property
    def user(self) -> Any:
        return self.authenticator.user

    @property
    def name(self) -> str:
        return str(self.authenticator.data["name"])

    @property
    def created_at(self) -> datetime:
        return self.authenticator.created_at

    @property
    def last_used_at(self) -> datetime | None:
        return self.authenticator.last_used_at


class Ceremony(models.Model):
    """One request to an authenticator (WebAuthn's word). Read once: whoever takes it deletes it."""

    # A hash of the flow token, which the client that began alone has.
    digest = models.CharField(max_length=64, primary_key=True)
    purpose = models.CharField(max_length=20)
    # The session or the waiting login that it is part of; empty where none is yet.
    bound_to = models.CharField(max_length=64, blank=True)
    challenge = models.CharField(max_length=43)
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.purpose
