"""API keys of users who must have a second factor: no way round it (MFA-14, KEY-03)."""

from typing import Any

import pytest

from auth_core.contract.test_ref import outcome
from auth_core.features.mfa.tests.testing import PERIOD, enrol
from auth_core.testing import Account, Api

from .test_key import body, holder, made, urlpatterns

__all__ = ["urlpatterns"]

pytestmark = [pytest.mark.django_db, pytest.mark.inside, pytest.mark.urls(__name__)]


@pytest.mark.parametrize("required", ["staff", "all"])
def test_a_key_is_no_way_round_the_duty_to_enrol(
    required: str, make_account: Any, settings: Any, clock: Any
) -> None:
    """A key from before MFA-14 was asked for is refused while its user has no factor; the user cannot make another."""
    account = make_account(is_staff=True)
    client = account.log_in()
    key = holder(made(client)["key"])
    assert key.get("/orders/").status == 200
    settings.MFA_REQUIRED = required
    for method in ("GET", "POST", "OPTIONS"):
        assert outcome(key.request(method, "/orders/")) == (403, "mfa_enrolment_required")
    # What is closed to keys stays so, whoever asks.
    assert outcome(key.get("/forgotten/")) == (403, "key_not_accepted")
    answer = client.post("api_key_list", body())
    assert outcome(answer) == (403, "mfa_enrolment_required")
    assert outcome(account.log_in().post("api_key_list", body())) == (403, "mfa_enrolment_required")
    enrolled = enrol(account, client)
    assert key.get("/orders/").status == 200
    assert made(client)["key"]
    # Who gives it up is where they were.
    clock.shift(PERIOD)
    assert client.post("mfa_totp_deactivate", {"code": enrolled.app.code()}).status == 200
    assert outcome(key.get("/orders/")) == (403, "mfa_enrolment_required")


def test_who_need_not_enrol_is_not_asked(
    account: Account, settings: Any, django_assert_num_queries: Any
) -> None:
    """Staff alone must, by MFA-14: keys of others are asked for nothing, in as many queries."""
    key = holder(made(account.log_in())["key"])
    assert key.get("/orders/").status == 200
    settings.MFA_REQUIRED = "staff"
    with django_assert_num_queries(1):
        assert key.get("/orders/").status == 200


def test_who_has_a_factor_makes_keys_by_a_session_with_it(
    account: Account, settings: Any, clock: Any
) -> None:
    """MFA-14 makes it a duty: nobody gets a session without the code, and so no key."""
    client = account.log_in()
    enrolled = enrol(account, client)
    settings.MFA_REQUIRED = "all"
    pending = Api().post("rest_login", account.credentials)
    assert pending.body["mfa_required"] is True
    assert Api(delivery="header").post("api_key_list", body()).status == 401
    assert made(enrolled.log_in(clock))["key"]
