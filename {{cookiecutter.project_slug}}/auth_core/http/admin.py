"""Django's admin, for chosen networks only (ASVS 8.4.2, 13.4.5)."""

from ipaddress import ip_address, ip_network
from typing import Any

from allauth.account.adapter import get_adapter
from django.conf import settings
from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse


def is_near(request: HttpRequest) -> bool:
    """Say whether the caller's address is in ADMIN_NETWORKS, or that is empty."""
    networks = [ip_network(network) for network in settings.ADMIN_NETWORKS]
    if not networks:
        return True
    address = ip_address(get_adapter(request).get_client_ip(request))
    return any(address in network for network in networks)


class AdminSite(admin.AdminSite):
    def has_permission(self, request: HttpRequest) -> bool:
        return is_near(request) and super().has_permission(request)

    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Show the form, where whoever lacks the permission is sent; to strangers there is none."""
        if not is_near(request):
            raise Http404
        return super().login(request, extra_context)
