"""One row per counter. Keys are hashes: they tell neither an address nor what was typed as a name."""

from django.db import models


class Counter(models.Model):
    key = models.CharField(max_length=64, primary_key=True)
    uses = models.IntegerField()
    # So many uses pass before the first refusal.
    free = models.IntegerField()
    # Seconds, doubled by each further use; 0: refused until the counter expires.
    first_wait = models.IntegerField()
    # Refusals since the last use that passed; the first is audited.
    refusals = models.IntegerField()
    # Seconds since 1970, so that one statement compares and adds on every database.
    blocked_until = models.BigIntegerField()
    expires_at = models.BigIntegerField(db_index=True)

    def __str__(self) -> str:
        return self.key
