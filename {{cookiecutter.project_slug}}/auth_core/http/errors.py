"""One shape for every error: DRF's own body plus `code` (for programs) and `request_id`.

{"detail": "...", "code": "not_authenticated", "request_id": "..."}
{"email": ["Enter a valid ..."], "code": "invalid", "codes": {"email": ["invalid"]}, "request_id": "..."}
"""

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.shortcuts import render
from django.urls import Resolver404, resolve
from django.utils.translation import gettext as _
from django.views.debug import SafeExceptionReporterFilter
from rest_framework import exceptions, status
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_exception_handler

from auth_core.sessions.delivery import delivery

from .paths import is_in_admin
from .request_id import request_id

logger = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = "5"
# A server that became read-only, and one that ended a transaction left idle; Django has no error of its
# own for them.
AWAY_STATES = {"25006", "25P03"}


def is_unavailable(error: BaseException | None) -> bool:
    """Say whether something is away or overloaded, the database for one, and not that a query is wrong."""
    state = getattr(error.__cause__, "sqlstate", None) if error else None
    return (
        isinstance(error, OperationalError | InterfaceError | Unavailable) or state in AWAY_STATES
    )


class ReportFilter(SafeExceptionReporterFilter):
    """Keeps passwords, token cookies and the cache's address out of error reports, in development too.

    And every local variable, in development of requests that may carry a password only: secrets pass
    through the functions of many libraries.
    """

    hidden_settings = re.compile(
        f"{SafeExceptionReporterFilter.hidden_settings.pattern}|ACCESS|REFRESH|LOCATION", re.I
    )

    def is_active(self, request: HttpRequest | None) -> bool:
        return True

    def get_traceback_frame_variables(self, request: Any, tb_frame: Any) -> Any:
        if not settings.DEBUG or getattr(request, "sensitive_post_parameters", None):
            return [(name, self.cleansed_substitute) for name in tb_frame.f_locals]
        return super().get_traceback_frame_variables(request, tb_frame)


class Unavailable(exceptions.APIException):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "The service is not available; try again in a moment."
    default_code = "unavailable"


def all_codes(codes: Any) -> set[str]:
    if isinstance(codes, Mapping):
        return set().union(*map(all_codes, codes.values())) if codes else set()
    if isinstance(codes, list):
        return set().union(*map(all_codes, codes)) if codes else set()
    return {str(codes)}


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's handler, with `code` and `request_id` added."""
    if isinstance(error, DjangoValidationError):
        error = exceptions.ValidationError(
            {"non_field_errors": [exceptions.ErrorDetail(m) for m in error.messages]}
        )
    if is_unavailable(error) and not isinstance(error, Unavailable):
        logger.error("The database failed.", exc_info=error)
        error = Unavailable()
    if isinstance(error, UnreadablePostError):
        error = exceptions.ParseError("The body broke off.")
    response = drf_exception_handler(error, context)
    if response is None:
        return None
    body: dict[str, Any] = (
        response.data if isinstance(response.data, dict) else {"non_field_errors": response.data}
    )
    if isinstance(error, exceptions.ValidationError):
        codes = error.get_codes()
        fields = codes if isinstance(codes, dict) else {"non_field_errors": codes}
        distinct = all_codes(codes)
        if isinstance(body.get("code"), list):
            # Of a field that is called so: that name is for programs.
            messages = body.pop("code")
            body["non_field_errors"] = [*body.get("non_field_errors", []), *messages]
        body.setdefault("code", distinct.pop() if len(distinct) == 1 else "invalid")
        body["codes"] = fields
    else:
        detail = getattr(error, "detail", body.get("detail"))
        body.setdefault(
            "code",
            getattr(detail, "code", None)
            or {403: "permission_denied", 404: "not_found"}.get(response.status_code, "error"),
        )
    request = context["request"]
    body["request_id"] = request_id(request)
    _note_refusal(request._request, body["code"], body.get("codes"))
    response.data = body
    # Also where the view renders something else, like the schema.
    request.accepted_renderer, request.accepted_media_type = JSONRenderer(), "application/json"
    if response.status_code == status.HTTP_401_UNAUTHORIZED:
        response = delivery().clear(request, response)
    elif response.status_code == status.HTTP_503_SERVICE_UNAVAILABLE:
        response["Retry-After"] = RETRY_AFTER_SECONDS
    return response


def _note_refusal(request: HttpRequest, code: str, codes: Any = None) -> None:
    """Leave why a request is refused to the line that Django will log of it."""
    request.refusal = {"reason": code, **({"fields": codes} if codes else {})}  # type: ignore[attr-defined]


def error_response(request: HttpRequest, status: int, code: str, detail: str) -> JsonResponse:
    """An error outside of DRF's views, in the same shape."""
    _note_refusal(request, code)
    return JsonResponse(
        {"detail": detail, "code": code, "request_id": request_id(request)}, status=status
    )


def unavailable(request: HttpRequest) -> JsonResponse:
    response = error_response(request, 503, Unavailable.default_code, Unavailable.default_detail)
    response["Retry-After"] = RETRY_AFTER_SECONDS
    return response


def bad_request(request: HttpRequest, exception: Exception) -> JsonResponse:
    return error_response(request, 400, "bad_request", "The request is malformed.")


def permission_denied(request: HttpRequest, exception: Exception) -> JsonResponse:
    return error_response(request, 403, "permission_denied", "Not permitted.")


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Refuse a form of Django's without its proof; in the admin by a page, which says what to do."""
    answer = error_response(request, 403, "csrf_failed", "The CSRF proof is missing or wrong.")
    if not is_in_admin(request):
        return answer
    context = {"title": _("The form was not accepted"), "request_id": request_id(request)}
    return render(request, "admin/csrf_failed.html", context, status=403)


def not_found(request: HttpRequest, exception: Exception) -> JsonResponse:
    """Answer 404, and name the path with a slash where only that was missing."""
    detail = "Not found."
    try:
        resolve(f"{request.path_info}/")
        detail = f"Not found. Did you mean {request.path}/ ?"
    except Resolver404:
        pass
    return error_response(request, 404, "not_found", detail)


def server_error(request: HttpRequest) -> JsonResponse:
    """Answer 500, or 503 where the database was away outside of DRF's views; Django has logged it."""
    if is_unavailable(sys.exception()):
        return unavailable(request)
    return error_response(
        request, 500, "server_error", "Something went wrong; it was logged under this request id."
    )
