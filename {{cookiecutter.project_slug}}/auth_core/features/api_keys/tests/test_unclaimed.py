"""REG-14 with API keys: a stranger's ends with the first reset of the account's owner."""

from typing import Any

import pytest
from django.contrib.auth import get_user_model

from auth_core import policy
from auth_core.contract.marks import registration_is_open
from auth_core.testing import OTHER_PASSWORD, Account, Api, link_secrets, registration

from .test_key import holder, made, urlpatterns

__all__ = ["urlpatterns"]


@pytest.mark.django_db
@pytest.mark.inside
@pytest.mark.urls(__name__)
@registration_is_open
@pytest.mark.skipif(policy.EMAIL_VERIFICATION == "none", reason="by the policy")
def test_a_strangers_key_ends_with_the_first_reset(mailbox: list[Any]) -> None:
    """It opens nothing any more."""
    body = registration()
    Api().post("rest_register", body)
    assert Api().post("rest_verify_email", link_secrets(mailbox[0])).status == 200
    user = get_user_model().objects.get(email=body["email"])
    key = holder(made(Account(user).log_in())["key"])
    assert key.get("/orders/").status == 200
    Api().post("rest_password_reset", {"email": body["email"]})
    new = {"new_password1": OTHER_PASSWORD, "new_password2": OTHER_PASSWORD}
    link = link_secrets(mailbox[-1])
    assert Api().post("rest_password_reset_confirm", {**link, **new}).status == 200
    assert key.get("/orders/").status == 401
