"""Account endpoints: dj-rest-auth's paths, bodies and status codes (docs/contract.md lists what differs)."""

from typing import Any

from allauth.account import signals
from allauth.account.internal.flows.email_verification import send_verification_email_to_address
from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from dj_rest_auth.app_settings import api_settings
from dj_rest_auth.views import PasswordChangeView as BasePasswordChangeView
from dj_rest_auth.views import UserDetailsView as BaseUserDetailsView
from django.db import transaction
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from auth_core import policy
from auth_core.audit.log import Event, record
from auth_core.http.schema import ERRORS_400, ERRORS_400_401, Detail
from auth_core.http.views import PublicEndpoint
from auth_core.mail import outbox
from auth_core.sessions import services
from auth_core.sessions.delivery import delivery

from .passwords import PasswordPolicySerializer, password_policy
from .serializers import VERIFICATION_IS_MANDATORY, ResendEmailSerializer, VerifyEmailSerializer

LoginAnswer = api_settings.JWT_SERIALIZER_WITH_EXPIRATION
hide_passwords = method_decorator(sensitive_post_parameters(), name="dispatch")


def login_answer(
    view: GenericAPIView, pair: services.TokenPair, status_code: int = status.HTTP_200_OK
) -> Response:
    """Answer with the pair, or what carries it, and the user."""
    data = {**delivery().body(pair), "user": pair.session.user}
    answer = Response(
        LoginAnswer(data, context=view.get_serializer_context()).data, status=status_code
    )
    return delivery().attach(answer, pair)


@hide_passwords
class LoginView(PublicEndpoint, GenericAPIView):
    """Log in: 200 with a token pair and the user; 400 with `invalid_credentials` or `email_not_verified`."""

    serializer_class = api_settings.LOGIN_SERIALIZER
    rate_limit = "login"

    @extend_schema(operation_id="login", responses={200: LoginAnswer, **ERRORS_400})
    def post(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return login_answer(
            self, services.start_session(serializer.validated_data["user"], request._request)
        )


@hide_passwords
class RegisterView(PublicEndpoint, GenericAPIView):
    """Register: 201 with a token pair and the user, or, where the address must be verified first, a sentence."""

    serializer_class = api_settings.REGISTER_SERIALIZER
    rate_limit = "signup"

    @extend_schema(
        operation_id="register",
        responses={201: Detail if VERIFICATION_IS_MANDATORY else LoginAnswer, **ERRORS_400},
    )
    @transaction.atomic
    def post(self, request: Request) -> Response:
        serializer: Any = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        http_request = request._request
        user = serializer.save(http_request)
        if user is not None:
            record(Event.USER_CREATED, http_request, user_id=user.pk)
            signals.user_signed_up.send(sender=type(user), request=http_request, user=user)
        email = serializer.validated_data.get("email")
        if email and policy.EMAIL_VERIFICATION != "none":
            # For an address that has an owner, allauth tells the owner.
            address = (
                EmailAddress(email=email)
                if user is None
                else EmailAddress.objects.get(user=user, email=email)
            )
            send_verification_email_to_address(http_request, address, signup=True)
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
    rate_limit = "reset_password_from_key"

    @extend_schema(operation_id="verify_email", responses={200: Detail, **ERRORS_400})
    def post(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        confirmation = EmailConfirmationHMAC.from_key(serializer.validated_data["key"])
        if confirmation is None or not confirmation.confirm(request._request):
            raise ValidationError({"key": [_("Invalid or expired key.")]}, code="invalid_key")
        user_id = confirmation.email_address.user_id
        record(Event.EMAIL_VERIFIED, request._request, user_id=user_id)
        return Response({"detail": _("ok")})


class ResendEmailView(PublicEndpoint, GenericAPIView):
    """Mail the verification link again, at most every three minutes; always 200."""

    serializer_class = ResendEmailSerializer
    rate_limit = "reset_password"
    rate_limit_key = "email"

    @extend_schema(operation_id="resend_email", responses={200: Detail, **ERRORS_400})
    def post(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        email = serializer.validated_data["email"].lower()
        address = (
            EmailAddress.objects.filter(email=email, verified=False).select_related("user").first()
        )
        if address is not None and not EmailAddress.objects.is_verified(email):
            send_verification_email_to_address(request._request, address)
        return Response({"detail": _("ok")})


class UserDetailsView(BaseUserDetailsView):
    """The user of the access token."""


class PasswordPolicyView(PublicEndpoint, GenericAPIView):
    """What a new password must be, for a form to say before it is sent (ASVS 6.2.4, NIST SP 800-63B-4 3.1.1.2)."""

    serializer_class = PasswordPolicySerializer

    @extend_schema(operation_id="password_policy")
    def get(self, request: Request) -> Response:
        return Response(self.get_serializer(password_policy()).data)


@hide_passwords
class PasswordChangeView(BasePasswordChangeView):
    """Change the password; ends the user's other sessions and mails a notice."""

    @extend_schema(operation_id="password_change", responses={200: Detail, **ERRORS_400_401})
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        response = super().post(request, *args, **kwargs)
        record(Event.PASSWORD_CHANGE, request._request, user_id=request.user.pk)
        signals.password_changed.send(
            sender=type(request.user), request=request._request, user=request.user
        )
        outbox.notify(request.user, request._request, "account/email/password_changed")
        return response


class PasswordResetView(PublicEndpoint, GenericAPIView):
    """Mail a link to set a new password; always 200."""

    serializer_class = api_settings.PASSWORD_RESET_SERIALIZER
    rate_limit = "reset_password"
    rate_limit_key = "email"

    @extend_schema(operation_id="password_reset", responses={200: Detail, **ERRORS_400})
    def post(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        serializer.save()
        return Response({"detail": _("Password reset e-mail has been sent.")})


@hide_passwords
class PasswordResetConfirmView(PublicEndpoint, GenericAPIView):
    """Set a new password with the mailed link; ends every session, does not log in, mails a notice."""

    serializer_class = api_settings.PASSWORD_RESET_CONFIRM_SERIALIZER
    rate_limit = "reset_password_from_key"

    @extend_schema(operation_id="password_reset_confirm", responses={200: Detail, **ERRORS_400})
    def post(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        user = serializer.save()
        record(Event.PASSWORD_RESET, request._request, user_id=user.pk)
        signals.password_reset.send(sender=type(user), request=request._request, user=user)
        outbox.notify(user, request._request, "account/email/password_reset")
        return Response({"detail": _("Password has been reset with the new password.")})
