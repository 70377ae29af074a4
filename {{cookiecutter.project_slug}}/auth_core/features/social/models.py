"""Flows, from their beginning here until the client brings back what was granted; identities that were unlinked."""

from typing import ClassVar

from django.conf import settings
from django.db import models


class Flow(models.Model):
    """What one login or link at a provider is bound to. Read once: whoever takes it deletes it."""

    # A hash of the flow token, which the client that began alone has.
    key = models.CharField(max_length=64, primary_key=True)
    provider = models.CharField(max_length=20)
    redirect_uri = models.TextField()
    state = models.CharField(max_length=43)
    nonce = models.CharField(max_length=43)
    code_verifier = models.CharField(max_length=128)
    # Who links; nobody is who logs in.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="+"
    )
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.provider


class Unlinked(models.Model):
    """An identity that was unlinked from a user: no login links it to them again, only they themselves do."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    # As in allauth's SocialAccount.
    provider = models.CharField(max_length=200)
    uid = models.CharField(max_length=191)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["user", "provider", "uid"], name="auth_social_unlinked_once"
            )
        ]

    def __str__(self) -> str:
        return self.provider
