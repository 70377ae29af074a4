"""Endpoints of the second factor: dj-rest-auth's paths, bodies and status codes."""

import base64

from allauth.mfa.adapter import get_adapter
from django.db import transaction
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from auth_core.accounts import reauthentication
from auth_core.accounts import views as accounts
from auth_core.http.schema import Detail, codes
from auth_core.http.views import PublicEndpoint
from auth_core.sessions.permissions import RecentlyAuthenticated

from . import disowning, factors, services
from .serializers import (
    CodeSerializer,
    EnrolledAnswer,
    EnrolmentAnswer,
    EnrolSerializer,
    FullReauthenticateSerializer,
    RecoveryCodesAnswer,
    StatusAnswer,
    UndoSerializer,
    VerifySerializer,
)

# What a refusal counts and records stays.
non_atomic = method_decorator(transaction.non_atomic_requests, name="dispatch")


@accounts.hide_passwords  # codes are like them
class VerifyView(PublicEndpoint, GenericAPIView):
    """Finish a login with a code: 200 with a token pair and the user.

    400 with `invalid_code`, or with `invalid_login` when to begin it again: after five minutes, five
    wrong codes or a change of the account. Wrong codes make wait, like wrong passwords: 429.
    """

    serializer_class = VerifySerializer

    @extend_schema(
        operation_id="mfa_verify",
        responses={
            200: accounts.LoginAnswer,
            400: codes("invalid_code", "invalid_login", *accounts.LOGIN_CODES),
        },
    )
    def post(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        body = serializer.validated_data
        pair = services.finish_login(
            body["ephemeral_token"], services.CodeProof(body["code"]), request._request
        )
        return accounts.login_answer(self, pair)


class ReauthenticateView(reauthentication.ReauthenticateView):
    """Confirm the own password and, where a second factor is set up, a code: what asks for a recent
    login is open to this session for some minutes.
    """

    serializer_class = FullReauthenticateSerializer
    is_for_enrolment = True

    @extend_schema(
        operation_id="reauthenticate",
        responses={200: Detail, 400: codes("invalid_code", "invalid_password")},
    )
    def post(self, request: Request) -> Response:
        return super().post(request)


class StatusView(GenericAPIView):
    """Whether the user has a second factor, since when, and how many recovery codes are left."""

    permission_classes = (IsAuthenticated,)
    serializer_class = StatusAnswer
    is_for_enrolment = True

    @extend_schema(operation_id="mfa_status", responses={200: StatusAnswer})
    def get(self, request: Request) -> Response:
        return Response(self.get_serializer(services.status(request.user)).data)


@accounts.hide_passwords
@non_atomic
class ActivateView(GenericAPIView):
    """Set up an authenticator app, once the e-mail address is verified."""

    permission_classes = (RecentlyAuthenticated,)
    is_for_enrolment = True

    def get_serializer_class(self) -> type[Serializer]:
        return EnrolmentAnswer if self.request.method == "GET" else EnrolSerializer

    @extend_schema(
        operation_id="mfa_totp_begin",
        responses={
            200: EnrolmentAnswer,
            400: codes("email_not_verified", "mfa_enabled"),
            403: codes("mfa_required"),
        },
    )
    def get(self, request: Request) -> Response:
        """Get a new secret for the app; nothing is stored yet."""
        services.refuse_enrolment(request)
        secret, token = services.new_enrolment(request.auth)
        adapter = get_adapter()
        url = adapter.build_totp_url(request.user, secret)
        picture = base64.b64encode(adapter.build_totp_svg(url).encode()).decode()
        answer = {
            "secret": secret,
            "totp_url": url,
            "qr_code_data_uri": f"data:image/svg+xml;base64,{picture}",
            "activation_token": token,
        }
        return Response(self.get_serializer(answer).data)

    @extend_schema(
        operation_id="mfa_totp_activate",
        request=EnrolSerializer,
        responses={
            200: EnrolledAnswer,
            400: codes("email_not_verified", "invalid_code", "invalid_enrolment", "mfa_enabled"),
            403: codes("mfa_required"),
        },
    )
    def post(self, request: Request) -> Response:
        """Enable it with its first code, within ten minutes: 200 with recovery codes, shown once, unless
        the user has some already.

        The user's other sessions end; this one counts as begun with the second factor.
        """
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        body = serializer.validated_data
        codes = services.enable_totp(request, body["activation_token"], body["code"])
        return Response(EnrolledAnswer({"recovery_codes": codes}).data)


@accounts.hide_passwords
@non_atomic
class DeactivateView(GenericAPIView):
    """Remove the app, with a code of it or a recovery code; the user's other sessions end."""

    permission_classes = (RecentlyAuthenticated,)
    serializer_class = CodeSerializer

    @extend_schema(
        operation_id="mfa_totp_deactivate",
        responses={200: Detail, 400: codes("invalid_code", "mfa_disabled")},
    )
    def post(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        if not factors.has_totp(request.user.pk):
            raise services.mfa_disabled()
        services.demand_code(request, serializer.validated_data["code"])
        services.disable_totp(request)
        return Response({"detail": _("TOTP has been deactivated.")})


class UndoView(PublicEndpoint, GenericAPIView):
    """Remove a first factor that somebody else added, with the key mailed to an address of the account.

    What was added since goes as well, the password is voided, every session ends; nobody is logged in.
    400 with `invalid_key` for one that is wrong, used or too old.
    """

    serializer_class = UndoSerializer
    rate_limit = "reset_password_from_key"

    @extend_schema(operation_id="mfa_undo", responses={200: Detail, 400: codes("invalid_key")})
    def post(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        disowning.undo(serializer.validated_data["key"], request._request)
        return Response({"detail": _("It was removed. Set a new password now.")})


class RenewRecoveryCodesView(GenericAPIView):
    """Replace the recovery codes: 200 with new ones, shown once; the user's other sessions end."""

    permission_classes = (RecentlyAuthenticated,)
    serializer_class = RecoveryCodesAnswer

    @extend_schema(
        operation_id="mfa_recovery_codes_regenerate",
        request=None,
        responses={
            200: RecoveryCodesAnswer,
            400: codes("mfa_disabled"),
            403: codes("mfa_required"),
        },
    )
    def post(self, request: Request) -> Response:
        return Response(self.get_serializer({"codes": services.renew_recovery_codes(request)}).data)
