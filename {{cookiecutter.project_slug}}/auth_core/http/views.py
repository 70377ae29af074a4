"""Public endpoints, health, and the root of the API documents."""

import logging
from typing import Any

from django.db import Error, connection, transaction
from django.http import HttpRequest, JsonResponse
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_safe
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.views import APIView

from auth_core.sessions.authentication import SessionTokenAuthentication
from auth_core.sessions.delivery import delivery
from auth_core.throttling.limits import count_use

from .draining import is_draining
from .errors import unavailable

logger = logging.getLogger(__name__)


# What a refusal counts, ends and records stays: no transaction around the request may roll it back.
@method_decorator(transaction.non_atomic_requests, name="dispatch")
class RateLimited(APIView):
    """An endpoint whose POST is counted: `rate_limit` names one of RATE_LIMITS.

    Its rates by ip, user or all refuse (429); those by key are for the view to ask (`allows`).
    """

    rate_limit: str | None = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.before_counting(request)
        if self.rate_limit and request.method == "POST":
            count_use(self.rate_limit, request._request)

    def before_counting(self, request: Request) -> None:
        """Refuse what must not count."""


class PublicEndpoint(RateLimited):
    """An endpoint that proves identity itself: a dead token sent along never blocks it."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def before_counting(self, request: Request) -> None:
        delivery().check(request)

    def get_authenticate_header(self, request: Request) -> str:
        # Without authentication classes DRF would turn a 401 into a 403.
        return SessionTokenAuthentication().authenticate_header(request)


@require_safe
def live(request: HttpRequest) -> JsonResponse:
    """The process answers; says nothing of what it depends on."""
    return JsonResponse({"status": "ok"})


@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """The process can serve: 200, or 503 while the database does not answer or the server is to stop."""
    if is_draining():
        return unavailable(request)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error:
        logger.warning("The database does not answer.")
        return unavailable(request)
    return JsonResponse({"status": "ok", "database": True})
