"""ACC: which address is verified has one authority, whoever has written past it."""

import json
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.test import RequestFactory

from auth_core import policy
from auth_core.accounts import addresses, registrations
from auth_core.accounts.correction import correct_address
from auth_core.accounts.fields import canonical, former_spelling
from auth_core.accounts.passwords import PasswordField
from auth_core.accounts.serializers import LOGIN_FIELDS
from auth_core.accounts.signals import account_recovered
from auth_core.contract.marks import (
    registration_is_open,
    there_are_user_names,
    verification_is_mandatory,
)
from auth_core.testing import PASSWORD, Account, Api, link_secrets, registration

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


# --- How it is spelled ------------------------------------------------------------------------

# To fold and to sort these marks takes time with the square of their number.
MARKS = "e" + "\u0301\u0323" * 16_000


@pytest.mark.parametrize("name", [MARKS, f"{MARKS}@example.com", f"a@xn--{'9' * 60_000}"])
def test_a_name_that_is_too_long_is_not_folded(api: Api, name: str) -> None:
    """ACC-11: it is nobody's, and costs nothing before the limits count."""
    assert canonical(name) == name
    assert former_spelling(name) is None
    for field in LOGIN_FIELDS[policy.LOGIN_WITH]:
        body = json.dumps({field: name, "password": PASSWORD}, ensure_ascii=False).encode()
        assert api.post("rest_login", body).status == 400


def test_a_password_that_is_too_long_is_not_joined(api: Api, account: Account) -> None:
    """It is refused as too long, as it is."""
    assert PasswordField().to_internal_value(MARKS) == MARKS
    body = json.dumps({**account.credentials, "password": MARKS}, ensure_ascii=False).encode()
    assert api.post("rest_login", body).status == 400


@pytest.mark.skipif("email" not in policy.LOGIN_WITH, reason="nobody logs in by an address")
def test_another_spelling_does_not_tell_of_an_account(make_account: Any, api: Api) -> None:
    """ENU-13: the wait for one spelling binds the other, whether there is an account or not."""
    outcomes = []
    make_account(email="ada@example.com")
    for name in ("ada", "eve"):
        for _ in range(django_settings.LOGIN_FREE_FAILURES):
            body = {"email": f"{name}@example.com", "password": "wrong"}
            assert api.post("rest_login", body).status == 400
        # A joiner is no part of this domain by IDNA 2003, and by IDNA 2008 of no domain.
        other = {"email": f"{name}@exam\u200dple.com", "password": "wrong"}
        outcomes.append(api.post("rest_login", other).status)
    assert outcomes == [429, 429]


def test_a_correction_ends_what_a_stranger_bound(make_account: Any) -> None:
    """REG-14: an operator corrects the address of an account that nobody has claimed."""
    account, told = make_account(), list[bool]()

    def receive(unclaimed: bool = False, **kwargs: Any) -> None:
        told.append(unclaimed)

    request = RequestFactory().post("/")
    request.user = account.user
    registrations.note_unclaimed(account.user, request)
    account_recovered.connect(receive)
    try:
        correct_address(account.user, NEW, request)
        correct_address(account.user, "newer@example.com", request)
    finally:
        account_recovered.disconnect(receive)
    assert told == [True, False]
