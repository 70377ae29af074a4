"""Invitations in the admin: to see, to withdraw and to send again."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from auth_core.http.admin import ViewOnlyAdmin

from . import services
from .models import Invitation


@admin.register(Invitation)
class InvitationAdmin(ViewOnlyAdmin):
    list_display = (
        "email",
        "invited_by",
        "created_at",
        "expires_at",
        "accepted_at",
        "revoked_at",
        "sent",
    )
    list_filter = ("created_at", "accepted_at", "revoked_at")
    list_select_related = ("invited_by",)
    search_fields = ("email", "invited_by__username", "invited_by__email")
    actions = ("revoke", "resend")

    def has_invite_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("auth_invitations.add_invitation")

    @admin.action(description=_("Withdraw the chosen invitations"), permissions=["invite"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[Invitation]) -> None:
        revoked = services.revoke(queryset, request)
        self.message_user(request, _("%d invitations withdrawn.") % revoked)

    @admin.action(description=_("Send the chosen invitations again"), permissions=["invite"])
    def resend(self, request: HttpRequest, queryset: QuerySet[Invitation]) -> None:
        renewed = services.renew(queryset, request)
        self.message_user(request, _("%d invitations sent.") % renewed)
