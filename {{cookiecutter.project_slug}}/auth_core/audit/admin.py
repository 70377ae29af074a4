"""The audit trail in the admin: to search and to read, never to change."""

import json
from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from auth_core.http.admin import ViewOnlyAdmin
from auth_core.sessions.models import AuthSession

from .log import pseudonym
from .models import AuditEvent


def _link(model: type[Any], pk: Any) -> str:
    """Link to a row, which may be gone, by the beginning of its id."""
    if pk is None:
        return "-"
    page = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
    return format_html('<a href="{}">{}</a>', reverse(page, args=[pk]), str(pk)[:8])


@admin.register(AuditEvent)
class AuditEventAdmin(ViewOnlyAdmin):
    list_display = ("at", "event", "outcome", "reason", "user", "actor", "ip", "request")
    list_filter = ("outcome", "event", "time")
    date_hierarchy = "time"
    search_fields = ("=user_id", "=actor_id", "=session_id", "=ip", "=request_id")
    search_help_text = _(
        "Id of a user, session or request, IP address, name or e-mail address of a user, "
        "or a name as it was typed at a login or a reset."
    )
    show_full_result_count = False
    fields = (
        "at",
        "event",
        "outcome",
        "user",
        "actor",
        "session",
        "ip",
        "user_agent",
        "request",
        "details",
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEvent], search_term: str
    ) -> tuple[QuerySet[AuditEvent], bool]:
        """Find also the events of a user by name, and those that hold the name as a pseudonym."""
        found, may_have_duplicates = super().get_search_results(request, queryset, search_term)
        if term := search_term.strip():
            users = get_user_model().objects.filter(Q(username=term) | Q(email=term)).values("pk")
            named = Q(user_id__in=users) | Q(actor_id__in=users)
            found |= queryset.filter(named | Q(detail__identifier=pseudonym(term)))
        return found, may_have_duplicates

    @admin.display(description=_("time (UTC)"), ordering="time")
    def at(self, event: AuditEvent) -> str:
        return f"{event.time:%Y-%m-%d %H:%M:%S}"

    @admin.display(description=_("reason"))
    def reason(self, event: AuditEvent) -> str:
        return event.detail.get("reason", "")

    @admin.display(description=_("user"), ordering="user_id")
    def user(self, event: AuditEvent) -> str:
        return _link(get_user_model(), event.user_id)

    @admin.display(description=_("by"), ordering="actor_id")
    def actor(self, event: AuditEvent) -> str:
        return _link(get_user_model(), event.actor_id)

    @admin.display(description=_("session"))
    def session(self, event: AuditEvent) -> str:
        return _link(AuthSession, event.session_id)

    @admin.display(description=_("request"))
    def request(self, event: AuditEvent) -> str:
        """Link to whatever else the same request did."""
        page = reverse("admin:auth_audit_auditevent_changelist")
        short = event.request_id[:8]
        return format_html('<a href="{}?q={}">{}</a>', page, event.request_id, short)

    @admin.display(description=_("detail"))
    def details(self, event: AuditEvent) -> str:
        return format_html("<pre>{}</pre>", json.dumps(event.detail, indent=2, ensure_ascii=False))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
