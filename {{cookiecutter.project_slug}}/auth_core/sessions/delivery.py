"""How tokens travel between the server and its clients.

Here: in bodies and in the Authorization header. A feature may replace the class through the
setting TOKEN_DELIVERY (cookies do).
"""

from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.module_loading import import_string
from rest_framework.request import Request
from rest_framework.response import Response

from .models import Delivery

if TYPE_CHECKING:
    from .services import TokenPair


class HeaderDelivery:
    def of(self, request: HttpRequest) -> Delivery:
        """Say how a session begun by this request shall be delivered."""
        return Delivery.HEADER

    def check(self, request: Request) -> None:
        """Refuse a forged request to a public endpoint; nothing travels by itself in a header."""

    def access_token(self, request: Request) -> str | None:
        """Return an access token that came neither in the Authorization header nor in the body."""
        return None

    def refresh_token(self, request: Request) -> str | None:
        """Return a refresh token that did not come in the body."""
        return None

    def body(self, pair: "TokenPair") -> dict[str, Any]:
        """Return what a body tells of a fresh pair."""
        return {
            "access": str(pair.access),
            "refresh": str(pair.refresh),
            "access_expiration": datetime.fromtimestamp(pair.access["exp"], UTC),
            "refresh_expiration": datetime.fromtimestamp(pair.refresh["exp"], UTC),
        }

    def attach(self, request: Request, response: Response, pair: "TokenPair") -> Response:
        """Add to an answer what carries a fresh pair besides its body."""
        return response

    def clear(self, request: Any, response: Response) -> Response:
        """Take from the client what a dead session left with it."""
        return response


@cache
def _delivery(path: str) -> HeaderDelivery:
    return import_string(path)()


def delivery() -> HeaderDelivery:
    return _delivery(settings.TOKEN_DELIVERY)
