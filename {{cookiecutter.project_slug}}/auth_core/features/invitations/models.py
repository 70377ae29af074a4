"""One row per invitation: whom, by whom, until when, and what became of it. The link itself is not stored."""

import secrets
import uuid
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core import signing
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from auth_core.accounts.fields import CanonicalEmailField


def signer() -> signing.Signer:
    return signing.Signer(salt="auth_core.features.invitations")


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def pending(self) -> "InvitationQuerySet":
        """Select those neither accepted nor revoked; they may have expired."""
        return self.filter(accepted_at=None, revoked_at=None)

    def valid(self) -> "InvitationQuerySet":
        """Select those whose link can be followed."""
        return self.pending().filter(expires_at__gt=timezone.now())

    def of_key(self, key: str) -> "InvitationQuerySet":
        """Select the one whose mailed link carries the key, if it can be followed."""
        try:
            return self.valid().filter(link=signer().unsign(key))
        except signing.BadSignature:
            return self.none()


class Invitation(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = CanonicalEmailField(_("email address"))
    # What the key of the mailed link signs; a new one ends the links before.
    link = models.CharField(max_length=22, unique=True, editable=False)
    # An invitation outlives who sent it, but not whom it brought: it holds their address.
    invited_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    accepted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    # How many mails left.
    sent = models.PositiveIntegerField(default=0)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        verbose_name = _("invitation")
        verbose_name_plural = _("invitations")
        ordering = ("-created_at",)
        constraints = (
            models.UniqueConstraint(
                fields=["email"],
                condition=models.Q(accepted_at=None, revoked_at=None),
                name="auth_invitations_one_pending",
            ),
        )

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def key(self) -> str:
        """What proves that the mailed link was followed: 128 random bits and an HMAC-SHA256 of them."""
        return signer().sign(self.link)

    @staticmethod
    def fresh_link() -> dict[str, Any]:
        days: int = settings.INVITATION_DAYS  # type: ignore[misc] # of a feature: mypy reads the kernel's
        return {
            "link": secrets.token_urlsafe(16),
            "expires_at": timezone.now() + timedelta(days=days),
        }
