"""Accounts at providers in the admin: to see and to unlink, not to hand to another user.

Clients' secrets have their place in the environment, and providers' tokens nowhere: neither is shown.
"""

from allauth.socialaccount.models import SocialAccount
from django.contrib import admin

from auth_core.http.admin import ViewOnlyAdmin


@admin.register(SocialAccount)
class SocialAccountAdmin(ViewOnlyAdmin):
    list_display = ("user", "provider", "uid", "date_joined", "last_login")
    list_select_related = ("user",)
    search_fields = ("uid", "user__username", "user__email")
