"""Endpoints of the API keys: list, make, revoke. For sessions: a key opens none of them."""

from typing import Any
from uuid import UUID

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from auth_core.http.schema import codes
from auth_core.http.views import RateLimited
from auth_core.sessions.permissions import RecentlyAuthenticated

from . import services
from .creation import create
from .models import ApiKey
from .serializers import ApiKeySerializer, CreatedApiKeySerializer, NewApiKeySerializer


class OwnApiKeys(RateLimited, GenericAPIView):
    """The keys of the user that were not revoked."""

    permission_classes = (IsAuthenticated,)
    serializer_class = ApiKeySerializer
    pagination_class = None
    rate_limit = "api_keys"

    def get_permissions(self) -> Any:
        if self.request.method == "POST":
            return [RecentlyAuthenticated()]
        return super().get_permissions()

    def get_queryset(self) -> Any:
        return ApiKey.objects.unrevoked().filter(user=self.request.user.pk)

    def revoke(self, keys: Any) -> int:
        return services.revoke(keys, "revoked", self.request._request)


class ApiKeyListView(OwnApiKeys):
    @extend_schema(operation_id="api_key_list", responses={200: ApiKeySerializer(many=True)})
    def get(self, request: Request) -> Response:
        """List the own keys, the newest first, without their secrets; those that expired, too."""
        return Response(self.get_serializer(self.get_queryset(), many=True).data)

    @extend_schema(
        operation_id="api_key_create",
        request=NewApiKeySerializer,
        responses={201: CreatedApiKeySerializer, 400: codes("too_many_keys")},
    )
    def post(self, request: Request) -> Response:
        """Make a key, which only this answer shows; mails a notice."""
        body = NewApiKeySerializer(data=request.data)
        body.is_valid(raise_exception=True)
        session: Any = request.auth
        key, text = create(session, **body.validated_data, request=request._request)
        answer = {**self.get_serializer(key).data, "key": text}
        return Response(answer, status=status.HTTP_201_CREATED)

    @extend_schema(operation_id="api_key_revoke_all", responses={204: None})
    def delete(self, request: Request) -> Response:
        """Revoke every key of the user."""
        self.revoke(self.get_queryset())
        return Response(status=status.HTTP_204_NO_CONTENT)


class ApiKeyView(OwnApiKeys):
    @extend_schema(operation_id="api_key_revoke", responses={204: None})
    def delete(self, request: Request, pk: UUID) -> Response:
        """Revoke a key: it is dead at once. An unknown one and somebody else's are answered alike."""
        if not self.revoke(self.get_queryset().filter(pk=pk)):
            raise Http404
        return Response(status=status.HTTP_204_NO_CONTENT)
