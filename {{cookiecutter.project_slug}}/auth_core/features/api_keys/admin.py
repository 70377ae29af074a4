"""API keys in the admin: to see, and to revoke."""

import re
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from auth_core.http.admin import ViewOnlyAdmin, manageable

from . import services
from .models import ApiKey


@admin.register(ApiKey)
class ApiKeyAdmin(ViewOnlyAdmin):
    list_display = (
        "prefix",
        "user",
        "name",
        "scopes",
        "created_at",
        "expires_at",
        "last_used_at",
        "revoked_at",
    )
    list_filter = ("created_at", "expires_at", "revoked_at")
    list_select_related = ("user",)
    search_fields = ("=id", "name", "user__username", "user__email")
    search_help_text = _("Beginning of a key, name of a key, name or e-mail address of a user.")
    actions = ("revoke",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[ApiKey], search_term: str
    ) -> tuple[QuerySet[ApiKey], bool]:
        """Find a key that somebody found: by the id in its beginning."""
        found = re.search("[0-9a-f]{32}", search_term)
        term = str(UUID(found[0])) if found else search_term
        return super().get_search_results(request, queryset, term)

    @admin.action(description=_("Revoke the chosen API keys"), permissions=["delete"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        revoked = services.revoke(manageable(request, queryset), "admin", request)
        self.message_user(request, _("%d API keys revoked.") % revoked)
