"""MFA: a first factor that somebody else added does not stay, and enrolment is no place to guess."""

from functools import partial
from io import StringIO
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.auth import get_user_model
from django.core import signing
from django.core.management import call_command
from django.utils import timezone

from auth_core import policy
from auth_core.audit.models import AuditEvent
from auth_core.contract.marks import real_transactions
from auth_core.contract.test_acc_email import NEW, NEWER, asked, changed, undo
from auth_core.contract.test_acc_recovery import reset, void_password
from auth_core.contract.test_ref import outcome
from auth_core.features.mfa import disowning
from auth_core.features.mfa.models import FirstFactor, PendingLogin
from auth_core.testing import OTHER_PASSWORD, Account, Answer, Api, at_once, link_secrets

from .testing import PERIOD, App, enrol, pending, verify

__all__ = ["asked", "changed"]

pytestmark = [pytest.mark.django_db, pytest.mark.inside]

HOUR = 3600


def take_back(key: dict[str, str]) -> Answer:
    return Api().post("mfa_undo", key)


def keys(mailbox: list[Any]) -> dict[str, dict[str, str]]:
    """What the links of the notices carry, by address."""
    return {mail.to[0]: link_secrets(mail) for mail in mailbox if "/undo-factor#key=" in mail.body}


def has_factors(account: Account) -> bool:
    return Authenticator.objects.filter(user=account.user).exists()


def is_refused(answer: Answer) -> bool:
    return outcome(answer) == (400, "invalid_key")


def owners_login(account: Account, mailbox: list[Any], email: str) -> Api:
    """Set a new password by a mail to an address, and log in with nothing but that."""
    reset(email, mailbox)
    account.user.refresh_from_db()
    return Account(account.user, OTHER_PASSWORD).log_in()


def test_every_address_that_the_account_had_is_told(
    account: Account, changed: Any, mailbox: list[Any], clock: Any
) -> None:
    """MFA-15: within EMAIL_UNDO_DAYS, each with a link of its own; nobody is told another's address."""
    old = account.user.email
    changed(account.log_in())
    clock.shift(policy.EMAIL_UNDO_DAYS * 24 * HOUR - 60)
    account.user.refresh_from_db()
    changed(account.log_in(), NEWER)
    account.user.refresh_from_db()
    mailbox.clear()
    enrol(account)
    assert {*keys(mailbox)} == {old, NEW, NEWER}
    assert len({key["key"] for key in keys(mailbox).values()}) == 3
    for mail in mailbox:
        others = {old, NEW, NEWER} - {*mail.to}
        assert not [other for other in others if other in str(mail.message())]
        assert "72 hours" in " ".join(mail.body.split())
    Authenticator.objects.all().delete()
    clock.shift(120)
    mailbox.clear()
    enrol(account)
    assert {*keys(mailbox)} == {NEW, NEWER}


def test_a_factor_that_was_not_the_owners_is_taken_back(
    account: Account, mailbox: list[Any], clock: Any
) -> None:
    """MFA-15: the factor, its recovery codes and the password are gone, and so is every session."""
    thief = enrol(account)
    key = keys(mailbox)[account.user.email]
    waiting = pending(account)
    mailbox.clear()
    answer = take_back(key)
    assert answer.status == 200, answer.body
    assert not answer.cookies
    assert {*answer.body} == {"detail"}
    assert not has_factors(account)
    assert not thief.client.is_alive
    assert thief.client.send_refresh().status == 401
    assert not PendingLogin.objects.exists()
    clock.shift(PERIOD)
    assert outcome(verify(waiting, thief.app.code())) == (400, "invalid_login")
    assert outcome(Api().post("rest_login", account.credentials)) == (400, "invalid_credentials")
    (told,) = mailbox
    assert told.to == [account.user.email]
    assert "/forgot-password" in told.body
    events = AuditEvent.objects.filter(event__startswith="user_mfa_dis", user_id=account.user.pk)
    assert {it.event for it in events} == {"user_mfa_disowned", "user_mfa_disabled"}
    assert owners_login(account, mailbox, account.user.email).is_alive
    assert is_refused(take_back(key))


@pytest.mark.parametrize("first", ["password", "link"])
def test_the_order_of_the_owners_steps_does_not_matter(
    account: Account, mailbox: list[Any], clock: Any, first: str
) -> None:
    """MFA-15: who sets a new password at once, and is asked for the thief's code, has the link yet."""
    enrol(account)
    key = keys(mailbox)[account.user.email]
    if first == "password":
        reset(account.user.email, mailbox)
        assert pending(Account(account.user, OTHER_PASSWORD))
    assert take_back(key).status == 200
    assert owners_login(account, mailbox, account.user.email).is_alive


def test_a_link_ends(account: Account, mailbox: list[Any], clock: Any, settings: Any) -> None:
    """MFA-15: after FACTOR_UNDO_HOURS; what cannot be used any more is purged."""
    assert settings.FACTOR_UNDO_HOURS == 72
    enrol(account)
    key = keys(mailbox)[account.user.email]
    clock.shift(72 * HOUR + 1)
    assert is_refused(take_back(key))
    assert has_factors(account)
    assert disowning.purge(timezone.now()) == 0
    clock.shift(policy.EMAIL_UNDO_DAYS * 24 * HOUR)
    assert disowning.purge(timezone.now()) == 1


def test_the_link_can_be_switched_off(
    account: Account, mailbox: list[Any], clock: Any, settings: Any
) -> None:
    """MFA-15: FACTOR_UNDO_HOURS = 0: the notice stays, and a key that was mailed before does nothing."""
    enrol(account)
    key = keys(mailbox)[account.user.email]
    settings.FACTOR_UNDO_HOURS = 0
    assert is_refused(take_back(key))
    Authenticator.objects.all().delete()
    mailbox.clear()
    enrol(account)
    (told,) = mailbox
    assert "#" not in told.body
    assert "has a second factor now" in told.body


def test_no_other_key_removes_anything(
    account: Account, changed: Any, mailbox: list[Any], clock: Any
) -> None:
    """MFA-15: forged, cut off, of another purpose or of an address that it was not mailed to; never by a GET."""
    undo_change = changed(account.log_in())
    account.user.refresh_from_db()
    enrol(account)
    key = keys(mailbox)[NEW]["key"]
    pk = FirstFactor.objects.get().pk
    forged = [
        key[:-1],
        str(pk),
        signing.Signer().sign(str(pk)),
        signing.Signer(salt=disowning.__name__).sign(str(pk)),
        signing.Signer(salt=disowning.__name__).sign(f"{pk}-{'0' * 16}"),
        undo_change["key"],
    ]
    assert all(is_refused(take_back({"key": each})) for each in forged)
    assert outcome(take_back({"key": ""}))[0] == 400
    assert Api().get("mfa_undo").status == 405
    assert Api().get(f"/api/auth/mfa/undo/?key={key}").status in (404, 405)
    assert outcome(undo({"key": key})) == (400, "invalid_key")
    assert has_factors(account)


def test_a_thief_voids_nothing_of_the_owners(
    account: Account, changed: Any, mailbox: list[Any], clock: Any
) -> None:
    """MFA-15: he moves the account to his address and proves that, or uses his own link; hers work."""
    old = account.user.email
    client = account.log_in()
    enrol(account, client)
    hers = keys(mailbox)[old]
    back = changed(client)
    reset(NEW, mailbox)
    assert take_back(hers).status == 200
    assert not has_factors(account)
    assert undo(back).status == 200
    assert owners_login(account, mailbox, old).is_alive


def test_a_thiefs_own_link_leaves_hers_to_the_address(
    account: Account, changed: Any, mailbox: list[Any], clock: Any
) -> None:
    """MFA-15: he uses the link that was mailed to his address; the way back is open."""
    old = account.user.email
    client = account.log_in()
    back = changed(client)
    account.user.refresh_from_db()
    enrol(account, client)
    assert take_back(keys(mailbox)[NEW]).status == 200
    assert undo(back).status == 200
    assert owners_login(account, mailbox, old).is_alive


def test_a_thiefs_link_ends_when_the_older_address_was_proved(
    account: Account, changed: Any, mailbox: list[Any], clock: Any
) -> None:
    """MFA-15: by that link he could void the owner's new password."""
    old, client = account.user.email, account.log_in()
    back = changed(client)
    account.user.refresh_from_db()
    enrol(account, client)
    his = keys(mailbox)[NEW]
    assert undo(back).status == 200
    owner = owners_login(account, mailbox, old)
    assert is_refused(take_back(his))
    assert owner.is_alive


@pytest.mark.parametrize("older", [True, False])
def test_an_undone_change_takes_factors_with_it(
    account: Account, changed: Any, mailbox: list[Any], clock: Any, older: bool
) -> None:
    """What was added since without the proof of an older one; the owner's own stays."""
    old, client = account.user.email, account.log_in()
    if older:
        enrol(account, client)
        clock.shift(PERIOD)
    back = changed(client)
    if not older:
        account.user.refresh_from_db()
        enrol(account, client)
    assert undo(back).status == 200
    assert has_factors(account) == older
    if not older:
        assert owners_login(account, mailbox, old).is_alive


@pytest.mark.parametrize("by", ["reset", "operator"])
def test_a_mere_new_password_removes_no_factor(
    account: Account, mailbox: list[Any], clock: Any, by: str
) -> None:
    """MFA-15: that takes the link, or an older address."""
    enrol(account)
    if by == "operator":
        void_password(account)
    reset(account.user.email, mailbox)
    assert pending(Account(account.user, OTHER_PASSWORD))


def test_an_administrators_reset_ends_the_links(
    account: Account, mailbox: list[Any], clock: Any
) -> None:
    """MFA-15: the account was helped otherwise, and may have a factor of its owner since."""
    enrol(account)
    key = keys(mailbox)[account.user.email]
    call_command("resetmfa", user=str(account.user.pk), stdout=StringIO())
    clock.shift(PERIOD)
    enrol(account)
    assert is_refused(take_back(key))
    assert has_factors(account)


def test_a_deactivated_account_is_left_alone(
    account: Account, mailbox: list[Any], clock: Any
) -> None:
    """MFA-15: as any link of it."""
    enrol(account)
    get_user_model().objects.filter(pk=account.user.pk).update(is_active=False)
    assert is_refused(take_back(keys(mailbox)[account.user.email]))
    assert has_factors(account)


@real_transactions
def test_of_racing_uses_one_wins(account: Account, mailbox: list[Any], clock: Any) -> None:
    """MFA-15: four uses of one key and a pending login at once."""
    enrol(account)
    key = keys(mailbox)[account.user.email]
    answers = at_once(
        *[partial(take_back, key)] * 4, partial(Api().post, "rest_login", account.credentials)
    )
    assert sorted(it.status for it in answers[:4]) == [200, 400, 400, 400]
    assert not has_factors(account)
    assert not PendingLogin.objects.exists()


# --- Guessing at enrolment -----------------------------------------------------------------


def test_wrong_codes_of_an_enrolment_make_wait(account: Account, clock: Any, settings: Any) -> None:
    """MFA-16: as many as at a login are free; a right one ends the count, another token does not."""
    client = account.log_in()

    def guess(code: str = "") -> Answer:
        begun = client.get("mfa_totp_activate").body
        app = App(begun["secret"])
        body = {"activation_token": begun["activation_token"], "code": code or app.wrong_code()}
        return client.post("mfa_totp_activate", body)

    for _ in range(settings.LOGIN_FREE_FAILURES):
        assert outcome(guess()) == (400, "invalid_code")
    refused = guess()
    assert refused.status == 429
    assert int(refused.headers["Retry-After"]) <= settings.LOGIN_FIRST_WAIT_SECONDS
    assert not has_factors(account)
    clock.shift(settings.LOGIN_FIRST_WAIT_SECONDS + 1)
    assert enrol(account, client).recovery_codes
    clock.shift(PERIOD)


def test_a_token_of_another_session_is_no_guess(
    account: Account, clock: Any, settings: Any
) -> None:
    """MFA-16: nobody makes another session of the user wait without a token of that one."""
    client, other = account.log_in(), account.log_in()
    token = other.get("mfa_totp_activate").body["activation_token"]
    for _ in range(settings.LOGIN_FREE_FAILURES + 1):
        body = {"activation_token": token, "code": "000000"}
        assert outcome(client.post("mfa_totp_activate", body)) == (400, "invalid_enrolment")
    assert enrol(account, client).recovery_codes
