"""Step-up: the user of a session proves again, with the password, who is at the device."""

from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from auth_core.audit.log import Event, record
from auth_core.http.schema import Detail, codes
from auth_core.sessions.models import AuthSession

from .passwords import PasswordField, confirm_password


class ReauthenticateSerializer(serializers.Serializer):
    """{"password"}."""

    password = PasswordField()

    def validate_password(self, value: str) -> str:
        request: Any = self.context["request"]
        if not confirm_password(request.user, value, request._request):
            record(
                Event.REAUTHENTICATION_FAIL,
                request._request,
                user_id=request.user.pk,
                session_id=request.auth.pk,
            )
            raise serializers.ValidationError(
                _("The password is not correct."), code="invalid_password"
            )
        return value


@method_decorator(sensitive_post_parameters(), name="dispatch")
# A refusal is on the audit trail whatever transaction surrounds the request.
@method_decorator(transaction.non_atomic_requests, name="dispatch")
class ReauthenticateView(GenericAPIView):
    """Confirm the own password: what asks for a recent login is open to this session for some minutes.

    Moves the session's auth_time, in OpenID Connect's sense, as a login sets it (ASVS 7.5.3).
    """

    permission_classes = (IsAuthenticated,)
    serializer_class = ReauthenticateSerializer

    @extend_schema(
        operation_id="reauthenticate", responses={200: Detail, 400: codes("invalid_password")}
    )
    def post(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        session = request.auth
        with transaction.atomic():
            AuthSession.objects.filter(pk=session.pk).update(auth_time=timezone.now())
            record(
                Event.REAUTHENTICATED,
                request._request,
                user_id=request.user.pk,
                session_id=session.pk,
            )
        return Response({"detail": _("ok")})
