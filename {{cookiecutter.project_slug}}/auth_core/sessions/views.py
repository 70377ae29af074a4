"""Token and session endpoints: refresh, verify, logout, list and end sessions."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from uuid import UUID

from django.http import Http404
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from auth_core.http.schema import Detail, codes
from auth_core.http.views import PublicEndpoint
from auth_core.mail import outbox

from . import services
from .authentication import SessionTokenAuthentication
from .delivery import delivery
from .models import AuthSession, Delivery, RevocationReason
from .serializers import (
    LogoutSerializer,
    RefreshSerializer,
    SessionSerializer,
    TokenPairSerializer,
    TokenSerializer,
)


class RefreshView(PublicEndpoint, GenericAPIView):
    """Exchange a refresh token for a new pair; the old one is then used up."""

    serializer_class: type[Serializer] = RefreshSerializer

    @extend_schema(
        operation_id="token_refresh",
        responses={200: TokenPairSerializer, 401: codes(*services.TOKEN_CODES)},
    )
    def post(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        token, arrived_by = serializer.validated_data.get("refresh"), Delivery.HEADER
        if token is None:
            token, arrived_by = delivery().refresh_token(request), Delivery.COOKIE
        if token is None:
            raise services.refusal("token_not_valid")
        pair = services.rotate(token, request._request, arrived_by)
        answer = Response(TokenPairSerializer(delivery().body(pair)).data)
        return delivery().attach(request, answer, pair)


class VerifyView(PublicEndpoint, GenericAPIView):
    """Say whether an access token is valid now: 200 with an empty object, or 401."""

    serializer_class = TokenSerializer

    @extend_schema(
        operation_id="token_verify",
        responses={200: {"type": "object"}, 401: codes(*services.TOKEN_CODES)},
    )
    def post(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        services.restrict(services.live_session(serializer.validated_data["token"]), request)
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
        for token, arrived_by in self._tokens(request, serializer.validated_data.get("refresh")):
            if token and services.end_by_token(token, request._request, arrived_by):
                break
        return delivery().clear(request, Response({"detail": _("Successfully logged out.")}))

    @staticmethod
    def _tokens(
        request: Request, refresh: str | None
    ) -> Iterator[tuple[str | bytes | None, Delivery]]:
        """The first genuine one decides: a refresh token beside an access token may be somebody else's."""
        with suppress(AuthenticationFailed):  # not even the form of a token
            yield SessionTokenAuthentication().header_token(request), Delivery.HEADER
        yield delivery().access_token(request), Delivery.COOKIE
        yield refresh, Delivery.HEADER
        yield delivery().refresh_token(request), Delivery.COOKIE


class OwnSessions(GenericAPIView):
    """The living sessions of the user."""

    permission_classes = (IsAuthenticated,)
    serializer_class = SessionSerializer
    pagination_class = None

    def get_queryset(self) -> Any:
        user = self.request.user
        return AuthSession.objects.live().filter(
            user=user.pk, auth_hash__in=services.auth_hashes(user)
        )

    def end(self, sessions: Any, reason: RevocationReason = RevocationReason.REVOKED) -> int:
        request = self.request
        return services.end_sessions(
            sessions, reason, request._request, user_id=request.user.pk, session_id=request.auth.pk
        )

    def notify(self) -> None:
        request = self.request
        outbox.notify(request.user, request._request, "account/email/sessions_ended")


class SessionListView(OwnSessions):
    @extend_schema(operation_id="session_list", responses={200: SessionSerializer(many=True)})
    def get(self, request: Request) -> Response:
        """List the own living sessions, the newest first."""
        return Response(self.get_serializer(self.get_queryset(), many=True).data)

    @extend_schema(operation_id="session_end_others", responses={204: None})
    def delete(self, request: Request) -> Response:
        """End every other session of the user."""
        if self.end(self.get_queryset().exclude(pk=request.auth.pk)):
            self.notify()
        return Response(status=status.HTTP_204_NO_CONTENT)


class SessionView(OwnSessions):
    @extend_schema(operation_id="session_end", responses={204: None})
    def delete(self, request: Request, pk: UUID) -> Response:
        """End one session of the user; an unknown one and somebody else's are answered alike."""
        if not self.end(self.get_queryset().filter(pk=pk)):
            raise Http404
        return Response(status=status.HTTP_204_NO_CONTENT)


class LogoutAllView(OwnSessions):
    @extend_schema(operation_id="logout_all", request=None, responses={200: Detail})
    def post(self, request: Request) -> Response:
        """End every session of the user, this one included."""
        self.end(self.get_queryset(), RevocationReason.LOGOUT)
        self.notify()
        return delivery().clear(request, Response({"detail": _("Successfully logged out.")}))
