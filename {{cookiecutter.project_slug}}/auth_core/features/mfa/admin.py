"""The second factor in the admin: asked for at its login; seen, without secrets, and reset."""

from typing import Any

from allauth.mfa.models import Authenticator
from django import forms
from django.contrib import admin
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import Throttled

from auth_core.http.admin import ViewOnlyAdmin

from . import factors, services


class SecondFactorLoginForm(AdminAuthenticationForm):
    """Name, password and, from who has a second factor, a code: at once, so that nothing waits."""

    code = forms.CharField(
        label=_("Code"),
        max_length=64,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code"}),
    )

    def confirm_login_allowed(self, user: Any) -> None:
        super().confirm_login_allowed(user)
        if not factors.has_factor(user.pk):
            if services.is_required_of(user):
                raise ValidationError(_("Set up a second factor first, in the API."), "no_factor")
            return
        try:
            request: Any = self.request
            code = self.cleaned_data.get("code", "")
            is_right = services.confirm_code(user, code, request, is_login=True)
        except Throttled:
            is_right = False
        if not is_right:
            raise ValidationError(_("The code is missing or not correct."), "invalid_code")
        user.amr = ("pwd", *services.SECOND)


# allauth's shows what is stored of a secret.
admin.site.unregister(Authenticator)


@admin.register(Authenticator)
class AuthenticatorAdmin(ViewOnlyAdmin):
    """To delete one is to reset the second factor of its user."""

    list_display = ("user", "type", "name", "created_at", "last_used_at")
    list_filter = ("type", "created_at", "last_used_at")
    list_select_related = ("user",)
    search_fields = ("user__username", "user__email")
    fields = ("user", "type", "name", "created_at", "last_used_at")
    readonly_fields = ("name",)

    @admin.display
    def name(self, obj: Authenticator) -> str:
        """Return what the user calls it, if this kind has names."""
        return str(obj.data.get("name", ""))

    def delete_model(self, request: HttpRequest, obj: Authenticator) -> None:
        services.reset(obj.user, request)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Authenticator]) -> None:
        for user in get_user_model().objects.filter(pk__in=queryset.values("user")):
            services.reset(user, request)
