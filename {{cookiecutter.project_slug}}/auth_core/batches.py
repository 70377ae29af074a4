"""Deletes many rows in small batches, each committed by itself, so that nobody waits for long."""

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet

BATCH = 1000


def _delete(rows: Any) -> int:
    deleted: int = rows.delete()[0]
    return deleted


def delete_in_batches(rows: QuerySet[Any], delete: Callable[[Any], int] = _delete) -> int:
    """Delete the rows of a query set; return how many.

    Goes along the primary key once: each batch looking from the start would pass all that stays, and
    on PostgreSQL all that was just deleted, again.
    """
    deleted, rest = 0, rows.order_by("pk")
    while batch := list(rest.values_list("pk", flat=True)[:BATCH]):
        deleted += delete(rows.model._default_manager.filter(pk__in=batch))
        rest = rest.filter(pk__gt=batch[-1])
    return deleted
