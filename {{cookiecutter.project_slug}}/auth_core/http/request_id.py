"""The id of a request, which ties its answer to its lines in the log."""

import re
import uuid
from contextvars import ContextVar
from typing import Any

WELL_FORMED = re.compile(r"\A[A-Za-z0-9._-]{8,128}\Z")

# Django's request while it is answered, for what is called without it: signals, the log.
current_request: ContextVar[Any] = ContextVar("current_request", default=None)


def choose(given: str) -> str:
    """Keep the caller's id where it is well-formed, or make one."""
    return given if WELL_FORMED.match(given) else uuid.uuid4().hex


def request_id(request: Any) -> str:
    """Return the id that RequestIdMiddleware gave to Django's or DRF's request."""
    return str(getattr(getattr(request, "_request", request), "id", ""))
