"""What an administrator may do for users in the admin; users/admin.py builds on it."""

from typing import Any, ClassVar

import allauth.account.admin  # it registers what is replaced here
import allauth.socialaccount.admin  # noqa: F401 - and this, too
from allauth.account.models import EmailAddress, EmailConfirmation
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django.contrib import admin, messages
from django.contrib.admin.templatetags.admin_urls import admin_urlname
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import UserChangeForm
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext_lazy as _

from auth_core.audit.log import Event, record
from auth_core.http.admin import ViewOnlyAdmin, may_manage
from auth_core.mail import outbox
from auth_core.sessions.models import AuthSession, RevocationReason
from auth_core.sessions.services import end_sessions

from .correction import correct_address
from .models import Registration
from .recovery import send_reset_mail
from .signals import account_recovered

# What gives rights; superusers alone give them.
RIGHTS = ("is_staff", "is_superuser", "groups", "user_permissions")
# What a form that was left open must not put back.
SHOWN = ("email", "is_active", "is_staff", "is_superuser")
# Nobody's to write; a form would cut their microseconds, of which links that were mailed are made.
TIMES = ("last_login", "date_joined")


class AccountChangeForm(UserChangeForm):
    class Meta(UserChangeForm.Meta):
        # Django's field for user names fails on a user without one; ours is in the model.
        field_classes: ClassVar[dict[str, Any]] = {}


class AccountAdmin(DjangoUserAdmin):
    """Django's, but nobody sets a password for somebody who has an address (ASVS 6.4.6).

    And staff is a superuser's business: the permission to change users makes nobody a superuser, by
    rights or by the address of one (ASVS 8.2.1).
    """

    form = AccountChangeForm
    actions = ("send_password_reset",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Leave out whose registration is pending: such a user has no name yet, and a list of its own."""
        pending = Registration.objects.filter(activated_at=None)
        return super().get_queryset(request).exclude(pk__in=pending.values("user"))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        allowed = super().has_change_permission(request, obj)
        return allowed and (obj is None or may_manage(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        allowed = super().has_delete_permission(request, obj)
        return allowed and (obj is None or may_manage(request, obj))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = (*super().get_readonly_fields(request, obj), *TIMES)
        return fields if request.user.is_superuser else (*fields, *RIGHTS)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Let a registration go with its user: by itself nobody deletes one, which would claim the account."""
        to_delete, counts, denied, protected = super().get_deleted_objects(objs, request)
        return to_delete, counts, denied - {Registration._meta.verbose_name}, protected

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        """Have the form know what it showed: that may change while the form is open."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and db_field.name in SHOWN:
            field.show_hidden_initial = True
        return field

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Write what the form has changed, and nothing that was read before and may be old by now.

        A changed address follows the one way there is. A list that is edited ends here, too.
        """
        stored = obj.pk and self.model._base_manager.filter(pk=obj.pk)
        before = stored and stored.first()
        if not all(may_manage(request, user) for user in (obj, before) if user):
            raise PermissionDenied
        with transaction.atomic():
            if before and "email" in form.changed_data and before.email != obj.email:
                correct_address(before, obj.email, request)
            if before:
                now = stored.select_for_update().get()
                for field in self.model._meta.concrete_fields:
                    if field.name == "email" or field.name not in form.changed_data:
                        setattr(obj, field.attname, getattr(now, field.attname))
            super().save_model(request, obj, form, change)

    @admin.action(description=_("Mail a link to set a new password"), permissions=["change"])
    def send_password_reset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Do what `password/reset/` does: the administrator never sees the link."""
        chosen = queryset.filter(is_active=True, email__isnull=False)
        users = [user for user in chosen if may_manage(request, user)]
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
        """Refuse for a user who can recover by mail; without an address an administrator must help.

        That is a recovery, which ends the same.
        """
        user = self.get_object(request, id)
        if user is None or not user.email:
            before = user.password if user else ""
            response = super().user_change_password(request, id, form_url)
            self._follow_password(request, user, before)
            return response
        self.message_user(
            request, _("Mail a link instead: the user has an address."), messages.ERROR
        )
        return redirect(admin_urlname(self.opts, "changelist"))  # type: ignore[arg-type]

    def _follow_password(self, request: HttpRequest, user: Any, before: str) -> None:
        stored = user and self.model._base_manager.filter(pk=user.pk).first()
        if stored and not constant_time_compare(stored.password, before):
            every = AuthSession.objects.filter(user=stored.pk)
            end_sessions(every, RevocationReason.PASSWORD, request, user_id=stored.pk)
            account_recovered.send(sender=type(stored), request=request, user=stored)


class GroupAdmin(DjangoGroupAdmin):
    """Django's, for superusers: who changes a group gives its rights, to themselves as well."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)


class EmailAddressAdmin(ViewOnlyAdmin):
    """allauth's could mark an address as verified that nobody has shown to read."""

    list_display = ("email", "user", "primary", "verified")
    list_filter = ("verified",)
    list_select_related = ("user",)
    search_fields = ("email", "user__username")


@admin.register(Registration)
class RegistrationAdmin(ViewOnlyAdmin):
    """Registrations that are pending, and those of accounts that nobody has claimed yet."""

    list_display = ("email", "username", "requested_at", "activated_at", "ip")
    list_filter = ("requested_at", "activated_at")
    search_fields = ("=email", "=username", "=ip")
    exclude = ("password",)
    fields = ("user", "email", "username", "requested_at", "activated_at", "ip", "user_agent")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


# Of allauth's and Django's, what is not replaced is left out: rows of identities at providers, whose
# secrets have their place in the environment.
for model in (EmailAddress, EmailConfirmation, Group, SocialAccount, SocialApp, SocialToken):
    if admin.site.is_registered(model):
        admin.site.unregister(model)
admin.site.register(Group, GroupAdmin)
admin.site.register(EmailAddress, EmailAddressAdmin)
