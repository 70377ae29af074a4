"""MFA: a login with a second factor, from the password to the session."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import TestCase
from django.utils import timezone

from auth_core import policy
from auth_core.audit.models import AuditEvent
from auth_core.contract.marks import real_transactions
from auth_core.contract.test_ref import outcome
from auth_core.features.mfa.factors import matching_step
from auth_core.features.mfa.models import PendingLogin
from auth_core.features.mfa.services import purge
from auth_core.sessions.models import AuthSession
from auth_core.testing import (
    OTHER_PASSWORD,
    Account,
    Api,
    at_once,
    claims_of,
    forget_uses,
    link_secrets,
)
from auth_core.throttling.models import Counter

from .testing import PERIOD, App, Enrolled, verify

pytestmark = [pytest.mark.django_db, pytest.mark.inside]

THREADS = 16
WRONG = (400, "invalid_code")
DEAD = (400, "invalid_login")


def test_a_login_waits_for_the_code(enrolled: Enrolled, clock: Any) -> None:
    """MFA-01: the password gives a token for `mfa/verify/` and nothing else; with the code there is a session."""
    clock.shift(PERIOD)
    AuthSession.objects.all().delete()
    answer = Api().post("rest_login", enrolled.account.credentials)
    token = answer.body["ephemeral_token"]
    assert answer.body == {"mfa_required": True, "ephemeral_token": token, "factors": ["totp"]}
    assert not answer.cookies
    assert not AuthSession.objects.exists()
    finished = verify(token, enrolled.app.code())
    assert finished.status == 200
    assert finished.body["user"]["pk"] == str(enrolled.user.pk)
    client = Api().with_tokens_of(finished)
    assert client.is_alive
    assert client.refreshed().is_alive


def test_who_has_no_second_factor_is_asked_for_none(account: Account) -> None:
    """MFA-14: it is each user's choice, unless MFA_REQUIRED says otherwise."""
    client = account.log_in()
    assert client.is_alive
    assert client.get("mfa_status").body == {
        "mfa_enabled": False,
        "mfa_required": False,
        "factors": [],
        "created_at": None,
        "last_used_at": None,
        "recovery_codes_left": 0,
    }


@pytest.mark.parametrize(
    ("when", "code"), [(59, "287082"), (1111111109, "081804"), (20000000000, "353130")]
)
def test_codes_are_those_of_the_standard(when: int, code: str, clock: Any) -> None:
    """MFA-04: the test vectors of RFC 6238, appendix B, in six digits."""
    clock.move_to(when)
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    assert matching_step(secret, code) == when // PERIOD
    assert App(secret).code() == code


# --- A code works once ---------------------------------------------------------------------


def test_a_code_works_once(enrolled: Enrolled, clock: Any) -> None:
    """MFA-02: not again, in no other spelling, not in turn with another, and not the one of the enrolment."""
    first = enrolled.app.code()
    assert outcome(verify(enrolled.pending(), first)) == WRONG
    clock.shift(PERIOD)
    second = enrolled.app.code()
    assert verify(enrolled.pending(), second).status == 200
    full_width = "".join(chr(ord(digit) + 0xFEE0) for digit in second)
    for code in (second, first, f"{second[:3]} {second[3:]}", f" {second} ", full_width, first):
        forget_uses()
        assert outcome(verify(enrolled.pending(), code)) == WRONG
    clock.shift(PERIOD)
    third = enrolled.app.code()
    assert verify(enrolled.pending(), f"{third[:3]} {third[3:]}").status == 200
    for code in (second, third, second, third):
        forget_uses()
        assert outcome(verify(enrolled.pending(), code)) == WRONG


@real_transactions
@pytest.mark.parametrize("shared", [True, False], ids=["one login", "a login each"])
def test_one_of_many_parallel_uses_of_a_code_succeeds(
    shared: bool, enrolled: Enrolled, clock: Any
) -> None:
    """MFA-03: whether they race with one waiting login or with one each."""
    clock.shift(PERIOD)
    code = enrolled.app.code()
    one = enrolled.pending()
    tokens = [one if shared else enrolled.pending() for _ in range(THREADS)]
    answers = at_once(*(partial(verify, token, code) for token in tokens))
    won = [answer for answer in answers if answer.status == 200]
    assert len(won) == 1
    assert {answer.status for answer in answers} <= {200, 400, 429}
    assert Api().with_tokens_of(won[0]).is_alive
    assert AuthSession.objects.live().filter(user=enrolled.user).count() == 2


def test_the_code_of_the_step_before_is_taken_and_no_older_one(
    enrolled: Enrolled, clock: Any
) -> None:
    """MFA-04: by the server's clock, one step back and none ahead."""
    clock.shift(10 * PERIOD)
    for steps in (-3, -2, 1, 2):
        forget_uses()
        assert outcome(verify(enrolled.pending(), enrolled.app.code(steps))) == WRONG
    assert verify(enrolled.pending(), enrolled.app.code(-1)).status == 200
    assert verify(enrolled.pending(), enrolled.app.code()).status == 200


# --- Guessing ------------------------------------------------------------------------------


def test_five_wrong_codes_end_the_login(enrolled: Enrolled, clock: Any, mailbox: list[Any]) -> None:
    """THR-13: the right code is then too late; the user is told that the password is known."""
    clock.shift(PERIOD)
    mailbox.clear()
    token = enrolled.pending()
    for _ in range(5):
        assert outcome(verify(token, enrolled.app.wrong_code())) == WRONG
    assert outcome(verify(token, enrolled.app.code())) == DEAD
    (told,) = mailbox
    assert "right password" in told.body
    assert verify(enrolled.pending(), enrolled.app.code()).status == 200


def test_wrong_codes_make_the_next_one_wait(enrolled: Enrolled, clock: Any) -> None:
    """MFA-05: counted per account, whatever login they are for; a right code is refused, too, until then."""
    AuthSession.objects.all().delete()
    clock.shift(PERIOD)
    answers = []
    for number in range(300):
        if number % 5 == 0:
            forget_uses_of_logins()
            token = enrolled.pending()
        answers.append(
            verify(token, enrolled.app.wrong_code(), REMOTE_ADDR=f"203.0.113.{number % 250}")
        )
    assert [outcome(answer) for answer in answers[:10]] == [WRONG] * 10
    assert {outcome(answer) for answer in answers[10:]} == {(429, "throttled")}
    wait = int(answers[-1].headers["Retry-After"])
    assert 0 < wait <= 30
    assert verify(enrolled.pending(), enrolled.app.code()).status == 429
    clock.shift(wait + 1)
    assert verify(enrolled.pending(), enrolled.app.code()).status == 200


def forget_uses_of_logins() -> None:
    """Let the limits of the password alone begin anew: they would stop the test before those of codes."""
    Counter.objects.filter(first_wait=0).delete()


def test_nobody_makes_the_owner_wait(enrolled: Enrolled, clock: Any) -> None:
    """THR-13: codes are tried behind the password; and who has it waits elsewhere, not where the owner is."""
    assert outcome(verify("x" * 43, "000000")) == DEAD
    elsewhere = {"REMOTE_ADDR": "203.0.113.9"}
    for _ in range(2):
        token = enrolled.pending(**elsewhere)
        for _ in range(5):
            assert verify(token, enrolled.app.wrong_code(), **elsewhere).status == 400
    assert verify(enrolled.pending(), enrolled.app.wrong_code(), **elsewhere).status == 429
    assert enrolled.log_in(clock).is_alive


def test_who_knows_only_the_password_is_noticed(
    enrolled: Enrolled, clock: Any, mailbox: list[Any]
) -> None:
    """MFA-05: every fifth wrong code of an account is mailed, however they are spread over logins."""
    mailbox.clear()
    for _ in range(5):
        assert outcome(verify(enrolled.pending(), enrolled.app.wrong_code())) == WRONG
    (told,) = mailbox
    assert "right password" in told.body
    enrolled.log_in(clock)
    verify(enrolled.pending(), enrolled.app.wrong_code())
    assert len(mailbox) == 1


# --- The login that waits ------------------------------------------------------------------


def test_a_waiting_login_is_used_once(enrolled: Enrolled, clock: Any) -> None:
    """MFA-06: then it is gone, as is what it was known by."""
    clock.shift(PERIOD)
    token = enrolled.pending()
    assert token not in str(PendingLogin.objects.values())
    assert verify(token, enrolled.app.code()).status == 200
    clock.shift(PERIOD)
    assert outcome(verify(token, enrolled.app.code())) == DEAD
    assert not PendingLogin.objects.exists()


def test_a_waiting_login_is_short(enrolled: Enrolled, clock: Any) -> None:
    """MFA-06: five minutes, after which the purge deletes it."""
    tokens = [enrolled.pending() for _ in range(2)]
    clock.shift(290)
    assert verify(tokens[0], enrolled.app.code()).status == 200
    clock.shift(20)
    assert outcome(verify(tokens[1], enrolled.app.code())) == DEAD
    assert purge(timezone.now()) == 1
    assert not PendingLogin.objects.exists()


def test_a_waiting_login_is_its_users(
    enrolled: Enrolled, make_enrolled: Callable[..., Enrolled], clock: Any
) -> None:
    """MFA-06: somebody else's code does not finish it, whoever sends it."""
    other = make_enrolled()
    clock.shift(PERIOD)
    assert outcome(verify(enrolled.pending(), other.app.code())) == WRONG
    assert outcome(verify(enrolled.pending(), other.recovery_codes[0])) == WRONG
    answer = other.client.post(
        "mfa_verify", {"ephemeral_token": enrolled.pending(), "code": other.app.code()}
    )
    assert outcome(answer) == WRONG
    assert verify(other.pending(), other.app.code()).status == 200


@pytest.mark.skipif(policy.TOKEN_DELIVERY != "both", reason="one way of tokens by the policy")
def test_a_waiting_login_keeps_its_way(enrolled: Enrolled, clock: Any) -> None:
    """MFA-06: one that began for cookies gives no token in a body, and the other way round."""
    clock.shift(PERIOD)
    token = enrolled.pending()
    other = "header" if Api().by_cookie else "cookie"
    body = {"ephemeral_token": token, "code": enrolled.app.code()}
    assert outcome(Api(delivery=other).post("mfa_verify", body)) == DEAD
    assert verify(token, enrolled.app.code()).status == 200


def test_a_waiting_login_is_no_access_token(enrolled: Enrolled) -> None:
    """MFA-06: it opens nothing, refreshes nothing and is no key."""
    token = enrolled.pending()
    assert Api(token, token, "x").get("rest_user_details").status in {401, 403}
    assert Api(token, token).send_refresh().status == 401
    if not Api().by_cookie:
        assert Api().post("token_verify", {"token": token}).status == 401


@pytest.mark.parametrize("change", ["password", "deactivation", "deletion"])
def test_a_waiting_login_ends_with_what_it_stands_on(
    change: str, enrolled: Enrolled, clock: Any
) -> None:
    """MFA-06: when the password is changed, or the account deactivated or deleted meanwhile."""
    clock.shift(PERIOD)
    token = enrolled.pending()
    user = get_user_model().objects.get(pk=enrolled.user.pk)
    if change == "deletion":
        user.delete()
    else:
        user.is_active = change != "deactivation"
        if change == "password":
            user.set_password(OTHER_PASSWORD)
        user.save()
    assert outcome(verify(token, enrolled.app.code())) == DEAD
    assert not AuthSession.objects.live().filter(user=enrolled.user.pk, amr=["pwd"]).exists()


def test_a_login_that_was_given_up_leaves_nothing(
    enrolled: Enrolled, other_account: Account
) -> None:
    """MFA-13: who logs in next with the same client meets no part of it."""
    token = enrolled.pending()
    client = other_account.log_in()
    assert client.get("mfa_status").body["mfa_enabled"] is False
    assert not Authenticator.objects.filter(user=other_account.user).exists()
    assert not PendingLogin.objects.filter(user=other_account.user).exists()
    assert client.post("mfa_verify", {"ephemeral_token": token, "code": "000000"}).status == 400
    assert AuthSession.objects.get(user=other_account.user).amr == ["pwd"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"ephemeral_token": "x"},
        {"ephemeral_token": "", "code": ""},
        {"ephemeral_token": None, "code": 123456},
        {"ephemeral_token": ["x"], "code": {"a": 1}},
        {"ephemeral_token": "é" * 99, "code": "٣" * 6},
        {"ephemeral_token": "x" * 9999, "code": "1" * 9999},
        [],
    ],
    ids=str,
)
def test_whatever_is_sent_instead_is_refused(body: Any, enrolled: Enrolled) -> None:
    """MFA-06: 400 and no session."""
    before = AuthSession.objects.count()
    assert Api().post("mfa_verify", body).status == 400
    if isinstance(body, dict) and "code" in body:
        assert (
            Api().post("mfa_verify", {**body, "ephemeral_token": enrolled.pending()}).status == 400
        )
    assert AuthSession.objects.count() == before


# --- Lost factors --------------------------------------------------------------------------


def test_a_recovery_code_works_once(enrolled: Enrolled, mailbox: list[Any], clock: Any) -> None:
    """MFA-07, MFA-10: in place of the app, in any letter case; its use is recorded and mailed."""
    mailbox.clear()
    code = enrolled.recovery_codes[3]
    answer = verify(enrolled.pending(), code.upper().replace("-", " "))
    assert answer.status == 200, answer.body
    client = Api().with_tokens_of(answer)
    assert client.get("mfa_status").body["recovery_codes_left"] == 9
    assert outcome(verify(enrolled.pending(), code)) == WRONG
    (told,) = [mail for mail in mailbox if "recovery code" in mail.body]
    assert "9 are left" in told.body
    assert code not in told.body
    events = AuditEvent.objects.filter(event="authn_mfa_recovery_code_used")
    assert [event.user_id for event in events] == [enrolled.user.pk]
    # Whoever has lost the app sets up another one.
    assert client.post("mfa_totp_deactivate", {"code": enrolled.recovery_codes[4]}).status == 200
    assert client.get("mfa_totp_activate").status == 200


@real_transactions
def test_one_of_many_parallel_uses_of_a_recovery_code_succeeds(enrolled: Enrolled) -> None:
    """MFA-07: as of a code of the app."""
    tokens = [enrolled.pending() for _ in range(8)]
    code = enrolled.recovery_codes[0]
    answers = at_once(*(partial(verify, token, code) for token in tokens))
    assert sorted(answer.status for answer in answers).count(200) == 1


def test_a_password_reset_removes_no_factor(
    enrolled: Enrolled, mailbox: list[Any], clock: Any
) -> None:
    """MFA-10: the new password, too, needs the code."""
    Api().post("rest_password_reset", {"email": enrolled.user.email})
    link = link_secrets(mailbox[-1])
    new = {"new_password1": OTHER_PASSWORD, "new_password2": OTHER_PASSWORD}
    assert Api().post("rest_password_reset_confirm", {**link, **new}).status == 200
    changed = Enrolled(Account(enrolled.user, OTHER_PASSWORD), Api(), enrolled.app, [])
    assert changed.log_in(clock).is_alive


def test_an_operator_resets_a_factor(enrolled: Enrolled, mailbox: list[Any]) -> None:
    """MFA-10: recorded and mailed; every session ends, and the password alone logs in."""
    mailbox.clear()
    name = enrolled.user.email
    with TestCase.captureOnCommitCallbacks(execute=True):
        call_command("resetmfa", "--user", name)
    assert not enrolled.client.is_alive
    event = AuditEvent.objects.get(event="user_mfa_disabled")
    assert (event.user_id, event.detail) == (enrolled.user.pk, {"reason": "reset"})
    (told,) = mailbox
    assert told.to == [name]
    assert "administrator" in told.body
    assert enrolled.account.log_in().is_alive


# --- What a session tells ------------------------------------------------------------------


def test_tokens_tell_how_the_session_began(enrolled: Enrolled, clock: Any) -> None:
    """MFA-11: amr, acr and auth_time (RFC 9068) with the factor and without it, also after a refresh."""
    client = enrolled.log_in(clock)
    session = AuthSession.objects.get(pk=claims_of(client.access)["sid"])
    assert session.amr == ["pwd", "otp", "mfa"]
    clock.shift(60)
    for each in (client, client.refreshed()):
        claims = claims_of(each.access)
        assert (claims["acr"], claims["amr"]) == ("aal2", ["pwd", "otp", "mfa"])
        assert claims["auth_time"] == int(session.auth_time.timestamp())
    assert client.get("session_list").body[0]["amr"] == ["pwd", "otp", "mfa"]


def test_events_tell_of_a_login_that_waits(enrolled: Enrolled) -> None:
    """MFA-05: the trail says that the password was right and a code was wrong."""
    verify(enrolled.pending(), enrolled.app.wrong_code())
    pending = AuditEvent.objects.get(event="authn_mfa_required")
    failed = AuditEvent.objects.get(event="authn_login_fail")
    assert pending.user_id == failed.user_id == enrolled.user.pk
    assert (failed.outcome, failed.detail) == ("failure", {"reason": "invalid_code"})


def test_an_unverified_address_is_refused_before_the_code(enrolled: Enrolled, clock: Any) -> None:
    """MFA-01: where verification is mandatory, the second factor is not even asked for."""
    EmailAddress.objects.filter(user=enrolled.user).update(verified=False)
    answer = Api().post("rest_login", enrolled.account.credentials)
    if policy.EMAIL_VERIFICATION == "mandatory":
        assert outcome(answer) == (400, "email_not_verified")
    else:
        assert answer.body["mfa_required"] is True
