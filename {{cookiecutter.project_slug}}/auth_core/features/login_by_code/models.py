"""One row for each request of a code, whether anybody has that name or not: they cannot be told apart."""

from django.conf import settings
from django.db import models

from auth_core.sessions.models import Delivery


class LoginCode(models.Model):
    """Deleted when its code is used, and dead after some time or tries."""

    # Of the token that its client got, which is not stored.
    digest = models.CharField(max_length=64, primary_key=True)
    # What was typed, until the mail's task has looked whose it is.
    name = models.CharField(max_length=254, blank=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="+")
    # An HMAC of the code. Empty where none was mailed, or another one since.
    code = models.CharField(max_length=64, blank=True)
    # How its tokens shall reach the client: it cannot end in another way than it began.
    delivery = models.CharField(max_length=10, choices=Delivery)
    tries = models.PositiveSmallIntegerField(default=0)
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.digest[:8]
