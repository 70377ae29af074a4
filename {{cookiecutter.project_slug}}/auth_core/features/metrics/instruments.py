"""What is counted and measured. No label holds who, from where or with what: their values are few."""

import logging
import time
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from prometheus_client import Counter, Histogram

GetResponse = Callable[[HttpRequest], HttpResponse]

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

EVENTS = Counter(
    "auth_events_total",
    "Events of the audit trail, and refreshes (docs/security.md lists them).",
    ["event", "outcome"],
)
HASHING = Histogram(
    "auth_password_hash_seconds",
    "How long a password was hashed (work), and waited for its turn (wait).",
    ["part"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
REQUESTS = Histogram(
    "http_request_duration_seconds",
    "How long views took to answer, by the pattern of their URL.",
    ["method", "route", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)


class CountEvents(logging.Handler):
    """Counts the lines of the audit log: what was rolled back has none."""

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = getattr(record, "audit", {})
        # A line of another kind tells of no event: that one could not be recorded, for example.
        if record.getMessage() == fields.get("event"):
            EVENTS.labels(fields["event"], fields["outcome"]).inc()


def observe_hash(waited: float, worked: float, **_: Any) -> None:
    HASHING.labels("wait").observe(waited)
    HASHING.labels("work").observe(worked)


class MeasureRequests:
    """Measures every request that reaches a view, or none: the 404 of an unknown path has no route."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        began = time.perf_counter()
        response = self.get_response(request)
        match = request.resolver_match
        method = request.method if request.method in METHODS else "other"
        labels = (method, match.route if match else "", response.status_code)
        REQUESTS.labels(*labels).observe(time.perf_counter() - began)
        return response
