"""Account endpoints: dj-rest-auth's paths, bodies and status codes (docs/contract.md lists what differs)."""

from collections.abc import Iterable
from typing import Any

from allauth.account import signals
from allauth.account.adapter import get_adapter
from allauth.account.models import get_emailconfirmation_model
from dj_rest_auth.app_settings import api_settings
from dj_rest_auth.views import PasswordChangeView as BasePasswordChangeView
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest
from django.utils.decorators import method_decorator
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters
from drf_spectacular.utils import OpenApiExample, PolymorphicProxySerializer, extend_schema
from rest_framework import status
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from auth_core import policy
from auth_core.audit.log import Event, record
from auth_core.http.errors import all_codes
from auth_core.http.schema import Detail, codes
from auth_core.http.views import PublicEndpoint, RateLimited
from auth_core.mail import outbox
from auth_core.sessions import services
from auth_core.sessions.delivery import delivery
from auth_core.throttling.limits import allows

from . import addresses, mails
from .passwords import PasswordPolicySerializer, new_password_codes, password_policy
from .serializers import (
    HAS_USERNAMES,
    VERIFICATION_IS_MANDATORY,
    ResendEmailSerializer,
    VerifyEmailSerializer,
)

LoginAnswer = api_settings.JWT_SERIALIZER_WITH_EXPIRATION
# Of a login, for the OpenAPI schema: the session, or one of the steps that gates may want before it.
LoginOrStep = (
    PolymorphicProxySerializer(
        component_name="LoginOrStep",
        # Read late: a feature's serializers may build on this module.
        serializers=lambda: [LoginAnswer, *map(import_string, settings.SESSION_STEP_ANSWERS)],
        resource_type_field_name=None,
    )
    if settings.SESSION_STEP_ANSWERS
    else LoginAnswer
)
# What a login and a registration are refused with (400).
LOGIN_CODES = (
    *(("email_not_verified",) if VERIFICATION_IS_MANDATORY else ()),
    "invalid_credentials",
)
REGISTRATION_CODES = (
    *(() if VERIFICATION_IS_MANDATORY else ("email_taken",)),
    *(("invalid_username", "username_blacklisted", "username_taken") if HAS_USERNAMES else ()),
    *new_password_codes(),
)
_WHO = {"username": "ada"} if "username" in policy.LOGIN_WITH else {"email": "ada@example.com"}
LOGIN_EXAMPLE = OpenApiExample(
    "password",
    value={**_WHO, "password": "correct horse battery staple"},
    request_only=True,
)
hide_passwords = method_decorator(sensitive_post_parameters(), name="dispatch")


def login_answer(
    view: GenericAPIView, pair: services.TokenPair, status_code: int = status.HTTP_200_OK
) -> Response:
    """Answer with the pair, or what carries it, and the user."""
    data = {**delivery().body(pair), "user": pair.session.user}
    answer = Response(
        LoginAnswer(data, context=view.get_serializer_context()).data, status=status_code
    )
    return delivery().attach(view.request, answer, pair)


def log_in(
    view: GenericAPIView, user: Any, request: HttpRequest, *, amr: Iterable[str] = ("pwd",)
) -> Response:
    """Begin the session of a user, and answer with it; or with the step that is needed first."""
    try:
        pair = services.start_session(user, request, amr=amr)
    except services.StepNeeded as step:
        return Response(step.begin(request))
    return login_answer(view, pair)


@hide_passwords
class LoginView(PublicEndpoint, GenericAPIView):
    """Log in: 200 with a token pair and the user, or with the step that is needed first.

    400 with `invalid_credentials` or `email_not_verified`.

    The authentication backend counts the tries: 429 with Retry-After.
    """

    serializer_class = api_settings.LOGIN_SERIALIZER

    @extend_schema(
        operation_id="login",
        responses={200: LoginOrStep, 400: codes(*LOGIN_CODES)},
        examples=[LOGIN_EXAMPLE],
    )
    def post(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return log_in(self, serializer.validated_data["user"], request._request)


@hide_passwords
class RegisterView(PublicEndpoint, GenericAPIView):
    """Register: 201 with a token pair and the user, or, where the address must be verified first, a sentence.

    403 with the code `registration_closed` where the adapter's is_open_for_signup says so.
    """

    serializer_class = api_settings.REGISTER_SERIALIZER
    rate_limit = "signup"

    def before_counting(self, request: Request) -> None:
        super().before_counting(request)
        if not self.is_open(request._request):
            raise PermissionDenied(_("Registration is closed."), code="registration_closed")

    def is_open(self, request: HttpRequest) -> bool:
        return bool(get_adapter(request).is_open_for_signup(request))

    @extend_schema(
        operation_id="register",
        responses={
            201: Detail if VERIFICATION_IS_MANDATORY else LoginAnswer,
            400: codes(*REGISTRATION_CODES),
            403: codes("registration_closed"),
        },
    )
    def post(self, request: Request) -> Response:
        serializer: Any = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        http_request = request._request
        serializer.build_user(http_request)
        with transaction.atomic():  # whatever fails from here on, no half of an account is left
            user = serializer.save(http_request)
            if user is not None:
                record(Event.USER_CREATED, http_request, user_id=user.pk)
                signals.user_signed_up.send(sender=type(user), request=http_request, user=user)
            return self.answer(http_request, user, serializer.validated_data.get("email"))

    def answer(self, http_request: HttpRequest, user: Any | None, email: str | None) -> Response:
        """Mail the link, and log in where that need not be followed first."""
        if email and policy.EMAIL_VERIFICATION != "none" and allows("signup", email, http_request):
            user_id = None if user is None else str(user.pk)
            outbox.defer(mails.send_signup, email=email, user_id=user_id)
        if user is None or VERIFICATION_IS_MANDATORY:
            return Response(
                {"detail": _("Verification e-mail sent.")}, status=status.HTTP_201_CREATED
            )
        return login_answer(
            self, services.start_session(user, http_request), status.HTTP_201_CREATED
        )


class VerifyEmailView(PublicEndpoint, GenericAPIView):
    """Verify an e-mail address with the key of the mailed link; does not log in."""

    serializer_class = VerifyEmailSerializer
    rate_limit = "verify_email"

    @extend_schema(operation_id="verify_email", responses={200: Detail, 400: codes("invalid_key")})
    def post(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        with transaction.atomic():
            confirmation = get_emailconfirmation_model().from_key(serializer.validated_data["key"])
            if not self._is_pending(confirmation) or not confirmation.confirm(request._request):
                raise ValidationError({"key": [_("Invalid or expired key.")]}, code="invalid_key")
            user_id = confirmation.email_address.user_id
            record(Event.EMAIL_VERIFIED, request._request, user_id=user_id)
        return Response({"detail": _("ok")})

    @staticmethod
    def _is_pending(confirmation: Any) -> bool:
        """Lock the address: its link is followed once, and not while its registration is replaced."""
        if confirmation is None:
            return False
        pending = addresses.counting(verified=False).select_for_update(of=("self",))
        address = pending.filter(pk=confirmation.email_address.pk).first()
        if address is not None:
            addresses.release(address.email)
        return address is not None


class ResendEmailView(PublicEndpoint, GenericAPIView):
    """Mail the verification link again, as often as the limits grant; always 200."""

    serializer_class = ResendEmailSerializer
    rate_limit = "resend_email"

    @extend_schema(operation_id="resend_email", responses={200: Detail})
    def post(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        email = serializer.validated_data["email"]
        if allows("resend_email", email, request._request):
            outbox.defer(mails.send_verification, email=email)
        return Response({"detail": _("ok")})


class PasswordPolicyView(PublicEndpoint, GenericAPIView):
    """What a new password must be, for a form to say before it is sent (ASVS 6.2.4, NIST SP 800-63B-4 3.1.1.2)."""

    serializer_class = PasswordPolicySerializer

    @extend_schema(operation_id="password_policy")
    def get(self, request: Request) -> Response:
        return Response(self.get_serializer(password_policy()).data)


@hide_passwords
class PasswordChangeView(RateLimited, BasePasswordChangeView):
    """Change the password; ends the user's other sessions and mails a notice."""

    @extend_schema(
        operation_id="password_change",
        responses={
            200: Detail,
            400: codes("conflict", "invalid_password", "password_unchanged", *new_password_codes()),
        },
    )
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        try:
            response = super().post(request, *args, **kwargs)
        except ValidationError as error:
            reason = " ".join(sorted(all_codes(error.get_codes())))
            record(
                Event.PASSWORD_CHANGE_FAIL, request._request, user_id=request.user.pk, reason=reason
            )
            raise
        signals.password_changed.send(
            sender=type(request.user), request=request._request, user=request.user
        )
        outbox.notify(request.user, request._request, "account/email/password_changed")
        return response
