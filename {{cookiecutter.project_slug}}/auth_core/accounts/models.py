"""What recovery remembers, which address an account had before, and who registered without proving an address."""

import secrets
import uuid

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from .fields import CanonicalCharField, CanonicalEmailField


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


class Registration(models.Model):
    """A registration, until one client has shown the mailbox and the password together.

    Pending until `activated_at`: the user has neither name nor address nor password yet, so that it takes
    none from anybody; what is wanted stands here. After that the account is there, but unclaimed.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="registration"
    )
    username = CanonicalCharField(_("username"), max_length=150, null=True, db_index=True)
    email = CanonicalEmailField(_("email address"), db_index=True)
    # The hash, while the registration is pending.
    password = models.CharField(max_length=128, blank=True)
    requested_at = models.DateTimeField(_("requested"))
    activated_at = models.DateTimeField(_("activated"), null=True)
    ip = models.GenericIPAddressField(_("IP address"), null=True)
    user_agent = models.CharField(_("user agent"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("registration")
        verbose_name_plural = _("registrations")
        ordering = ("-requested_at",)

    def __str__(self) -> str:
        return str(self.pk)
