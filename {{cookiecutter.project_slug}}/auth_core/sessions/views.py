"""Token endpoints: refresh, verify, logout."""

from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from auth_core.http.schema import ERRORS_400_401, Detail
from auth_core.http.views import PublicEndpoint

from . import services
from .authentication import SessionTokenAuthentication
from .serializers import LogoutSerializer, RefreshSerializer, TokenPairSerializer, TokenSerializer


def pair_data(pair: services.TokenPair) -> dict[str, Any]:
    return {
        "access": str(pair.access),
        "refresh": str(pair.refresh),
        "access_expiration": datetime.fromtimestamp(pair.access["exp"], UTC),
        "refresh_expiration": datetime.fromtimestamp(pair.refresh["exp"], UTC),
    }


# A reuse ends the session although the request fails: no transaction around it may roll that back.
@method_decorator(transaction.non_atomic_requests, name="dispatch")
class RefreshView(PublicEndpoint, GenericAPIView):
    """Exchange a refresh token for a new pair; the old one is then used up."""

    serializer_class: type[Serializer] = RefreshSerializer

    @extend_schema(
        operation_id="token_refresh", responses={200: TokenPairSerializer, **ERRORS_400_401}
    )
    def post(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        pair = services.rotate(serializer.validated_data["refresh"])
        return Response(TokenPairSerializer(pair_data(pair)).data)


class VerifyView(PublicEndpoint, GenericAPIView):
    """Say whether an access token is valid now: 200 with an empty object, or 401."""

    serializer_class = TokenSerializer

    @extend_schema(
        operation_id="token_verify", responses={200: {"type": "object"}, **ERRORS_400_401}
    )
    def post(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        services.live_session(serializer.validated_data["token"])
        return Response({})


class LogoutView(PublicEndpoint, GenericAPIView):
    """End the session of the access token in the header or of the refresh token in the body.

    Always 200: an absent, expired or foreign token changes nothing (RFC 7009, 2.2).
    """

    serializer_class = LogoutSerializer

    @extend_schema(operation_id="logout", responses={200: Detail})
    def post(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        # The access token of the request decides; a refresh token beside it may be somebody else's.
        token = SessionTokenAuthentication().raw_token(request) or serializer.validated_data.get(
            "refresh"
        )
        if token:
            services.end_by_token(token)
        return Response({"detail": _("Successfully logged out.")})
