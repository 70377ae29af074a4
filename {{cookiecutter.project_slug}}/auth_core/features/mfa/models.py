"""Logins that wait for their second factor, and first factors. The factors themselves are allauth's rows."""

from django.conf import settings
from django.db import models

from auth_core.sessions.models import Delivery


class PendingLogin(models.Model):
    """One login whose password was right; deleted when its code is, and dead after some time or tries."""

    # Of the token that its client got, which is not stored.
    digest = models.CharField(max_length=64, primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    # The user's session auth hash at that time: a change of the password ends the login.
    auth_hash = models.CharField(max_length=128)
    # How its user logged in so far (RFC 8176).
    amr = models.JSONField(default=list)
    # How its tokens shall reach the client: it cannot end in another way than it began.
    delivery = models.CharField(max_length=10, choices=Delivery)
    tries = models.PositiveSmallIntegerField(default=0)
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.digest[:8]


class FirstFactor(models.Model):
    """That a user got a factor when there was none: nothing older was asked for it, nor for what came after."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    added_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return str(self.pk)
