"""Django's admin, for chosen networks only (ASVS 8.4.2, 13.4.5), each act on the audit trail."""

from datetime import datetime
from functools import wraps
from ipaddress import ip_address, ip_network
from typing import Any

from allauth.account.adapter import get_adapter
from django.conf import settings
from django.contrib import admin
from django.contrib.admin import actions
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse

from auth_core.audit.log import Event, record
from auth_core.sessions.services import record_failed_login


def is_near(request: HttpRequest) -> bool:
    """Say whether the caller's address is in ADMIN_NETWORKS, or that is empty."""
    networks = [ip_network(network) for network in settings.ADMIN_NETWORKS]
    if not networks:
        return True
    address = ip_address(get_adapter(request).get_client_ip(request))
    return any(address in network for network in networks)


class AdminSite(admin.AdminSite):
    def __init__(self, name: str = "admin") -> None:
        super().__init__(name)
        self.add_action(delete_selected, "delete_selected")

    def has_permission(self, request: HttpRequest) -> bool:
        return is_near(request) and super().has_permission(request)

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Undo an act that cannot be recorded: not every view of Django's is a transaction."""

        @wraps(view)
        def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if request.method != "POST":
                return view(request, *args, **kwargs)
            with transaction.atomic():
                return view(request, *args, **kwargs)

        return super().admin_view(inner, cacheable)

    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Show the form, where whoever lacks the permission is sent; to strangers there is none."""
        if not is_near(request):
            raise Http404
        response = super().login(request, extra_context)
        if request.method == "POST":
            if response.status_code == 302:
                record(Event.LOGIN_SUCCESS, request, user_id=request.user.pk, to="admin")
            else:
                name = request.POST.get("username", "").replace("\0", "")
                record_failed_login("invalid_credentials", request, identifier=name, to="admin")
        return response

    def logout(self, request: HttpRequest, extra_context: Any = None) -> Any:
        user_id = request.user.pk
        response = super().logout(request, extra_context)
        if request.method == "POST":
            record(Event.TOKEN_REVOKED, request, user_id=user_id, reason="logout", to="admin")
        return response


class ViewOnlyAdmin(admin.ModelAdmin):
    """For rows that are made and changed elsewhere: nobody adds or changes one here."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


ACTS = {ADDITION: "addition", CHANGE: "change", DELETION: "deletion"}


def record_act(act: str, object_id: Any, model: type[Any]) -> None:
    """Record what an administrator did to a row; texts of the row may be secret and are left out."""
    user_id = object_id if issubclass(model, get_user_model()) else None
    detail = {"act": act, "model": model._meta.label_lower, "object": str(object_id)}
    record(Event.ADMIN_ACTION, user_id=user_id, **detail)


def record_log_entry(instance: LogEntry, created: bool, **kwargs: Any) -> None:
    """Record what Django's admin logs, which is each act (a signal's receiver)."""
    model = instance.content_type and instance.content_type.model_class()
    if created and model:
        record_act(ACTS.get(instance.action_flag, "other"), instance.object_id, model)


@wraps(actions.delete_selected)
def delete_selected(modeladmin: Any, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
    """Django's action, which logs several deletions at once and then sends no signal."""
    chosen = list(queryset.values_list("pk", flat=True))
    answer = actions.delete_selected(modeladmin, request, queryset)
    if answer is None and len(chosen) > 1:
        for pk in chosen:
            record_act("deletion", pk, queryset.model)
    return answer


def purge(now: datetime) -> int:
    """Delete the admin's own sessions that expired, as Django's `clearsessions` does."""
    return Session.objects.filter(expire_date__lt=now).delete()[0]
