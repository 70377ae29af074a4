"""ACC: which address is verified has one authority, whoever has written past it."""

from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth import get_user_model

from auth_core.accounts import addresses
from auth_core.contract.marks import (
    registration_is_open,
    there_are_user_names,
    verification_is_mandatory,
)
from auth_core.testing import Account, Api, link_secrets, registration

pytestmark = pytest.mark.django_db

NEW = "new@example.com"


@pytest.fixture
def moved(account: Account) -> tuple[Account, str]:
    """An account whose address a team's code replaced by `update()`; and the former address."""
    former: str = account.user.email
    get_user_model().objects.filter(pk=account.user.pk).update(email=NEW)
    account.user.refresh_from_db()
    return account, former


@verification_is_mandatory
def test_an_address_written_past_the_service_is_not_verified(
    moved: tuple[Account, str], api: Api, mailbox: list[Any]
) -> None:
    """ACC-01: the account logs in again once the new address was verified by its mailed link."""
    account, _former = moved
    refused = api.post("rest_login", account.credentials)
    assert (refused.status, refused.code) == (400, "email_not_verified")
    assert api.post("rest_resend_email", {"email": NEW}).status == 200
    assert [mail.to for mail in mailbox] == [[NEW]]
    key = link_secrets(mailbox[-1])["key"]
    assert api.post("rest_verify_email", {"key": key}).status == 200
    account.log_in()


@verification_is_mandatory
def test_an_account_without_a_row_can_verify_its_address(api: Api, mailbox: list[Any]) -> None:
    """ACC-01: an administrator or a script made it, and no row of its address."""
    fields = registration()
    names = {"username": fields["username"]} if "username" in fields else {}
    user = get_user_model().objects.create_user(
        **names, email=fields["email"], password=fields["password1"]
    )
    account = Account(user, fields["password1"])
    assert api.post("rest_login", account.credentials).code == "email_not_verified"
    for _ in range(2):
        assert api.post("rest_resend_email", {"email": user.email}).status == 200
    key = link_secrets(mailbox[-1])["key"]
    assert api.post("rest_verify_email", {"key": key}).status == 200
    account.log_in()


@verification_is_mandatory
def test_a_link_mailed_to_a_former_address_verifies_nothing(
    make_account: Any, api: Api, mailbox: list[Any]
) -> None:
    """ACC-01: the key in it is for an address that the account does not have any more."""
    account = make_account(verified=False)
    assert api.post("rest_resend_email", {"email": account.user.email}).status == 200
    key = link_secrets(mailbox[-1])["key"]
    get_user_model().objects.filter(pk=account.user.pk).update(email=NEW)
    answer = api.post("rest_verify_email", {"key": key})
    assert (answer.status, answer.code) == (400, "invalid_key")
    assert not EmailAddress.objects.filter(verified=True).exists()


@registration_is_open
@verification_is_mandatory
def test_a_former_address_is_free_for_its_owner(
    moved: tuple[Account, str], api: Api, mailbox: list[Any]
) -> None:
    """ACC-01: it registers, is verified and logs in; nobody shares it."""
    account, former = moved
    body = registration(email=former)
    assert api.post("rest_register", body).status == 201
    assert mailbox[-1].to == [former]
    key = link_secrets(mailbox[-1])["key"]
    assert api.post("rest_verify_email", {"key": key}).status == 200
    owner = addresses.owner_of(former)
    assert owner is not None
    assert owner != account.user
    Account(owner).log_in()


def test_a_former_address_is_told_of_nothing(
    moved: tuple[Account, str], mailbox: list[Any], api: Api
) -> None:
    """A reset is mailed to the present address alone, and so is its notice."""
    account, former = moved
    assert api.post("rest_password_reset", {"email": former}).status == 200
    assert mailbox == []
    assert api.post("rest_password_reset", {"email": account.user.email}).status == 200
    secrets = link_secrets(mailbox[-1])
    passwords = dict.fromkeys(("new_password1", "new_password2"), "a wholly new passphrase, long")
    assert api.post("rest_password_reset_confirm", {**secrets, **passwords}).status == 200
    assert {address for mail in mailbox for address in mail.to} == {NEW}
    assert [*EmailAddress.objects.values_list("email", "verified")] == [(NEW, True)]


@there_are_user_names
@verification_is_mandatory
def test_an_address_taken_away_leaves_nothing_verified(account: Account, api: Api) -> None:
    """ACC-01: with the address goes what was verified of it."""
    get_user_model().objects.filter(pk=account.user.pk).update(email=None)
    assert api.post("rest_login", account.credentials).code == "email_not_verified"
    assert not addresses.is_verified(get_user_model().objects.get(pk=account.user.pk))
