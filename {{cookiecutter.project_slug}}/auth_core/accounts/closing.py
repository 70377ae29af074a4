"""The end of an account, and what is stored about it: GDPR, articles 15, 17 and 20."""

from datetime import timedelta
from typing import Any

from allauth.account.models import EmailAddress
from dj_rest_auth.app_settings import api_settings
from dj_rest_auth.views import UserDetailsView
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import ProtectedError, RestrictedError
from django.utils import timezone
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_view
from rest_framework import serializers, status
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from auth_core import policy
from auth_core.audit.log import Event, record
from auth_core.audit.models import AuditEvent
from auth_core.http.schema import codes
from auth_core.mail import outbox
from auth_core.sessions.delivery import delivery
from auth_core.sessions.models import AuthSession
from auth_core.sessions.permissions import RecentlyAuthenticated
from auth_core.sessions.services import lock_owner

from .models import EmailChange, Registration


@extend_schema_view(
    get=extend_schema(operation_id="user", summary="Get the user"),
    put=extend_schema(operation_id="user_replace", summary="Write the fields of the user"),
    patch=extend_schema(operation_id="user_update", summary="Write some fields of the user"),
)
class AccountView(UserDetailsView):
    """The user of the access token."""

    def get_permissions(self) -> list[BasePermission]:
        if self.request.method == "DELETE":
            return [RecentlyAuthenticated()]
        return super().get_permissions()

    @extend_schema(
        operation_id="user_delete",
        responses={204: None, 400: codes("account_in_use"), 403: codes("permission_denied")},
    )
    def delete(self, request: Request) -> Response:
        """Delete the account, at once and for good; administrators are deleted in the admin."""
        try:
            close_account(request)
        except (ProtectedError, RestrictedError) as error:
            raise ValidationError(
                {"non_field_errors": [_("Something that must be kept belongs to this account.")]},
                code="account_in_use",
            ) from error
        return delivery().clear(request, Response(status=status.HTTP_204_NO_CONTENT))


@transaction.atomic
def close_account(request: Request) -> None:
    """Delete a user with everything that names him; the audit trail keeps an id that nobody has.

    Raises PermissionDenied (403) for staff, and what protects a row that belongs to the account.
    """
    user = lock_owner(request.auth)
    if user.is_staff or user.is_superuser:
        raise PermissionDenied(_("An administrator is deleted by another one, in the admin."))
    record(Event.USER_DELETED, request._request, user_id=user.pk, session_id=request.auth.pk)
    for address in outbox.addresses_of(user):
        outbox.notify(user, request._request, "account/email/account_deleted", email=address)
    # The admin's own history repeats how users are called.
    kind = ContentType.objects.get_for_model(get_user_model())
    LogEntry.objects.filter(content_type=kind, object_id=user.pk).update(object_repr=user.pk)
    user.delete()


# --- Export --------------------------------------------------------------------------------


class ExportedAddressSerializer(serializers.ModelSerializer):
    class Meta:
        model = EmailAddress
        fields = ("email", "verified", "primary")


class ExportedEmailChangeSerializer(serializers.ModelSerializer):
    class Meta:
        model = EmailChange
        fields = ("old_email", "new_email", "requested_at", "applied_at")


class ExportedRegistrationSerializer(serializers.ModelSerializer):
    class Meta:
        model = Registration
        fields = ("username", "email", "requested_at", "activated_at", "ip", "user_agent")


class ExportedSessionSerializer(serializers.ModelSerializer):
    class Meta:
        model = AuthSession
        fields = (
            "id",
            "created_at",
            "rotated_at",
            "idle_expires_at",
            "absolute_expires_at",
            "revoked_at",
            "revoked_reason",
            "delivery",
            "amr",
            "auth_time",
            "ip",
            "user_agent",
        )


class ExportedEventSerializer(serializers.ModelSerializer):
    class Meta:
        model = AuditEvent
        fields = ("time", "event", "session_id", "ip", "user_agent", "request_id", "detail")

    def to_representation(self, instance: AuditEvent) -> dict[str, Any]:
        """Leave out from where an administrator acted: that is not the user's data."""
        data: dict[str, Any] = super().to_representation(instance)
        if instance.actor_id not in (None, instance.user_id):
            data |= {"ip": None, "user_agent": ""}
        return data


class ExportSerializer(serializers.Serializer):
    """What is stored about a user, without secrets; `other` is what USER_EXPORTERS add."""

    user = api_settings.USER_DETAILS_SERIALIZER(source="*")
    date_joined = serializers.DateTimeField()
    last_login = serializers.DateTimeField(allow_null=True)
    addresses = ExportedAddressSerializer(many=True, source="emailaddress_set")
    email_changes = ExportedEmailChangeSerializer(many=True)
    # Until one client has shown mailbox and password together.
    registration = ExportedRegistrationSerializer(allow_null=True, default=None)
    sessions = ExportedSessionSerializer(many=True, source="auth_sessions")
    events = serializers.SerializerMethodField()
    other = serializers.SerializerMethodField()

    @extend_schema_field(ExportedEventSerializer(many=True))
    def get_events(self, user: Any) -> Any:
        since = timezone.now() - timedelta(days=policy.AUDIT_RETENTION_DAYS)
        events = AuditEvent.objects.filter(user_id=user.pk, time__gt=since)
        return ExportedEventSerializer(events, many=True).data

    def get_other(self, user: Any) -> dict[str, Any]:
        other: dict[str, Any] = {}
        for path in settings.USER_EXPORTERS:
            other |= import_string(path)(user)
        return other


class ExportView(GenericAPIView):
    """Everything stored about the user, as JSON; events as far back as they are kept."""

    permission_classes = (RecentlyAuthenticated,)
    serializer_class = ExportSerializer

    @extend_schema(operation_id="user_export", responses={200: ExportSerializer})
    def get(self, request: Request) -> Response:
        record(
            Event.USER_EXPORTED,
            request._request,
            user_id=request.user.pk,
            session_id=request.auth.pk,
        )
        return Response(self.get_serializer(request.user).data)
