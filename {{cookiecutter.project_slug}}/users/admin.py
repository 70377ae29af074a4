"""Users in the admin."""

from django.contrib import admin
from django.contrib.auth.forms import AdminUserCreationForm

from auth_core.accounts.admin import AccountAdmin

from .models import User


class UserCreationForm(AdminUserCreationForm):
    class Meta:
        model = User
        fields = ("username", "email")


@admin.register(User)
class UserAdmin(AccountAdmin):
    add_form = UserCreationForm
    add_fieldsets = (
        (
            None,
            {
                "classes": ("wide",),
                "fields": ("username", "email", "usable_password", "password1", "password2"),
            },
        ),
    )
    list_display = ("username", "email", "is_active", "is_staff", "date_joined", "last_login")
    ordering = ("-date_joined",)
