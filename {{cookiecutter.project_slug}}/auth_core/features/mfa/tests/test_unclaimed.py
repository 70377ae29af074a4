"""REG-14 with factors: what a stranger bound before the owner came is gone after the owner's reset."""

from types import SimpleNamespace
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.auth import get_user_model

from auth_core import policy
from auth_core.contract.marks import registration_is_open
from auth_core.testing import OTHER_PASSWORD, PASSWORD, Account, Api, link_secrets, registration

from .testing import enrol

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.inside,
    registration_is_open,
    pytest.mark.skipif(policy.EMAIL_VERIFICATION == "none", reason="by the policy"),
]


@pytest.fixture
def body() -> dict[str, Any]:
    return registration()


def registered(body: dict[str, Any], mailbox: list[Any], **shown: str) -> Account:
    """Register, follow the link with what is shown besides, and set up a second factor."""
    assert Api().post("rest_register", body).status == 201
    key = link_secrets(mailbox[0])["key"]
    assert Api().post("rest_verify_email", {"key": key, **shown}).status == 200
    enrol(Account(get_user_model().objects.get(email=body["email"])))
    return Account(SimpleNamespace(**body))


def log_in_after_reset(account: Account, mailbox: list[Any]) -> dict[str, Any]:
    Api().post("rest_password_reset", {"email": account.user.email})
    new = {"new_password1": OTHER_PASSWORD, "new_password2": OTHER_PASSWORD}
    answer = Api().post("rest_password_reset_confirm", {**link_secrets(mailbox[-1]), **new})
    assert answer.status == 200
    answer = Api().post("rest_login", {**account.credentials, "password": OTHER_PASSWORD})
    assert answer.status == 200
    found: dict[str, Any] = answer.body
    return found


def test_a_strangers_second_factor_ends_with_the_first_reset(
    body: dict[str, Any], mailbox: list[Any]
) -> None:
    """A stranger registers, the owner clicks, the stranger sets up TOTP and recovery codes."""
    account = registered(body, mailbox)
    assert Authenticator.objects.count() == 2
    assert "user" in log_in_after_reset(account, mailbox)
    assert not Authenticator.objects.exists()


def test_the_second_factor_of_a_claimed_account_stays(
    body: dict[str, Any], mailbox: list[Any]
) -> None:
    """MFA-10: the owner showed mailbox and password together."""
    account = registered(body, mailbox, password=PASSWORD)
    assert log_in_after_reset(account, mailbox)["mfa_required"]
    assert Authenticator.objects.count() == 2


def test_a_second_reset_removes_nothing(body: dict[str, Any], mailbox: list[Any]) -> None:
    """The first one has claimed the account."""
    account = registered(body, mailbox)
    log_in_after_reset(account, mailbox)
    user = get_user_model().objects.get(email=account.user.email)
    enrol(Account(user, OTHER_PASSWORD))
    Api().post("rest_password_reset", {"email": account.user.email})
    new = {"new_password1": PASSWORD, "new_password2": PASSWORD}
    link = link_secrets(mailbox[-1])
    assert Api().post("rest_password_reset_confirm", {**link, **new}).status == 200
    assert Api().post("rest_login", account.credentials).body["mfa_required"]
