"""Accounts at providers in the admin: to see and to unlink, not to hand to another user.

Clients' secrets have their place in the environment, and providers' tokens nowhere: neither is shown.
"""

from allauth.socialaccount.models import SocialAccount
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from auth_core.http.admin import ViewOnlyAdmin

from . import services


@admin.register(SocialAccount)
class SocialAccountAdmin(ViewOnlyAdmin):
    list_display = ("user", "provider", "uid", "date_joined", "last_login")
    list_select_related = ("user",)
    search_fields = ("uid", "user__username", "user__email")

    def delete_model(self, request: HttpRequest, obj: SocialAccount) -> None:
        services.unlink_for_operator(SocialAccount.objects.filter(pk=obj.pk), request)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[SocialAccount]) -> None:
        chosen = SocialAccount.objects.filter(pk__in=[account.pk for account in queryset])
        services.unlink_for_operator(chosen, request)
