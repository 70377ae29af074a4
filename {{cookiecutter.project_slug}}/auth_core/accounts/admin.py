"""What an administrator may do for users in the admin; users/admin.py builds on it."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.templatetags.admin_urls import admin_urlname
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _

from auth_core.audit.log import Event, record
from auth_core.http.admin import ViewOnlyAdmin
from auth_core.mail import outbox

from .models import Registration
from .recovery import send_reset_mail


class AccountAdmin(DjangoUserAdmin):
    """Django's, but nobody sets a password for somebody who has an address (ASVS 6.4.6)."""

    actions = ("send_password_reset",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Leave out whose registration is pending: such a user has no name yet, and a list of its own."""
        pending = Registration.objects.filter(activated_at=None)
        return super().get_queryset(request).exclude(pk__in=pending.values("user"))

    @admin.action(description=_("Mail a link to set a new password"), permissions=["change"])
    def send_password_reset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Do what `password/reset/` does: the administrator never sees the link."""
        users = queryset.filter(is_active=True, email__isnull=False)
        with transaction.atomic():
            for user in users:
                outbox.defer(send_reset_mail, email=user.email)
                record(Event.PASSWORD_RESET_REQUESTED, request, user_id=user.pk)
        self.message_user(request, _("%d links are on their way.") % len(users), messages.SUCCESS)

    def user_change_password(
        self,
        request: HttpRequest,
        id: str,  # noqa: A002 - Django's name
        form_url: str = "",
    ) -> HttpResponse:
        """Refuse for a user who can recover by mail; without an address an administrator must help."""
        user = self.get_object(request, id)
        if user is None or not user.email:
            return super().user_change_password(request, id, form_url)
        self.message_user(
            request, _("Mail a link instead: the user has an address."), messages.ERROR
        )
        return redirect(admin_urlname(self.opts, "changelist"))  # type: ignore[arg-type]


@admin.register(Registration)
class RegistrationAdmin(ViewOnlyAdmin):
    """Registrations that are pending, and those of accounts that nobody has claimed yet."""

    list_display = ("email", "username", "requested_at", "activated_at", "ip")
    list_filter = ("requested_at", "activated_at")
    search_fields = ("=email", "=username", "=ip")
    fields = ("user", "email", "username", "requested_at", "activated_at", "ip", "user_agent")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
