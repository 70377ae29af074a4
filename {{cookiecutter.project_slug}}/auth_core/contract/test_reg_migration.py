"""REG, about an update: what of the former version's accounts waits for a link becomes a registration."""

from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import connection
from django.utils import timezone

from auth_core import policy
from auth_core.accounts.models import Registration
from auth_core.accounts.registrations import is_unclaimed
from auth_core.contract.marks import verification_is_mandatory
from auth_core.testing import PASSWORD, Account, Api, link_secrets, registration

pytestmark = [pytest.mark.django_db, pytest.mark.inside]

USERS = get_user_model()._default_manager
MIGRATION = import_module("auth_core.accounts.migrations.0003_pending_registrations")
EDITOR = SimpleNamespace(connection=connection)


@verification_is_mandatory
def test_what_waits_for_its_link_becomes_a_registration(
    make_account: Any, mailbox: list[Any]
) -> None:
    """REG-12: name and address are free; the mailed link and the password go on, and so does the login's answer."""
    waiting = make_account(verified=False)
    key = EmailConfirmationHMAC(EmailAddress.objects.get()).key
    MIGRATION.carry_over(apps, EDITOR)
    user = USERS.get(pk=waiting.user.pk)
    assert (user.email, user.has_usable_password()) == (None, False)
    assert policy.LOGIN_WITH == "email" or user.username is None
    assert Api().post("rest_login", waiting.credentials).code == "email_not_verified"
    if policy.REGISTRATION == "open":
        # The same password again is the same registration.
        body = registration(email=waiting.user.email)
        assert Api().post("rest_register", body).status == 201
        assert Registration.objects.count() == 1
        assert "key" in link_secrets(mailbox[-1])
    assert Api().post("rest_verify_email", {"key": key}).status == 200
    user.refresh_from_db()
    assert (user.email, user.check_password(PASSWORD)) == (waiting.user.email, True)


@verification_is_mandatory
@pytest.mark.parametrize("why", ["verified", "logged in", "staff", "deactivated", "no row"])
def test_accounts_stay_accounts(make_account: Any, why: str) -> None:
    """REG-12: whoever was verified, has logged in, or was made or closed by an administrator."""
    changes: dict[str, dict[str, Any]] = {
        "logged in": {"last_login": timezone.now()},
        "staff": {"is_staff": True},
        "deactivated": {"is_active": False},
    }
    account = make_account(verified=why == "verified", **changes.get(why, {}))
    if why == "no row":
        EmailAddress.objects.all().delete()
    MIGRATION.carry_over(apps, EDITOR)
    assert not Registration.objects.exists()
    assert USERS.get().email == account.user.email


@pytest.mark.skipif(policy.EMAIL_VERIFICATION == "mandatory", reason="by the policy")
def test_without_mandatory_verification_accounts_stay(make_account: Any) -> None:
    """REG-14: they may be in use; nobody has shown mailbox and password together."""
    account, verified = make_account(verified=False), make_account()
    MIGRATION.carry_over(apps, EDITOR)
    assert account.log_in().is_alive
    assert is_unclaimed(account.user)
    assert not is_unclaimed(verified.user)


@verification_is_mandatory
def test_the_migration_goes_back(make_account: Any) -> None:
    """REG-12: each gets its name and address again, unless they were taken meanwhile."""
    waiting, late = make_account(verified=False), make_account(verified=False)
    MIGRATION.carry_over(apps, EDITOR)
    make_account(email=late.user.email)
    MIGRATION.give_back(apps, EDITOR)
    assert USERS.get(email=waiting.user.email).check_password(PASSWORD)
    assert not USERS.filter(pk=late.user.pk).exists()
    assert EmailAddress.objects.get(user=waiting.user).verified is False
    assert Account(waiting.user).user.pk == waiting.user.pk
