"""Middleware around everything else: request ids, bounded bodies, no plain http, security headers."""

import io
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers

from .errors import error_response
from .request_id import choose

GetResponse = Callable[[HttpRequest], HttpResponse]


class RequestIdMiddleware:
    """Gives every request an id, or keeps the caller's well-formed X-Request-ID, and answers with it."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        chosen = choose(request.headers.get("X-Request-ID", ""))
        request.id = chosen  # type: ignore[attr-defined]
        response = self.get_response(request)
        response["X-Request-ID"] = chosen
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


class BodyLimitMiddleware:
    """Refuses a body beyond BODY_LIMIT_BYTES (413) before anything parses it, chunked ones too.

    DRF does not apply DATA_UPLOAD_MAX_MEMORY_SIZE to JSON (ASVS 15.2.2).
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        limit: int = settings.BODY_LIMIT_BYTES
        length = request.META.get("CONTENT_LENGTH") or "0"
        if not length.isdigit():
            return error_response(request, 400, "bad_request", "Content-Length is malformed.")
        too_large = int(length) > limit
        if request.headers.get("Transfer-Encoding") and not too_large:
            # Django reads nothing of a body without a length: take it from the server, bounded.
            body = request.META["wsgi.input"].read(limit + 1)
            too_large = len(body) > limit
            request._stream = io.BytesIO(body)
            request.META["CONTENT_LENGTH"] = str(len(body))
        if too_large:
            return error_response(
                request, 413, "body_too_large", f"A body may hold {limit} bytes at the most."
            )
        return self.get_response(request)


API_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
# Swagger UI sets styles of its own.
PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'; object-src 'none'"
)


class SecurityHeadersMiddleware:
    """Sets what every answer needs and no view may forget (OWASP HTTP Headers Cheat Sheet)."""

    HEADERS = {
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        "Cache-Control": "no-store",
    }

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        is_page = response.get("Content-Type", "").startswith("text/html")
        response.setdefault("Content-Security-Policy", PAGE_POLICY if is_page else API_POLICY)
        for name, value in self.HEADERS.items():
            response.setdefault(name, value)
        patch_vary_headers(response, ["Authorization", "Cookie"])
        return response
