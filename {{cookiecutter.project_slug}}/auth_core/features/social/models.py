"""One row per flow, from its beginning here until the client brings back what the provider granted."""

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
