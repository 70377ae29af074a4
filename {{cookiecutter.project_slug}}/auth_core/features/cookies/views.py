"""The CSRF token."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from auth_core.http.views import PublicEndpoint

from . import csrf
from .delivery import session_id_of


class CsrfAnswer(serializers.Serializer):
    csrf_token = serializers.CharField()


class CsrfView(PublicEndpoint):
    """Get the token to send as X-CSRF-Token with every unsafe request; a login changes it."""

    @extend_schema(operation_id="csrf", responses={200: CsrfAnswer})
    def get(self, request: Request) -> Response:
        return Response({"csrf_token": csrf.make_token(session_id_of(request))})
