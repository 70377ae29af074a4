"""A login by a mailed code still needs the second factor (MFA-01, COD-06)."""

from collections.abc import Callable
from typing import Any

import pytest
from django.urls import get_resolver, reverse

from auth_core.contract.test_ref import outcome
from auth_core.features.login_by_code.models import LoginCode
from auth_core.features.mfa.tests.testing import (
    PERIOD,
    SECRETS,
    Enrolled,
    enrolled,
    paths,
    verify,
)
from auth_core.sessions.models import AuthSession
from auth_core.testing import Api, claims_of

from .test_cod import confirm, is_refused, mailed

__all__ = ["enrolled", "mailed"]

pytestmark = [pytest.mark.django_db, pytest.mark.inside]


def test_the_mailbox_is_one_factor_only(
    enrolled: Enrolled, mailed: Callable[..., tuple[str, str]], clock: Any
) -> None:
    """By MFA-01 the mailed code leads to the question for the other one, which it does not answer itself."""
    AuthSession.objects.all().delete()
    token, code = mailed(enrolled.account)
    answer = confirm(token, code)
    assert answer.status == 200
    assert {*answer.body} == {"mfa_required", "ephemeral_token", "factors"}
    assert not answer.cookies
    assert not AuthSession.objects.exists()
    # It is used up, whatever comes of the login.
    assert is_refused(confirm(token, code))
    pending = answer.body["ephemeral_token"]
    _token, another = mailed(enrolled.account)
    for wrong in (code, another):
        assert outcome(verify(pending, wrong)) == (400, "invalid_code")
    clock.shift(PERIOD)
    answer = verify(pending, enrolled.app.code())
    assert answer.status == 200, answer.body
    client = Api().with_tokens_of(answer)
    assert client.is_alive
    claims = claims_of(client.access)
    assert (claims["amr"], claims["acr"]) == (["email", "otp", "mfa"], "aal2")


def test_no_path_takes_it_for_more(
    enrolled: Enrolled, mailed: Callable[..., tuple[str, str]], settings: Any
) -> None:
    """Nor does any other path, with and without its slash (MFA-01), given the mailed code and all that leads on."""
    settings.RATE_LIMITS = dict.fromkeys(settings.RATE_LIMITS, "")
    AuthSession.objects.all().delete()
    every = {*paths(get_resolver().url_patterns)} - {reverse("login_code")}  # mails another one
    stepped = []
    for url in sorted(every | {path.rstrip("/") or "/" for path in every}):
        if not LoginCode.objects.exists():
            token, code = mailed(enrolled.account)
        body = {"login_token": token, "ephemeral_token": token, "code": code}
        answer = Api().post(url, {**enrolled.account.credentials, **body, "password": "x"})
        told = answer.body if isinstance(answer.body, dict) and answer.status < 400 else {}
        stepped += [url] * ("mfa_required" in told)
        assert not SECRETS & {*told}, url
        assert not AuthSession.objects.filter(user=enrolled.user.pk).exists(), url
    assert stepped == [reverse("login_code_confirm")]


def test_a_code_of_the_app_is_no_mailed_code(
    enrolled: Enrolled, mailed: Callable[..., tuple[str, str]], clock: Any
) -> None:
    """COD-06 asks for another kind: neither stands for the other."""
    token, _code = mailed(enrolled.account)
    clock.shift(PERIOD)
    assert is_refused(confirm(token, enrolled.app.code()))
    assert is_refused(confirm(token, enrolled.recovery_codes[0]))
