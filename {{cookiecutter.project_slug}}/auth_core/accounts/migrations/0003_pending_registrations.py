"""Makes pending registrations of accounts that nobody ever verified: they no longer hold a name or an address.

Where verification is not mandatory they stay, and are unclaimed.
"""

from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import migrations
from django.db.models import F

from auth_core import policy
from auth_core.accounts.registrations import former_id


def carry_over(apps: Any, schema_editor: Any) -> None:
    is_pending = policy.EMAIL_VERIFICATION == "mandatory"
    database = schema_editor.connection.alias
    users = apps.get_model(settings.AUTH_USER_MODEL).objects.using(database)
    addresses = apps.get_model("account", "EmailAddress").objects.using(database)
    registrations = apps.get_model("auth_accounts", "Registration").objects.using(database)
    unverified = addresses.filter(
        email=F("user__email"),
        verified=False,
        user__is_active=True,
        user__is_staff=False,
        user__is_superuser=False,
    ).exclude(user__in=addresses.filter(verified=True).values("user"))
    if is_pending:
        unverified = unverified.filter(user__last_login=None)
    columns = ("pk", "user", "user__username", "email", "user__password", "user__date_joined")
    for pk, user, username, email, password, joined in unverified.values_list(*columns):
        registrations.create(
            id=former_id(pk),
            user_id=user,
            username=username if policy.LOGIN_WITH != "email" else None,
            email=email,
            password=password if is_pending else "",
            requested_at=joined,
            activated_at=None if is_pending else joined,
        )
        if not is_pending:
            continue
        name = {"username": None} if policy.LOGIN_WITH != "email" else {}
        users.filter(pk=user).update(email=None, password=make_password(None), **name)
        addresses.filter(user=user).delete()


def give_back(apps: Any, schema_editor: Any) -> None:
    """Give each name and address to the newest registration that wants it, where nobody has it."""
    database = schema_editor.connection.alias
    users = apps.get_model(settings.AUTH_USER_MODEL).objects.using(database)
    addresses = apps.get_model("account", "EmailAddress").objects.using(database)
    registrations = apps.get_model("auth_accounts", "Registration").objects.using(database)
    for each in registrations.filter(activated_at=None).order_by("-requested_at"):
        taken = users.filter(email=each.email)
        if each.username:
            taken |= users.filter(username=each.username)
        if taken.exists():
            users.filter(pk=each.user_id).delete()
            continue
        name = {"username": each.username} if each.username else {}
        users.filter(pk=each.user_id).update(email=each.email, password=each.password, **name)
        addresses.create(user_id=each.user_id, email=each.email, primary=True, verified=False)


class Migration(migrations.Migration):
    dependencies = [
        ("auth_accounts", "0002_registration"),
        ("account", "0009_emailaddress_unique_primary_email"),
    ]

    operations = [migrations.RunPython(carry_over, give_back)]
