"""REG-14 with passkeys: a stranger's ends with the first reset of the account's owner."""

from types import SimpleNamespace
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.auth import get_user_model

from auth_core import policy
from auth_core.contract.marks import registration_is_open
from auth_core.testing import OTHER_PASSWORD, Account, Api, link_secrets, registration

from .testing import equip, log_in


@pytest.mark.django_db
@pytest.mark.inside
@registration_is_open
@pytest.mark.skipif(policy.EMAIL_VERIFICATION == "none", reason="by the policy")
def test_a_strangers_passkey_ends_with_the_first_reset(mailbox: list[Any]) -> None:
    """It neither logs in nor is asked for."""
    body = registration()
    Api().post("rest_register", body)
    assert Api().post("rest_verify_email", link_secrets(mailbox[0])).status == 200
    stranger = equip(Account(get_user_model().objects.get(email=body["email"])))
    Api().post("rest_password_reset", {"email": body["email"]})
    new = {"new_password1": OTHER_PASSWORD, "new_password2": OTHER_PASSWORD}
    link = link_secrets(mailbox[-1])
    assert Api().post("rest_password_reset_confirm", {**link, **new}).status == 200
    owner = Account(SimpleNamespace(**body), OTHER_PASSWORD)
    assert owner.log_in().is_alive
    assert log_in(stranger.device).status == 400
    assert not Authenticator.objects.exists()
