"""Deletes many rows in small batches, each committed by itself, so that nobody waits for long."""

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet

# Rows that are looked at for one batch.
BATCH = 5000


def _delete(rows: Any) -> int:
    deleted: int = rows.delete()[0]
    return deleted


def delete_in_batches(rows: QuerySet[Any], delete: Callable[[Any], int] = _delete) -> int:
    """Delete the rows of a query set; return how many.

    Goes along the primary key once, whatever the rows are chosen by: to look for each batch anew would
    read the table as often as there are batches, where no index helps.
    """
    keys = rows.model._default_manager.order_by("pk").values_list("pk", flat=True)
    deleted = 0
    first: dict[str, Any] = {}
    while (last := keys.filter(**first)[BATCH - 1 : BATCH].first()) is not None:
        deleted += delete(rows.filter(**first, pk__lte=last))
        first = {"pk__gt": last}
    return deleted + delete(rows.filter(**first))
