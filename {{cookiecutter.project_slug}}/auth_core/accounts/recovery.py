"""Recovery of a forgotten password by a mailed link: the newest, once, for PASSWORD_RESET_MINUTES.

(NIST SP 800-63B-4, 4.2; OWASP Forgot Password Cheat Sheet.)
"""

from typing import Any

from allauth.account import signals
from allauth.account.adapter import get_adapter
from allauth.account.utils import url_str_to_user_pk, user_pk_to_url_str
from dj_rest_auth.app_settings import api_settings
from django.contrib.auth import get_user_model
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import IntegrityError, transaction
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from auth_core.audit.log import Event, pseudonym, record
from auth_core.http.schema import Detail, codes
from auth_core.http.views import PublicEndpoint
from auth_core.mail import outbox
from auth_core.throttling.limits import allows
from auth_core.throttling.passwords import recover

from . import addresses, registrations
from .adapter import frontend_link
from .fields import AddressField
from .models import PasswordResetNonce, new_nonce
from .passwords import (
    PasswordField,
    check_new_password,
    new_password_codes,
    replace_password,
)
from .signals import account_recovered


class ResetTokenGenerator(PasswordResetTokenGenerator):
    """Django's token (HMAC-SHA256, 128 bits), which ends with the nonce of its request, too."""

    def _make_hash_value(self, user: Any, timestamp: int) -> str:
        # Django takes the last login to the second; this one ends with the very next login.
        state = super()._make_hash_value(user, timestamp)
        return f"{state}{user.last_login}{user.reset_nonce.nonce}"


token_generator = ResetTokenGenerator()


def send_reset_mail(email: str) -> None:
    """Mail a link to the owner of an address, if it has one: a job.

    To the stored address, never to the one that was typed (CVE-2019-19844).
    """
    user = get_user_model().objects.filter(email=email, is_active=True).first()
    if user is None:
        # The link then makes an account of the newest registration, and proves the address.
        registration = registrations.pending().filter(email=email).first()
        if registration is None:
            return
        user = registrations.dressed(registration)
    user.reset_nonce, _created = PasswordResetNonce.objects.update_or_create(
        user=user, defaults={"nonce": new_nonce()}
    )
    uid, token = user_pk_to_url_str(user), token_generator.make_token(user)
    context = {
        "user": user,
        "uid": uid,
        "token": token,
        "username": user.username,
        "password_reset_url": frontend_link("reset-password", uid=uid, token=token),
    }
    get_adapter().send_password_reset_mail(user, user.email, context)


class PasswordResetSerializer(serializers.Serializer):
    """{"email"}; the answer is the same whether the address is known or not."""

    email = AddressField()

    def save(self, **kwargs: Any) -> None:
        outbox.defer(send_reset_mail, email=self.validated_data["email"])


class PasswordResetView(PublicEndpoint, GenericAPIView):
    """Mail a link to set a new password, which voids any earlier one, as often as the limits grant; always 200."""

    serializer_class = api_settings.PASSWORD_RESET_SERIALIZER
    rate_limit = "reset_password"

    @extend_schema(operation_id="password_reset", responses={200: Detail})
    def post(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        email = serializer.validated_data["email"]
        # Counted whatever becomes of the mail.
        granted = allows("reset_password", email, request._request)
        with transaction.atomic():
            # Known or not is left open here, too: only who knows the address can look for it.
            record(Event.PASSWORD_RESET_REQUESTED, request._request, identifier=pseudonym(email))
            if granted:
                serializer.save()
        return Response({"detail": _("Password reset e-mail has been sent.")})


def invalid_link() -> serializers.ValidationError:
    """One answer for a bad uid, a bad, used, overtaken or expired token, and a deactivated user."""
    return serializers.ValidationError({"token": [_("Invalid value")]}, code="invalid_link")


class PasswordResetConfirmSerializer(serializers.Serializer):
    """{"uid", "token", "new_password1", "new_password2"}; uid and token come with the mailed link."""

    uid = serializers.CharField()
    token = serializers.CharField()
    new_password1 = PasswordField()
    new_password2 = PasswordField()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        user = self._user_of_link(attrs["uid"])
        if user is None or not token_generator.check_token(user, attrs["token"]):
            raise invalid_link()
        check_new_password("new_password2", attrs["new_password1"], attrs["new_password2"], user)
        return {**attrs, "user": user}

    @staticmethod
    def _user_of_link(uid: str) -> Any | None:
        users = get_user_model().objects.select_related("reset_nonce")
        try:
            pk = url_str_to_user_pk(uid)
        except (DjangoValidationError, ValueError, TypeError, OverflowError):
            return None
        user = users.filter(pk=pk, is_active=True, reset_nonce__isnull=False).first()
        registration = registrations.pending().filter(user=pk).first()
        if user is not None and registration is not None:
            registration.user = user
            registrations.dressed(registration)
        return user

    def save(self, **kwargs: Any) -> Any:
        """Replace the password; whoever read the mail also owns the address, so it counts as verified."""
        user = self.validated_data["user"]
        nonce = PasswordResetNonce.objects.filter(user=user, nonce=user.reset_nonce.nonce)
        try:
            with transaction.atomic():
                pending = registrations.pending().filter(user=user.pk).exists()
                replace = registrations.recover if pending else replace_password
                if not replace(user, self.validated_data["new_password1"], spend=nonce):
                    raise invalid_link()
                addresses.settle(user)
        except IntegrityError as error:  # somebody else verified the address meanwhile
            raise invalid_link() from error
        return user


@method_decorator(sensitive_post_parameters(), name="dispatch")
class PasswordResetConfirmView(PublicEndpoint, GenericAPIView):
    """Set a new password with the mailed link; ends every session, does not log in, mails a notice."""

    serializer_class = api_settings.PASSWORD_RESET_CONFIRM_SERIALIZER
    rate_limit = "reset_password_from_key"

    @extend_schema(
        operation_id="password_reset_confirm",
        responses={200: Detail, 400: codes("invalid_link", *new_password_codes())},
    )
    def post(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        unclaimed = registrations.is_unclaimed(serializer.validated_data["user"])
        with transaction.atomic():
            user = serializer.save()
            record(Event.PASSWORD_RESET, request._request, user_id=user.pk)
            registrations.claim(user)
            account_recovered.send(
                sender=type(user),
                request=request._request,
                user=user,
                email=user.email,
                since=None,
                unclaimed=unclaimed,
            )
            outbox.notify(user, request._request, "account/email/password_reset")
        recover(user, request._request)
        signals.password_reset.send(sender=type(user), request=request._request, user=user)
        return Response({"detail": _("Password has been reset with the new password.")})
