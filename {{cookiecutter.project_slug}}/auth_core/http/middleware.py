"""Middleware around everything else: request ids, and no plain http in production."""

import re
import uuid
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from .errors import error_response

REQUEST_ID = re.compile(r"\A[A-Za-z0-9._-]{8,128}\Z")
GetResponse = Callable[[HttpRequest], HttpResponse]


class RequestIdMiddleware:
    """Gives every request an id, or keeps the caller's well-formed X-Request-ID, and answers with it."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-ID", "")
        request.id = given if REQUEST_ID.match(given) else uuid.uuid4().hex  # type: ignore[attr-defined]
        response = self.get_response(request)
        response["X-Request-ID"] = request.id  # type: ignore[attr-defined]
        return response


class HttpsOnlyMiddleware:
    """Refuses plain http in production: a redirect would answer after the secret was sent (ASVS 4.1.2)."""

    EXEMPT = ("/health/",)

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if (
            settings.PRODUCTION
            and not request.is_secure()
            and not request.path.startswith(self.EXEMPT)
        ):
            return error_response(request, 403, "https_required", "Use https.")
        return self.get_response(request)
