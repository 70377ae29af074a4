"""Account endpoints: dj-rest-auth's paths, bodies and status codes (docs/contract.md lists what differs)."""

from collections.abc import Iterable
from functools import partial
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
from rest_framework.exceptions import APIException, PermissionDenied, ValidationError
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

from . import addresses, mails, registrations
from .models import Registration
from .passwords import (
    PasswordPolicySerializer,
    confirm_password,
    new_password_codes,
    password_policy,
)
from .serializers import (
    HAS_USERNAMES,
    VERIFICATION_IS_MANDATORY,
    AddressTaken,
    RegistrationAnswer,
    RegistrationKeySerializer,
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
# And what a mailed key may be refused with, as it registers the address anew.
VERIFY_CODES = (
    "has_password",
    "invalid_key",
    "invalid_password",
    "password_needed",
    *REGISTRATION_CODES,
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
    """Register: 201 with a token pair and the user.

    Where the address must be verified first, with a sentence and a `registration_token` instead, whoever has
    the address. 403 with the code `registration_closed` where the adapter's is_open_for_signup says so.
    """

    serializer_class = api_settings.REGISTER_SERIALIZER
    rate_limit = "signup"
    # Whether there is no account before a mailed link was followed.
    is_pending = VERIFICATION_IS_MANDATORY

    def before_counting(self, request: Request) -> None:
        super().before_counting(request)
        if not self.is_open(request._request):
            raise PermissionDenied(_("Registration is closed."), code="registration_closed")

    def is_open(self, request: HttpRequest) -> bool:
        return bool(get_adapter(request).is_open_for_signup(request))

    @extend_schema(
        operation_id="register",
        responses={
            201: RegistrationAnswer if VERIFICATION_IS_MANDATORY else LoginAnswer,
            400: codes(*REGISTRATION_CODES),
            403: codes("registration_closed"),
        },
    )
    def post(self, request: Request) -> Response:
        serializer: Any = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        http_request = request._request
        serializer.build_user(http_request)
        if self.is_pending:
            return self.keep(serializer, http_request)
        with transaction.atomic():  # whatever fails from here on, no half of an account is left
            user = create_user(serializer, http_request)
            return self.answer(http_request, user, serializer.validated_data.get("email"))

    def keep(self, serializer: Any, request: HttpRequest) -> Response:
        """Keep the registration until its link is followed; without a mail nothing changes."""
        email, registration = serializer.validated_data["email"], None
        if allows("signup", email, request):
            try:
                with transaction.atomic():
                    registration, mailed = registrations.keep(
                        email, serializer.user, partial(create_user, serializer, request), request
                    )
                    _defer_signup_mail(email, mailed)
            except AddressTaken:  # by somebody who was faster
                _defer_signup_mail(email, None)
        token = registrations.token_of(registration)
        body = {"detail": _("Verification e-mail sent."), "registration_token": token}
        return Response(body, status=status.HTTP_201_CREATED)

    def answer(self, http_request: HttpRequest, user: Any, email: str | None) -> Response:
        """Log in; mail the link, which need not be followed first."""
        if email:
            registration = registrations.note_unclaimed(user, http_request)
            if policy.EMAIL_VERIFICATION != "none" and allows("signup", email, http_request):
                _defer_signup_mail(email, registration)
        return login_answer(
            self, services.start_session(user, http_request), status.HTTP_201_CREATED
        )


def create_user(serializer: Any, request: HttpRequest) -> Any:
    """Store the user that a registration has built, and tell of it."""
    user = serializer.save(request)
    record(Event.USER_CREATED, request, user_id=user.pk)
    signals.user_signed_up.send(sender=type(user), request=request, user=user)
    return user


def _defer_signup_mail(email: str, registration: Registration | None) -> None:
    pk = None if registration is None else str(registration.pk)
    outbox.defer(mails.send_signup, email=email, registration_id=pk)


@hide_passwords
class VerifyEmailView(PublicEndpoint, GenericAPIView):
    """Verify an e-mail address with the key of the mailed link; does not log in.

    Where several have registered the address, the key alone uses nothing up: 400 `password_needed`.
    """

    serializer_class = VerifyEmailSerializer
    rate_limit = "verify_email"

    @extend_schema(
        operation_id="verify_email",
        responses={200: Detail, 400: codes(*VERIFY_CODES)},
        examples=[OpenApiExample("key", value={"key": "Ik..."}, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        values = serializer.validated_data
        registration = registrations.of_key(values["key"])
        if registration is None:
            self.verify_account(values, request)
        elif "password1" in values or "password2" in values:
            self.register_anew(registration, request)
        else:
            registrations.activate(
                registration,
                request._request,
                password=values.get("password"),
                token=values.get("registration_token", ""),
                username=values.get("username"),
            )
        return Response({"detail": _("ok")})

    def register_anew(self, registration: Registration, request: Request) -> None:
        """Register the address of a key with a new password; whatever was pending for it is deleted."""
        http_request, email = request._request, registration.email
        body = {"username": registration.username, **dict(request.data), "email": email}
        context = self.get_serializer_context()
        serializer: Any = api_settings.REGISTER_SERIALIZER(data=body, context=context)
        serializer.is_valid(raise_exception=True)
        serializer.build_user(http_request)
        with transaction.atomic():
            registrations.lock(email)
            if not registrations.pending().filter(pk=registration.pk).exists():
                raise registrations.invalid_key()
            registrations.drop(email, http_request)
            try:
                user = create_user(serializer, http_request)
            except AddressTaken as error:
                raise registrations.invalid_key() from error
            registrations.prove(user, http_request, claimed=True)

    def verify_account(self, values: dict[str, Any], request: Request) -> None:
        """Verify the address of an account that is there already."""
        http_request = request._request
        confirmation = get_emailconfirmation_model().from_key(values["key"])
        if confirmation is None:
            raise registrations.invalid_key()
        user = confirmation.email_address.user
        if "password1" in values or "password2" in values:
            raise ValidationError(
                {"password1": [_("There is an account: its password is set by a password reset.")]},
                code="has_password",
            )
        claimed = user_of_session(request) == user
        if "password" in values:
            if not confirm_password(user, values["password"], http_request):
                raise registrations.invalid_password()
            claimed = True
        with transaction.atomic():
            if not self._is_pending(confirmation) or not confirmation.confirm(http_request):
                raise registrations.invalid_key()
            if claimed:
                registrations.claim(user)
            record(
                Event.EMAIL_VERIFIED,
                http_request,
                user_id=user.pk,
                claimed="yes" if claimed else "no",
            )

    @staticmethod
    def _is_pending(confirmation: Any) -> bool:
        """Lock the address: its link is followed once."""
        waiting = addresses.counting(verified=False).select_for_update(of=("self",))
        address = waiting.filter(pk=confirmation.email_address.pk).first()
        if address is not None:
            addresses.release(address.email)
        return address is not None


def user_of_session(request: Request) -> Any | None:
    """Return whose living session a request to a public endpoint carries, if it does."""
    authentication = import_string(settings.SESSION_AUTHENTICATION_CLASS)()
    try:
        found = authentication.authenticate(request)
    except APIException:
        return None
    return found and found[0]


class RejectRegistrationView(PublicEndpoint, GenericAPIView):
    """Delete a registration with the key of its mail's "this was not me"; an account loses the unproved address."""

    serializer_class = RegistrationKeySerializer
    rate_limit = "verify_email"

    @extend_schema(
        operation_id="registration_reject", responses={200: Detail, 400: codes("invalid_key")}
    )
    def post(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        registrations.reject(serializer.validated_data["key"], request._request)
        return Response({"detail": _("The registration was deleted.")})


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
