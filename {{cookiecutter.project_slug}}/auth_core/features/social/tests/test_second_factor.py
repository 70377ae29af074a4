"""A login at a provider still needs the second factor of this project (MFA-01, SOC-08)."""

from typing import Any

import pytest
from allauth.socialaccount.models import SocialAccount

from auth_core.contract.test_ref import outcome
from auth_core.features.mfa.tests.testing import PERIOD, Enrolled, enrolled, verify
from auth_core.sessions.models import AuthSession
from auth_core.testing import Api, claims_of

from .conftest import NAME, Login
from .testing import Provider

__all__ = ["enrolled"]

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.inside,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of what the provider stands on
]


@pytest.fixture
def linked(enrolled: Enrolled, provider: Provider, finish: Login) -> Enrolled:
    """Somebody with an authenticator app who is `ada` at the provider."""
    account = SocialAccount(user=enrolled.user, provider=provider.issuer, uid="ada")
    account.save()
    AuthSession.objects.all().delete()
    return enrolled


def test_a_provider_vouches_for_one_factor_only(
    linked: Enrolled, finish: Login, clock: Any
) -> None:
    """By SOC-08 the provider's word leads to the question for the code, and no further."""
    answer = finish("ada")
    assert answer.status == 200, answer.body
    assert {*answer.body} == {"mfa_required", "ephemeral_token", "factors"}
    assert not answer.cookies
    assert not AuthSession.objects.exists()
    pending = answer.body["ephemeral_token"]
    assert outcome(verify(pending, linked.app.wrong_code())) == (400, "invalid_code")
    assert not AuthSession.objects.exists()
    clock.shift(PERIOD)
    answer = verify(pending, linked.app.code())
    assert answer.status == 200, answer.body
    client = Api().with_tokens_of(answer)
    assert client.is_alive
    claims = claims_of(client.access)
    assert (claims["amr"], claims["acr"]) == (["fed", "otp", "mfa"], "aal2")


def test_a_recovery_code_does_as_well_once(linked: Enrolled, finish: Login) -> None:
    """MFA-07 holds here, too."""
    code = linked.recovery_codes[0]
    assert verify(finish("ada").body["ephemeral_token"], code).status == 200
    pending = finish("ada").body["ephemeral_token"]
    assert outcome(verify(pending, code)) == (400, "invalid_code")


def test_an_address_that_both_verified_links_and_still_needs_the_code(
    enrolled: Enrolled, provider: Provider, finish: Login
) -> None:
    """The first login at the provider (SOC-05) is no way round MFA-01, either."""
    AuthSession.objects.all().delete()
    provider.has_user("ada", email=enrolled.user.email, email_verified=True)
    answer = finish("ada")
    assert {*answer.body} == {"mfa_required", "ephemeral_token", "factors"}
    assert not AuthSession.objects.exists()


@pytest.mark.parametrize("other", [True, False])
def test_a_login_that_waits_ends_with_its_link(
    linked: Enrolled, provider: Provider, finish: Login, clock: Any, other: bool
) -> None:
    """SOC-12, SOC-13: its code is not asked for any more, whatever else is linked."""
    if other:
        SocialAccount.objects.create(user=linked.user, provider="https://another.example", uid="1")
    client = linked.log_in(clock)
    pending = finish("ada").body["ephemeral_token"]
    assert client.delete(f"social_{NAME}_link").status == 204
    clock.shift(PERIOD)
    assert outcome(verify(pending, linked.app.code())) == (400, "invalid_login")
    assert client.is_alive
