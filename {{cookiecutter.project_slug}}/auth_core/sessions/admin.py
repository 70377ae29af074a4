"""Login sessions in the admin: to see, and to end."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from . import services
from .models import AuthSession, RevocationReason


@admin.register(AuthSession)
class AuthSessionAdmin(admin.ModelAdmin):
    list_display = (
        "id",
        "user",
        "created_at",
        "rotated_at",
        "absolute_expires_at",
        "revoked_at",
        "revoked_reason",
        "ip",
    )
    list_filter = ("revoked_reason", "created_at")
    list_select_related = ("user",)
    search_fields = ("id", "user__username", "user__email", "ip")
    exclude = ("auth_hash", "network")
    actions = ("end_sessions",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.action(description=_("End the chosen sessions"), permissions=["delete"])
    def end_sessions(self, request: HttpRequest, queryset: QuerySet[AuthSession]) -> None:
        ended = services.end_sessions(queryset, RevocationReason.ADMIN, request)
        self.message_user(request, _("%d sessions ended.") % ended)
