"""What recovery remembers: which reset link is the newest, and which address an account had before."""

import secrets

from django.conf import settings
from django.db import models


def new_nonce() -> str:
    return secrets.token_urlsafe(16)


class PasswordResetNonce(models.Model):
    """The part of a user's newest reset link that ends with it: no row, no link.

    The link itself is not stored: it is an HMAC by SECRET_KEY over this and the state of the user.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="reset_nonce"
    )
    nonce = models.CharField(max_length=32, default=new_nonce)

    def __str__(self) -> str:
        return str(self.pk)


class EmailChange(models.Model):
    """A change of address, from its request until nobody can take it back any more."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="email_changes")
    # A plain id: what was changed can be taken back after the session is gone.
    session_id = models.UUIDField()
    old_email = models.EmailField(null=True)
    new_email = models.EmailField()
    requested_at = models.DateTimeField()
    applied_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return str(self.pk)
