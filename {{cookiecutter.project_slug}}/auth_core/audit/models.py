"""The audit trail: rows are added, never changed, and deleted only when they are old.

The database refuses the same by triggers (migration 0002), for whoever comes round this class.
"""

import uuid
from typing import Any, NoReturn

from django.db import NotSupportedError, models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


def _refuse() -> NoReturn:
    raise NotSupportedError("The audit trail is append-only.")


class AuditEventQuerySet(models.QuerySet["AuditEvent"]):
    def update(self, **values: Any) -> NoReturn:
        _refuse()

    def delete(self) -> NoReturn:
        _refuse()

    def purge(self) -> int:
        """Delete rows that are beyond the retention; the database refuses younger ones."""
        return super().delete()[0]


class AuditEvent(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    time = models.DateTimeField(default=timezone.now, db_index=True)
    # A word of OWASP's logging vocabulary.
    event = models.CharField(max_length=40, db_index=True)
    outcome = models.CharField(max_length=7, default="success")
    # Plain ids, not relations: a row outlives the user and the session it tells of.
    # The account concerned ...
    user_id = models.UUIDField(null=True, blank=True, db_index=True)
    # ... and who did it, where that was proved.
    actor_id = models.UUIDField(null=True, blank=True, db_index=True)
    session_id = models.UUIDField(null=True, blank=True)
    ip = models.GenericIPAddressField(_("IP address"), null=True, blank=True)
    user_agent = models.CharField(max_length=200, blank=True)
    request_id = models.CharField(max_length=128, blank=True)
    detail = models.JSONField(default=dict, blank=True)

    objects = AuditEventQuerySet.as_manager()

    class Meta:
        verbose_name = _("audit event")
        verbose_name_plural = _("audit events")
        ordering = ("-time",)

    def __str__(self) -> str:
        return f"{self.time:%Y-%m-%d %H:%M:%S} {self.event}"

    def save(self, **kwargs: Any) -> None:
        if not self._state.adding:
            _refuse()
        super().save(**{**kwargs, "force_insert": True})

    def delete(self, **kwargs: Any) -> NoReturn:  # type: ignore[override]
        _refuse()
