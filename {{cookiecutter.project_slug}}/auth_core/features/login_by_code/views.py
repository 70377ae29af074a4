"""Endpoints of the logins by an e-mailed code."""

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from auth_core.accounts.views import LOGIN_CODES, LoginOrStep, hide_passwords, log_in
from auth_core.http.schema import codes
from auth_core.http.views import PublicEndpoint

from . import services
from .serializers import LoginCodeAnswer, LoginCodeConfirmSerializer, LoginCodeSerializer


class LoginCodeView(PublicEndpoint, GenericAPIView):
    """Mail a code to log in with, which ends the one before, as often as the limits grant; always 200.

    Only a verified address gets one.
    """

    serializer_class = LoginCodeSerializer
    rate_limit = "login_code"

    @extend_schema(
        operation_id="login_code", responses={200: LoginCodeAnswer, 400: codes("required")}
    )
    def post(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        token = services.request_code(serializer.validated_data["name"], request._request)
        return Response({"detail": _("Login code e-mail has been sent."), "login_token": token})


@hide_passwords  # codes and tokens are like them
class LoginCodeConfirmView(PublicEndpoint, GenericAPIView):
    """Log in with the mailed code and the token of who asked for it: 200 like a login.

    400 with `invalid_code`, also for one that expired, was used, or tried too often: ask for another.
    """

    serializer_class = LoginCodeConfirmSerializer

    @extend_schema(
        operation_id="login_code_confirm",
        responses={200: LoginOrStep, 400: codes("invalid_code", *LOGIN_CODES)},
    )
    def post(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        body, http_request = serializer.validated_data, request._request
        user = services.use_code(body["login_token"], body["code"], http_request)
        return log_in(self, user, http_request, amr=services.AMR)
