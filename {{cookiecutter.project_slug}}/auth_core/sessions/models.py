"""One row per login. No token text is stored: tokens name the row (`sid`) and its generation (`gen`)."""

import uuid
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class RevocationReason(models.TextChoices):
    LOGOUT = "logout", _("logged out")
    REVOKED = "revoked", _("ended by the user")
    REUSE = "reuse", _("refresh token used twice")
    PASSWORD = "password", _("password changed")
    EVICTED = "evicted", _("too many sessions")
    ADMIN = "admin", _("ended by an administrator")


class Delivery(models.TextChoices):
    """How a session's tokens reach its client; a token that arrives otherwise is refused."""

    HEADER = "header", _("header")
    COOKIE = "cookie", _("cookie")


# The delivery of a session without tokens: Django's cookie names it, in the admin and on pages of the team.
DJANGO = "django"


class AuthSessionQuerySet(models.QuerySet["AuthSession"]):
    def live(self, now: Any = None) -> "AuthSessionQuerySet":
        now = now or timezone.now()
        return self.filter(revoked_at=None, idle_expires_at__gt=now, absolute_expires_at__gt=now)

    def end(self, reason: RevocationReason) -> int:
        """Revoke those that live; return how many."""
        return self.filter(revoked_at=None).update(revoked_at=timezone.now(), revoked_reason=reason)


class AuthSession(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="auth_sessions"
    )
    # The user's session auth hash at login: any change of the password ends the session.
    auth_hash = models.CharField(max_length=128)
    # Counts the refreshes; a refresh token is valid for one generation.
    generation = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField()
    rotated_at = models.DateTimeField()
    # The session ends when not refreshed until then ...
    idle_expires_at = models.DateTimeField()
    # ... and then in any case.
    absolute_expires_at = models.DateTimeField(db_index=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_reason = models.CharField(max_length=20, blank=True, choices=RevocationReason)
    delivery = models.CharField(
        max_length=10,
        choices=[*Delivery.choices, (DJANGO, _("Django's session cookie"))],
        default=Delivery.HEADER,
    )
    # How the user proved who they are (RFC 8176: pwd, otp, ...), and when.
    amr = models.JSONField(default=list)
    auth_time = models.DateTimeField()
    ip = models.GenericIPAddressField(_("IP address"), null=True, blank=True)
    user_agent = models.CharField(max_length=200, blank=True)
    # As the limits see the address: where the user is known.
    network = models.CharField(max_length=43, blank=True)

    objects = AuthSessionQuerySet.as_manager()

    class Meta:
        verbose_name = _("login session")
        verbose_name_plural = _("login sessions")
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def acr(self) -> str:
        """The authentication assurance level (NIST SP 800-63B-4): aal2 with a second factor, aal1 without."""
        return "aal2" if "mfa" in self.amr else "aal1"

    @property
    def expires_at(self) -> datetime:
        return min(self.idle_expires_at, self.absolute_expires_at)
