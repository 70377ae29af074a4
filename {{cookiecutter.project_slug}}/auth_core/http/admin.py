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
from django.contrib.auth import get_user_model, logout
from django.contrib.messages import constants
from django.contrib.messages.storage.base import Message
from django.contrib.sessions.models import Session
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from rest_framework.exceptions import APIException

from auth_core.accounts.adapter import frontend_link
from auth_core.audit.log import Event, record
from auth_core.sessions.services import record_failed_login, restrict_user


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
        """Ask the network, what USER_RESTRICTIONS say by now, and whether it is active staff."""
        if not is_near(request) or not super().has_permission(request):
            return False
        try:
            restrict_user(request.user, request)
        except APIException:
            return False
        return True

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
        reason, is_try = "invalid_credentials", request.method == "POST"
        try:
            response = super().login(request, extra_context)
        except PermissionDenied as refusal:  # of a gate
            reason = str(getattr(refusal.__cause__, "get_codes", lambda: "permission_denied")())
            response = self._refused(request, str(refusal), extra_context)
        if is_try and response.status_code != 302:
            name = request.POST.get("username", "").replace("\0", "")
            record_failed_login(reason, request, identifier=name, to="admin")
        return response

    def _refused(self, request: HttpRequest, why: str, extra_context: Any) -> HttpResponse:
        """Log out again who was not let in, and show the form anew."""
        logout(request)
        request.method = "GET"
        messages = [Message(constants.ERROR, why)]
        return super().login(request, {**(extra_context or {}), "messages": messages})

    def password_change(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Lead to the frontend: what checks or sets the own password is there alone (ASVS 6.3.1, 7.5.1)."""
        return redirect(frontend_link("forgot-password"))

    def password_change_done(self, request: HttpRequest, extra_context: Any = None) -> Any:
        raise Http404


def is_privileged(user: Any) -> bool:
    return bool(user.is_staff or user.is_superuser)


def may_manage(request: HttpRequest, user: Any) -> bool:
    """Say whether who asks may change a user, or what belongs to one: staff is a superuser's business.

    Who has the permission alone could become a superuser by a superuser's address (ASVS 8.2.1).
    """
    return request.user.is_superuser or not is_privileged(user)


def manageable(request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
    """Select the rows whose user the one who asks may manage; for actions, which ask for no row."""
    if request.user.is_superuser:
        return queryset
    return queryset.exclude(Q(user__is_staff=True) | Q(user__is_superuser=True))


class ViewOnlyAdmin(admin.ModelAdmin):
    """For rows that are made and changed elsewhere: nobody adds or changes one here.

    Those of staff are deleted by superusers alone. What is excluded is secret, and nobody filters by it.
    """

    def lookup_allowed(self, lookup: str, value: str, request: Any = None) -> bool:
        is_secret = lookup.split("__")[0] in (self.exclude or ())
        return not is_secret and super().lookup_allowed(lookup, value, request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        owner = getattr(obj, "user", None)
        return super().has_delete_permission(request, obj) and (
            owner is None or may_manage(request, owner)
        )

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
