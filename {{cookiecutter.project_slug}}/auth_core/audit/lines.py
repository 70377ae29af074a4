"""How the log looks: one line per event, whatever the texts in it hold (ASVS 16.4.1).

Nothing of Django is imported before a line is written: Django sets up logging first of all.
"""

import json
import logging
import re
from datetime import UTC, datetime
from typing import Any

from auth_core.http.request_id import current_request, request_id

# What moves the cursor, ends a line or cannot be encoded.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def escape(text: str) -> str:
    return UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class RequestFields(logging.Filter):
    """Adds to each line of a request its id and, where Django logs a refusal, why and to whom."""

    def filter(self, record: logging.LogRecord) -> bool:
        request = getattr(record, "request", None) or current_request.get()
        if hasattr(request, "META"):
            fields = {"request_id": request_id(request), **self._refusal(record, request)}
            record.audit = {**fields, **getattr(record, "audit", {})}
        return True

    @staticmethod
    def _refusal(record: logging.LogRecord, request: Any) -> dict[str, Any]:
        status = getattr(record, "status_code", 0)
        if not 400 <= status < 500:
            return {}
        from .log import context_of, event_of_refusal

        return {
            "event": event_of_refusal(status),
            "outcome": "failure",
            "status": status,
            "method": request.method,
            "path": request.path,
            **getattr(request, "refusal", {}),
            **context_of(request),
        }


class JsonFormatter(logging.Formatter):
    """One line of JSON per record, in UTC and ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line = {**line, **getattr(record, "audit", {}), **line}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """For people: only a traceback has lines of its own, and those are indented."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        return escape(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return "\n".join(f"    {escape(line)}" for line in super().formatException(ei).split("\n"))
