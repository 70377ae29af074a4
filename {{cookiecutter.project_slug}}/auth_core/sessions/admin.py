"""Login sessions in the admin: to see, and to end."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from auth_core.http.admin import ViewOnlyAdmin, manageable

from . import services
from .models import AuthSession, RevocationReason


@admin.register(AuthSession)
class AuthSessionAdmin(ViewOnlyAdmin):
    list_display = (
        "id",
        "user",
        "delivery",
        "created_at",
        "rotated_at",
        "absolute_expires_at",
        "revoked_at",
        "revoked_reason",
        "ip",
    )
    list_filter = ("delivery", "revoked_reason", "created_at")
    list_select_related = ("user",)
    search_fields = ("id", "user__username", "user__email", "ip")
    exclude = ("auth_hash", "network")
    actions = ("end_sessions",)

    @admin.action(description=_("End the chosen sessions"), permissions=["delete"])
    def end_sessions(self, request: HttpRequest, queryset: QuerySet[AuthSession]) -> None:
        ended = services.end_sessions(
            manageable(request, queryset), RevocationReason.ADMIN, request
        )
        self.message_user(request, _("%d sessions ended.") % ended)
