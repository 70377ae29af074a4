"""Bodies of the account endpoints: dj-rest-auth's, with their known defects mended."""

import re
from copy import deepcopy
from functools import partial
from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.models import EmailAddress
from dj_rest_auth import serializers as base
from dj_rest_auth.registration import serializers as registration
from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.hashers import make_password
from django.db import DatabaseError, IntegrityError, transaction
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from rest_framework.exceptions import Throttled

from auth_core import policy
from auth_core.audit.log import Event, record
from auth_core.http.schema import Detail
from auth_core.sessions.services import refusal, refuse_login

from . import registrations
from .fields import AddressField, canonical
from .passwords import PasswordField, check_new_password, confirm_password, replace_password
from .registrations import username_taken

VERIFICATION_IS_MANDATORY = policy.EMAIL_VERIFICATION == "mandatory"
HAS_USERNAMES = policy.LOGIN_WITH != "email"
LOGIN_FIELDS = {
    "username_or_email": {"username", "email"},
    "email": {"email"},
    "username": {"username"},
}


class AddressTaken(serializers.ValidationError):
    """An account has the address of a registration."""

    def __init__(self) -> None:
        super().__init__(
            {"email": [_("A user is already registered with this e-mail address.")]},
            code="email_taken",
        )


class LoginSerializer(base.LoginSerializer):
    """{"username" and/or "email", "password"} as the policy's login_with has it."""

    email = AddressField(required=False, allow_blank=True)
    password = PasswordField()

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        allowed = {*LOGIN_FIELDS[policy.LOGIN_WITH], "password"}
        return {name: field for name, field in fields.items() if name in allowed}

    def authenticate(self, **credentials: Any) -> Any:
        """Ask the backend; raises Throttled where it would not look."""
        request = self.context["request"]._request
        user = authenticate(request, **credentials)
        if wait := getattr(request, "login_wait", None):
            raise Throttled(wait=wait)
        if pending := getattr(request, "login_pending", None):
            refuse_login("email_not_verified", request, user_id=pending)
        return user

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        username, email = attrs.get("username"), attrs.get("email")
        user = self.get_auth_user(username, email, attrs["password"])
        if user is None:
            request = self.context["request"]._request
            refuse_login("invalid_credentials", request, identifier=username or email or "")
        return {**attrs, "user": user}


class RegisterSerializer(registration.RegisterSerializer):
    """{"username", "email", "password1", "password2"}; the policy decides which are asked and required.

    Where verification is mandatory, a registered address is accepted like a new one and told by mail:
    nothing is saved then.
    """

    password1 = PasswordField()
    password2 = PasswordField()

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        if not HAS_USERNAMES:
            del fields["username"]
        return fields

    def validate_username(self, username: str) -> str:
        return get_adapter().clean_username(canonical(username) or "", shallow=True)

    def validate_email(self, email: str) -> str:
        return get_adapter().clean_email(email)

    def validate_password1(self, password: str) -> str:
        """Leave it to `validate`, which knows whose it is: the base would judge it twice."""
        return password

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        users = get_user_model().objects
        username, email = attrs.get("username"), attrs.get("email")
        if username and users.filter(username=username).exists():
            raise username_taken()
        if email and not VERIFICATION_IS_MANDATORY and users.filter(email=email).exists():
            raise AddressTaken
        user = get_user_model()(email=email, **({"username": username} if HAS_USERNAMES else {}))
        check_new_password("password1", attrs["password1"], attrs["password2"], user)
        return attrs

    def build_user(self, request: Any) -> None:
        """Make the user, unsaved: hashing takes long, and no transaction should wait for it."""
        self.cleaned_data = self.get_cleaned_data()
        adapter = get_adapter(request)
        user: Any = adapter.new_user(request)
        email = self.validated_data.get("email")
        if email and VERIFICATION_IS_MANDATORY:
            salt = registrations.salt_for(email)
            vars(user)["set_password"] = partial(_set_password, user, salt=salt)
        self.user = adapter.save_user(request, user, self, commit=False)
        vars(self.user).pop("set_password", None)

    def save(self, request: Any) -> Any:
        """Store the user that was built; raises ValidationError with the code email_taken or username_taken.

        Where verification is mandatory the name and the address are the user's while the hooks of the
        registration run, and again from its activation on.
        """
        users, email = get_user_model().objects, self.validated_data.get("email")
        try:
            with transaction.atomic():
                self.user.save(force_insert=True)
        except IntegrityError as error:
            if email and users.filter(email=email).exists():
                raise AddressTaken from error
            if HAS_USERNAMES and users.filter(username=self.user.username).exists():
                raise username_taken() from error
            raise
        if email and not VERIFICATION_IS_MANDATORY:
            EmailAddress.objects.create(user=self.user, email=email, primary=True)
        self.custom_signup(request, self.user)
        return self.user


def _set_password(user: Any, password: str, *, salt: str) -> None:
    """Do what Django's does, with a salt of one's choice."""
    user.password = make_password(password, salt)
    user._password = password


# Where ModelSerializer makes its fields: what a subclass puts in their place may look at the request.
MAKERS = [
    name for name in vars(serializers.ModelSerializer) if re.match(r"_?(build|get|include)_", name)
]
_fields: dict[tuple[type, str | None], dict[str, serializers.Field]] = {}


class UserDetailsSerializer(base.UserDetailsSerializer):
    """{"pk", "username", "email", "first_name", "last_name"}; what one logs in with is read-only."""

    class Meta:
        model = get_user_model()
        fields = (
            "pk",
            *(("username",) if HAS_USERNAMES else ()),
            "email",
            "first_name",
            "last_name",
        )
        read_only_fields = ("pk", *(("username",) if HAS_USERNAMES else ()), "email")
        # The base would ask for the name, which is only read.
        extra_kwargs: dict[str, Any] = {}

    # Whether all serializers of the class have the same fields.
    fields_are_fixed = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.fields_are_fixed = all(
            getattr(cls, name) is getattr(UserDetailsSerializer, name) for name in MAKERS
        )

    def get_fields(self) -> dict[str, serializers.Field]:
        """Make the fields once for each language, and copy them as DRF does those of a class body.

        With every request it would take longest. A subclass that chooses them by the request is asked
        each time.
        """
        if not self.fields_are_fixed:
            return super().get_fields()
        key = type(self), get_language()
        if key not in _fields:
            _fields[key] = super().get_fields()
        return {name: deepcopy(field) for name, field in _fields[key].items()}

    def update(self, instance: Any, validated_data: dict[str, Any]) -> Any:
        """Write the given fields only: the rest of the row may have changed meanwhile."""
        for name, value in validated_data.items():
            setattr(instance, name, value)
        try:
            with transaction.atomic():
                instance.save(update_fields=list(validated_data))
        except DatabaseError as error:
            if get_user_model().objects.filter(pk=instance.pk).exists():
                raise
            raise refusal("session_revoked") from error  # the account was deleted meanwhile
        return instance


class PasswordChangeSerializer(serializers.Serializer):
    """{"old_password", "new_password1", "new_password2"}."""

    old_password = PasswordField()
    new_password1 = PasswordField()
    new_password2 = PasswordField()

    def validate_old_password(self, value: str) -> str:
        request = self.context["request"]
        if not confirm_password(request.user, value, request._request):
            raise serializers.ValidationError(
                _("Your old password was entered incorrectly. Please enter it again."),
                code="invalid_password",
            )
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        user = self.context["request"].user
        check_new_password("new_password2", attrs["new_password1"], attrs["new_password2"], user)
        if attrs["new_password1"] == attrs["old_password"]:
            raise serializers.ValidationError(
                {"new_password2": [_("The new password is the old one.")]},
                code="password_unchanged",
            )
        return attrs

    def save(self, **kwargs: Any) -> None:
        request = self.context["request"]
        password = self.validated_data["new_password1"]
        with transaction.atomic():
            if not replace_password(request.user, password, keep=request.auth):
                raise serializers.ValidationError(
                    _("The password was changed meanwhile."), code="conflict"
                )
            record(Event.PASSWORD_CHANGE, request._request, user_id=request.user.pk)


class VerifyEmailSerializer(serializers.Serializer):
    """{"key"} from the mailed link, and what shows whose registration it is, as far as the client has it.

    "password" or "registration_token" of the registration; or "password1" and "password2", to register
    the address anew, without any of its registrations; "username" where the wanted one was taken.
    """

    key = serializers.CharField()
    password = PasswordField(required=False)
    registration_token = serializers.CharField(required=False)
    password1 = PasswordField(required=False)
    password2 = PasswordField(required=False)
    username = serializers.CharField(required=False, max_length=150)

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        if not HAS_USERNAMES:
            del fields["username"]
        return fields

    def validate_username(self, username: str) -> str:
        return get_adapter().clean_username(canonical(username) or "", shallow=True)


class RegistrationKeySerializer(serializers.Serializer):
    """{"key"} from the mailed link."""

    key = serializers.CharField()


class RegistrationAnswer(Detail):
    """{"detail", "registration_token"}: sent with the mailed key, the token shows which client registered."""

    registration_token = serializers.CharField()


class ResendEmailSerializer(serializers.Serializer):
    """{"email"}; the answer is the same whatever the address."""

    email = AddressField()
