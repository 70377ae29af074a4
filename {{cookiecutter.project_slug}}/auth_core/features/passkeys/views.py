"""Endpoints of the passkeys. What begins gives options for the browser, what completes takes its answer."""

from typing import Any
from uuid import UUID

from django.db import transaction
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from auth_core.accounts.views import LOGIN_CODES, LoginAnswer, hide_passwords, log_in, login_answer
from auth_core.http.schema import Detail, codes
from auth_core.http.views import PublicEndpoint, RateLimited
from auth_core.sessions.permissions import RecentlyAuthenticated

from . import ceremonies, services
from .models import Passkey
from .serializers import (
    CeremonyAnswer,
    PasskeyLoginSerializer,
    PasskeyRegistrationSerializer,
    PasskeySerializer,
    PasskeyVerificationBeginSerializer,
    PasskeyVerificationSerializer,
    RegisteredPasskeySerializer,
)

# What any ceremony may end with (400).
REFUSED = ("invalid_flow", "invalid_passkey")


@hide_passwords  # flow tokens are like them
class PasskeyEndpoint(RateLimited, GenericAPIView):
    """One end of a ceremony."""

    rate_limit = "passkeys"

    def body(self, request: Request) -> dict[str, Any]:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)

    @staticmethod
    def begun(options: dict[str, Any], token: str) -> Response:
        return Response(CeremonyAnswer({"options": options, "flow_token": token}).data)


# --- The own ones --------------------------------------------------------------------------


class PasskeyListView(GenericAPIView):
    """The passkeys of the user, the oldest first."""

    permission_classes = (IsAuthenticated,)
    serializer_class = PasskeySerializer
    pagination_class = None
    is_for_enrolment = True

    @extend_schema(operation_id="passkey_list", responses={200: PasskeySerializer(many=True)})
    def get(self, request: Request) -> Response:
        passkeys = services.passkeys_of(request.user.pk)
        return Response(self.get_serializer(passkeys, many=True).data)


class PasskeyView(GenericAPIView):
    """One of them. Somebody else's is not found."""

    permission_classes = (RecentlyAuthenticated,)
    serializer_class = PasskeySerializer

    def passkey(self, pk: UUID) -> Passkey:
        return get_object_or_404(services.passkeys_of(self.request.user.pk), pk=pk)

    @extend_schema(operation_id="passkey_rename", responses={200: PasskeySerializer})
    def patch(self, request: Request, pk: UUID) -> Response:
        """Give it another name."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        passkey = self.passkey(pk)
        services.rename(passkey, serializer.validated_data["name"])
        return Response(self.get_serializer(passkey).data)

    @extend_schema(operation_id="passkey_remove", responses={204: None, 403: codes("mfa_required")})
    def delete(self, request: Request, pk: UUID) -> Response:
        """Remove it; the user's other sessions end. 403 with `mfa_required` for a session without a second factor."""
        services.remove(request, self.passkey(pk))
        return Response(status=status.HTTP_204_NO_CONTENT)


class BeginRegistrationView(PasskeyEndpoint):
    """Begin to add a passkey, once the e-mail address is verified: 400 with `email_not_verified` or
    `too_many_passkeys`; 403 with `mfa_required` for a session without the second factor that its user has.
    """

    permission_classes = (RecentlyAuthenticated,)
    serializer_class = CeremonyAnswer
    is_for_enrolment = True

    @extend_schema(
        operation_id="passkey_register_begin",
        request=None,
        responses={
            200: CeremonyAnswer,
            400: codes("email_not_verified", "too_many_passkeys"),
            403: codes("mfa_required"),
        },
    )
    def post(self, request: Request) -> Response:
        return self.begun(*services.begin_registration(request))


class CompleteRegistrationView(PasskeyEndpoint):
    """Add the passkey that the browser made: 201; 400 with `invalid_flow` or `invalid_passkey`.

    The user's other sessions end; this one counts as begun with a second factor.
    """

    permission_classes = (RecentlyAuthenticated,)
    serializer_class = PasskeyRegistrationSerializer
    is_for_enrolment = True

    @extend_schema(
        operation_id="passkey_register_complete",
        responses={
            201: RegisteredPasskeySerializer,
            400: codes("email_not_verified", "too_many_passkeys", *REFUSED),
            403: codes("mfa_required"),
        },
    )
    def post(self, request: Request) -> Response:
        body = self.body(request)
        passkey, recovery_codes = services.register(
            request, body["flow_token"], body["credential"], str(body["name"])
        )
        answer = {**PasskeySerializer(passkey).data, "recovery_codes": recovery_codes}
        return Response(answer, status=status.HTTP_201_CREATED)


# --- Logging in ----------------------------------------------------------------------------


class BeginLoginView(PublicEndpoint, PasskeyEndpoint):
    """Begin a login with nothing but a passkey: the same for everybody, and no name is asked for."""

    serializer_class = CeremonyAnswer

    @extend_schema(
        operation_id="passkey_login_begin", request=None, responses={200: CeremonyAnswer}
    )
    def post(self, request: Request) -> Response:
        return self.begun(*services.begin_login())


class CompleteLoginView(PublicEndpoint, PasskeyEndpoint):
    """Log in with the passkey that the user chose: 200 like a login. It counts as two factors.

    400 with `invalid_flow`, `invalid_passkey` or, after a password reset, `password_required`: log in with
    the password and this passkey once.
    """

    serializer_class = PasskeyLoginSerializer

    @extend_schema(
        operation_id="passkey_login_complete",
        responses={200: LoginAnswer, 400: codes("password_required", *REFUSED, *LOGIN_CODES)},
    )
    def post(self, request: Request) -> Response:
        body, http_request = self.body(request), request._request
        challenge = ceremonies.take(ceremonies.Purpose.LOGIN, body["flow_token"])
        answer: Response | APIException
        # Whoever removes the passkey comes before, or ends this session.
        with transaction.atomic():
            try:
                user = services.user_of_login(body["credential"], challenge, http_request)
                answer = log_in(self, user, http_request, amr=services.METHODS)
            except APIException as error:
                answer = error  # what a refusal records stays
        if isinstance(answer, APIException):
            raise answer
        return answer


class BeginVerificationView(PublicEndpoint, PasskeyEndpoint):
    """Begin the second step of a login with a passkey: 400 with `invalid_login` or `no_passkey`."""

    serializer_class = PasskeyVerificationBeginSerializer

    @extend_schema(
        operation_id="passkey_verify_begin",
        responses={200: CeremonyAnswer, 400: codes("invalid_login", "no_passkey")},
    )
    def post(self, request: Request) -> Response:
        token = self.body(request)["ephemeral_token"]
        return self.begun(*services.begin_verification(token, request._request))


class CompleteVerificationView(PublicEndpoint, PasskeyEndpoint):
    """Finish a login with a passkey as its second factor: 200 with a token pair and the user.

    400 with `invalid_flow`, `invalid_passkey`, or `invalid_login` when to begin it again. Counted like
    codes: 429.
    """

    serializer_class = PasskeyVerificationSerializer

    @extend_schema(
        operation_id="passkey_verify_complete",
        responses={200: LoginAnswer, 400: codes("invalid_login", *REFUSED, *LOGIN_CODES)},
    )
    def post(self, request: Request) -> Response:
        pair = services.finish_verification(**self.body(request), request=request._request)
        return login_answer(self, pair)


class BeginReauthenticationView(PasskeyEndpoint):
    """Begin to confirm by a passkey who one is: 400 with `no_passkey`."""

    permission_classes = (IsAuthenticated,)
    serializer_class = CeremonyAnswer
    is_for_enrolment = True

    @extend_schema(
        operation_id="passkey_reauthenticate_begin",
        request=None,
        responses={200: CeremonyAnswer, 400: codes("no_passkey")},
    )
    def post(self, request: Request) -> Response:
        return self.begun(*services.begin_reauthentication(request))


class CompleteReauthenticationView(PasskeyEndpoint):
    """Confirm it, in place of `reauthenticate/` with password and code: 200; 400 with `invalid_flow` or
    `invalid_passkey`.
    """

    permission_classes = (IsAuthenticated,)
    serializer_class = PasskeyLoginSerializer
    is_for_enrolment = True

    @extend_schema(
        operation_id="passkey_reauthenticate_complete",
        responses={200: Detail, 400: codes(*REFUSED)},
    )
    def post(self, request: Request) -> Response:
        services.reauthenticate(request, **self.body(request))
        return Response({"detail": _("ok")})
