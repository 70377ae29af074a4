"""Middleware around everything else: request ids, languages, bounded bodies, no plain http, security headers."""

import io
import logging
import re
from collections.abc import Callable
from typing import IO, Any
from urllib.parse import SplitResult

from corsheaders import middleware as corsheaders
from django.conf import settings
from django.conf.urls.i18n import is_language_prefix_patterns_used
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.middleware.locale import LocaleMiddleware
from django.utils import translation
from django.utils.cache import patch_vary_headers

from . import origins
from .errors import error_response
from .paths import is_in_admin
from .request_id import choose, current_request, request_id

GetResponse = Callable[[HttpRequest], HttpResponse]

logger = logging.getLogger(__name__)


class RequestIdMiddleware:
    """Gives every request an id, or keeps the caller's well-formed X-Request-ID, and answers with it."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        chosen = choose(request.headers.get("X-Request-ID", ""))
        request.id = chosen  # type: ignore[attr-defined]
        token = current_request.set(request)
        try:
            response = self.get_response(request)
        finally:
            current_request.reset(token)
        response["X-Request-ID"] = chosen
        return response


class LanguageMiddleware:
    """Speaks the language of Accept-Language: Django's LocaleMiddleware, where paths begin with one.

    Where they do not, that looks for one in the path all the same, twice, and longer than for the rest.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self.of_path: Any = LocaleMiddleware(get_response)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if is_language_prefix_patterns_used(settings.ROOT_URLCONF)[0]:
            return self.of_path(request)
        translation.activate(translation.get_language_from_request(request))
        request.LANGUAGE_CODE = translation.get_language()
        response = self.get_response(request)
        patch_vary_headers(response, ["Accept-Language"])
        response.headers.setdefault("Content-Language", translation.get_language())
        return response


class HttpsOnlyMiddleware:
    """Refuses plain http in production: a redirect would answer after the secret was sent (ASVS 4.1.2).

    A token that was sent so is logged, not revoked: a proxy that was set up wrongly would log
    everybody out.
    """

    EXEMPT = ("/health/",)

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if (
            settings.PRODUCTION
            and not request.is_secure()
            and not request.path.startswith(self.EXEMPT)
        ):
            if request.headers.get("Authorization") or request.COOKIES:
                logger.warning(
                    "Credentials came over plain http (is TRUSTED_PROXIES right?).",
                    extra={"audit": {"request_id": request_id(request), "path": request.path}},
                )
            return error_response(request, 403, "https_required", "Use https.")
        return self.get_response(request)


class BodyLimitMiddleware:
    """Refuses a body beyond BODY_LIMIT_BYTES (413) before anything parses it, chunked ones too.

    DRF does not apply DATA_UPLOAD_MAX_MEMORY_SIZE to JSON (ASVS 15.2.2). Of a body without a length
    only what the server says to end is read (411 otherwise, RFC 9110, 15.5.12): nothing here waits
    for bytes that never come.
    """

    LENGTH = re.compile(r"\A[0-9]{0,18}\Z")

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        limit: int = settings.BODY_LIMIT_BYTES
        length = request.META.get("CONTENT_LENGTH") or ""
        if not self.LENGTH.match(length):
            return error_response(request, 400, "bad_request", "Content-Length is malformed.")
        size = int(length or 0)
        if size <= limit and request.headers.get("Transfer-Encoding"):
            stream = self._ending_stream(request)
            if stream is None:
                return error_response(request, 411, "length_required", "Send a Content-Length.")
            try:
                body = stream.read(limit + 1)
            except Exception:
                # Servers raise errors of their own for chunks that are malformed or break off.
                return error_response(request, 400, "bad_request", "The body is malformed.")
            # Django itself reads nothing of a body without a length.
            size = len(body)
            request._stream = io.BytesIO(body)
            request.META["CONTENT_LENGTH"] = str(size)
        if size > limit:
            return error_response(
                request, 413, "body_too_large", f"A body may hold {limit} bytes at the most."
            )
        return self.get_response(request)

    @staticmethod
    def _ending_stream(request: HttpRequest) -> IO[bytes] | None:
        if "wsgi.input" not in request.META:
            return request._stream  # ASGI: Django has stored the body already
        stream: Any = request.META["wsgi.input"]
        return stream if request.META.get("wsgi.input_terminated") else None


class CorsMiddleware(corsheaders.CorsMiddleware):
    """Lets the origins that are ours read answers: exactly those that the CSRF proof accepts."""

    def origin_found_in_white_lists(self, origin: str, url: SplitResult) -> bool:
        return origins.is_ours(origin)


class MethodNotAllowedMiddleware:
    """Gives the 405 of Django's own views, which is empty, the shape of every error."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if not isinstance(response, HttpResponseNotAllowed):
            return response
        detail = f'Method "{request.method}" not allowed.'
        answer = error_response(request, 405, "method_not_allowed", detail)
        answer["Allow"] = response["Allow"]
        return answer


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
        if is_in_admin(request):
            # Without a referrer a browser's form says `Origin: null`, which Django refuses.
            response["Referrer-Policy"] = "same-origin"
        patch_vary_headers(response, ["Authorization", "Cookie"])
        return response
