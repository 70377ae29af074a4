"""COD: a mailed code logs in whoever reads the mail and asked for it, once."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from allauth.account.adapter import get_adapter
from allauth.account.models import EmailAddress
from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.core.mail import EmailMultiAlternatives
from django.db import connection
from django.test import TestCase
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_tasks_db.models import DBTaskResult
from rest_framework.exceptions import ValidationError

from auth_core import policy
from auth_core.accounts.signals import account_recovered
from auth_core.accounts.views import log_in
from auth_core.audit.models import AuditEvent
from auth_core.contract.marks import real_transactions
from auth_core.contract.test_enu import NOBODY, STATES, account_that_is, same
from auth_core.contract.test_ref import outcome
from auth_core.digests import digest
from auth_core.features.login_by_code import services, views
from auth_core.features.login_by_code.models import LoginCode
from auth_core.mail import outbox
from auth_core.sessions.models import AuthSession
from auth_core.testing import (
    OTHER_PASSWORD,
    Account,
    Answer,
    Api,
    at_once,
    claims_of,
    forget_uses,
    outbox_is,
)

pytestmark = [pytest.mark.django_db, pytest.mark.inside]

FIELD = "email" if policy.LOGIN_WITH == "email" else "username"
CODE = re.compile(r"^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$", re.MULTILINE)
WRONG = "BBBB-BBBB"
TIMEOUT = 600
TRIES = 3


def ask(name: str, **headers: str) -> Answer:
    """Ask for a code in the way that the policy has people log in."""
    return Api().post("login_code", {FIELD: name}, **headers)


def confirm(token: str, code: str, **headers: str) -> Answer:
    return Api().post("login_code_confirm", {"login_token": token, "code": code}, **headers)


def is_refused(answer: Answer) -> bool:
    """The one answer for every code that logs nobody in."""
    return outcome(answer) == (400, "invalid_code")


def code_of(message: EmailMultiAlternatives) -> str:
    (code,) = CODE.findall(str(message.body))
    return str(code)


@pytest.fixture
def mailed(mailbox: list[Any]) -> Callable[..., tuple[str, str]]:
    """Ask for a code; return the token and what is mailed."""

    def mailed(account: Account, **headers: str) -> tuple[str, str]:
        before = len(mailbox)
        answer = ask(getattr(account.user, FIELD), **headers)
        assert answer.status == 200, answer.body
        assert len(mailbox) == before + 1
        assert mailbox[-1].to == [account.user.email]
        return answer.body["login_token"], code_of(mailbox[-1])

    return mailed


Mailed = Callable[..., tuple[str, str]]


def send(token: str) -> None:
    """Run the task of a request now, as a worker does."""
    with TestCase.captureOnCommitCallbacks(execute=True):
        outbox.defer(services.send_code, login=digest(token))


# --- The way ---------------------------------------------------------------------------------


def test_a_code_logs_in(account: Account, mailed: Mailed) -> None:
    """COD-06: with a session like any other, which says how it began; and no password is asked."""
    account.user.set_unusable_password()
    account.user.save()
    token, code = mailed(account)
    answer = confirm(token, code)
    assert answer.status == 200, answer.body
    assert answer.body["user"]["pk"] == str(account.user.pk)
    client = Api().with_tokens_of(answer)
    assert client.is_alive
    assert claims_of(client.access)["amr"] == ["email"]
    assert claims_of(client.access)["acr"] == "aal1"
    events = AuditEvent.objects.order_by("time").values_list("event", flat=True)
    assert [*events] == ["authn_login_code_requested", "authn_login_success"]
    assert client.refreshed().is_alive


@pytest.mark.parametrize("typed", [str.lower, lambda code: f" {code.replace('-', ' ')} "])
def test_a_code_is_typed_as_people_type(
    typed: Callable[[str], str], account: Account, mailed: Mailed
) -> None:
    token, code = mailed(account)
    assert confirm(token, typed(code)).status == 200


def test_the_mail_says_what_the_code_is_for(
    account: Account, mailed: Mailed, mailbox: list[Any]
) -> None:
    _token, code = mailed(account)
    message = mailbox[-1]
    assert policy.PROJECT_NAME in message.subject
    assert code not in message.subject
    assert "within 10 minutes" in message.body
    assert "tell it to nobody" in message.body
    assert code in message.alternatives[0][0]


@pytest.mark.parametrize("field", ["username", "email"])
def test_names_are_those_of_the_login(field: str, account: Account, mailbox: list[Any]) -> None:
    """Whichever people log in with, in any spelling; without one it is 400."""
    name = getattr(account.user, field) or "nobody"  # where people have no user names
    answer = Api().post("login_code", {field: name.upper()})
    if field in policy.LOGIN_WITH:
        assert answer.status == 200
        assert [message.to for message in mailbox] == [[account.user.email]]
    else:
        assert outcome(answer) == (400, "required")
    for body in ({}, {FIELD: ""}, {FIELD: None}, {FIELD: "\0"}, {FIELD: "n" * 255}):
        assert Api().post("login_code", body).status == 400


def test_a_gate_is_asked_like_at_any_login(account: Account, mailed: Mailed, settings: Any) -> None:
    """COD-06: one that refuses leaves no session, and the code is used up."""
    token, code = mailed(account)
    settings.SESSION_GATES = [f"{__name__}.refuse"]
    assert outcome(confirm(token, code)) == (400, "not_today")
    settings.SESSION_GATES = []
    assert is_refused(confirm(token, code))
    assert not AuthSession.objects.exists()


def refuse(session: AuthSession, request: Any) -> None:
    raise ValidationError("no", code="not_today")


# --- Nobody is told from somebody --------------------------------------------------------------


def test_nobody_is_told_from_somebody(
    make_account: Callable[..., Account], mailbox: list[Any]
) -> None:
    """COD-01: known, unknown, inactive, unverified, without a password: the same 200, and the same refusals."""
    accounts = [account_that_is(make_account, state) for state in STATES]
    names = [getattr(each.user, FIELD) for each in accounts]
    names.append(NOBODY if FIELD == "email" else "nobody")
    answers = [ask(name) for name in names]
    tokens = [answer.body.pop("login_token") for answer in answers]
    assert same(answers)[0] == 200
    assert len({*tokens}) == len(tokens)
    # No address that somebody else may have registered, and nobody who could not log in.
    asked = {state: each.user.email for state, each in zip(STATES, accounts, strict=True)}
    expected = [asked["active"], asked["without a password"]]
    assert [message.to for message in mailbox] == [[email] for email in expected]
    # Also once a later request has overtaken it.
    for name in names:
        ask(name)
    for code in (WRONG, "", "x" * 65):
        assert same([confirm(token, code) for token in tokens])[0] == 400


def test_asking_does_the_same_whatever_the_name(account: Account) -> None:
    """COD-01: one row and one enqueue, without the name, and as many queries; nobody is looked up."""
    asked, tasks = [], []
    with outbox_is(django_settings.DATABASE_BACKEND):
        ask("somebody@example.com")  # what is done once
        for name in (getattr(account.user, FIELD), NOBODY if FIELD == "email" else "nobody"):
            forget_uses()
            rows, before = LoginCode.objects.count(), DBTaskResult.objects.count()
            with CaptureQueriesContext(connection) as queries:
                assert ask(name).status == 200
            asked.append([query["sql"].split(" ", 1)[0] for query in queries])
            assert (LoginCode.objects.count(), DBTaskResult.objects.count()) == (
                rows + 1,
                before + 1,
            )
        tasks = [row.args_kwargs["args"][1] for row in DBTaskResult.objects.all()]
    assert asked[0] == asked[1]
    assert {tuple(arguments) for arguments in tasks} == {("login",)}


def test_a_wrong_code_costs_the_same_whatever_the_name(account: Account, mailed: Mailed) -> None:
    """COD-01: whether somebody has that name does not show in the work of a refusal, either."""
    overtaken, _ = mailed(account)
    token, _ = mailed(account)
    nobodys = ask(NOBODY if FIELD == "email" else "nobody").body["login_token"]
    work = []
    for each in (token, overtaken, nobodys):
        with CaptureQueriesContext(connection) as queries:
            assert is_refused(confirm(each, WRONG))
        work.append([query["sql"].split(" ", 1)[0] for query in queries])
    assert work[0] == work[1] == work[2]


def test_what_was_typed_is_kept_until_it_was_looked_up(account: Account, mailed: Mailed) -> None:
    """COD-01: people type passwords there."""
    mailed(account)
    ask(NOBODY if FIELD == "email" else "not-a-user-name")
    assert {*LoginCode.objects.values_list("name", flat=True)} == {""}


# --- Once, the newest, for whom it was asked -----------------------------------------------------


def test_a_code_works_once(account: Account, mailed: Mailed) -> None:
    """COD-02: the second use is refused."""
    token, code = mailed(account)
    assert confirm(token, code).status == 200
    assert is_refused(confirm(token, code))
    assert AuthSession.objects.count() == 1


@real_transactions
def test_of_those_who_race_one_logs_in(account: Account, mailed: Mailed) -> None:
    """COD-02: as many parallel uses as there are tries; one session."""
    token, code = mailed(account)
    answers = at_once(*[partial(confirm, token, code)] * TRIES)
    assert sorted(answer.status for answer in answers) == [200] + [400] * (TRIES - 1)
    assert AuthSession.objects.count() == 1


@real_transactions
def test_tries_that_race_are_counted(account: Account, mailed: Mailed) -> None:
    """COD-05: of many wrong ones at once no more than the allowed are compared."""
    token, code = mailed(account)
    answers = at_once(*[partial(confirm, token, WRONG)] * 8)
    assert {answer.status for answer in answers} == {400}
    assert LoginCode.objects.get().tries == TRIES
    assert is_refused(confirm(token, code))


def test_the_newest_code_counts(account: Account, mailed: Mailed) -> None:
    """COD-02: mailing another one ends the one before."""
    old_token, old = mailed(account)
    token, code = mailed(account)
    assert is_refused(confirm(old_token, old))
    assert is_refused(confirm(token, old))
    assert confirm(token, code).status == 200


def test_a_late_mail_brings_no_old_code(account: Account, clock: Any, mailbox: list[Any]) -> None:
    """COD-02: whichever task runs first, the latest request is the one with a code."""
    with outbox_is(django_settings.DATABASE_BACKEND):
        tokens = []
        for _ in range(2):
            tokens.append(ask(getattr(account.user, FIELD)).body["login_token"])
            clock.shift(1)
    for token in reversed(tokens):
        send(token)
    assert len(mailbox) == 1
    assert confirm(tokens[1], code_of(mailbox[0])).status == 200


def test_a_code_is_of_the_client_that_asked(
    account: Account, other_account: Account, mailed: Mailed
) -> None:
    """COD-02: what is read over a shoulder, or told by a victim, is of no use without the token."""
    _token, code = mailed(account)
    others, _ = mailed(other_account)
    for token in (others, "", "x", "\0", digest(_token)):
        assert confirm(token, code).status == 400
    assert not AuthSession.objects.exists()


@pytest.mark.skipif(policy.TOKEN_DELIVERY != "both", reason="there is one way by the policy")
def test_a_login_ends_in_the_way_it_began(account: Account, mailed: Mailed) -> None:
    """COD-02: what was asked for cookies puts no tokens into a body, and the other way round."""
    token, code = mailed(account)
    other = Api(delivery="header" if Api.default_delivery == "cookie" else "cookie")
    assert is_refused(other.post("login_code_confirm", {"login_token": token, "code": code}))
    assert confirm(token, code).status == 200


def change_password(account: Account) -> None:
    account.user.set_password(OTHER_PASSWORD)
    account.user.save()


def change_address(account: Account) -> None:
    EmailAddress.objects.filter(user=account.user).update(email="new@example.com")
    account.user.email = "new@example.com"
    account.user.save()


def deactivate(account: Account) -> None:
    account.user.is_active = False
    account.user.save()


def lose_verification(account: Account) -> None:
    EmailAddress.objects.filter(user=account.user).update(verified=False)


@pytest.mark.parametrize("change", [change_password, change_address, deactivate, lose_verification])
def test_a_change_of_the_account_ends_its_codes(
    change: Callable[[Account], None], account: Account, mailed: Mailed
) -> None:
    """COD-02: a thief who asked before the owner took the account back is too late."""
    token, code = mailed(account)
    change(account)
    assert is_refused(confirm(token, code))
    assert not AuthSession.objects.exists()


# --- Not to be guessed, stolen or kept -----------------------------------------------------------


def test_a_code_is_random_enough() -> None:
    """COD-03: 20 bits at least (ASVS 6.5.4), of a cryptographic source."""
    codes = {get_adapter().generate_login_code() for _ in range(500)}
    assert len(codes) == 500
    letters = {letter for code in codes for letter in code} - {"-"}
    assert len(letters) ** 8 > 2**34


def test_the_database_holds_nothing_that_logs_in(
    account: Account, mailed: Mailed, settings: Any
) -> None:
    """COD-03: neither code nor token; and what it holds of a code cannot be tried out without SECRET_KEY."""
    token, code = mailed(account)
    with outbox_is(django_settings.DATABASE_BACKEND):
        waiting = ask(getattr(account.user, FIELD)).body["login_token"]
    for model in apps.get_models():
        for row in model._default_manager.values():
            for secret in (token, waiting, code, code.replace("-", ""), code.lower()):
                assert secret not in repr(row), model
    stored = LoginCode.objects.get(pk=digest(token))
    assert services._mac(stored.pk, code, account.user) == stored.code
    settings.SECRET_KEY = "another one " * 5
    assert services._mac(stored.pk, code, account.user) != stored.code


def test_a_code_ends(account: Account, mailed: Mailed, clock: Any) -> None:
    """COD-04: ten minutes after it was asked for (ASVS 6.5.5), and is purged."""
    assert django_settings.ACCOUNT_LOGIN_BY_CODE_TIMEOUT <= TIMEOUT  # type: ignore[misc] # of a feature
    token, code = mailed(account)
    clock.shift(TIMEOUT - 1)
    assert confirm(token, code).status == 200
    token, code = mailed(account)
    clock.shift(TIMEOUT)
    assert is_refused(confirm(token, code))
    clock.shift(1)
    assert services.purge(timezone.now()) == 1
    assert not LoginCode.objects.exists()


def test_a_mail_that_comes_too_late_is_not_sent(
    account: Account, clock: Any, mailbox: list[Any]
) -> None:
    """COD-04: after a day without a mail server nobody is sent a code that is of no use."""
    with outbox_is(django_settings.DATABASE_BACKEND):
        token = ask(getattr(account.user, FIELD)).body["login_token"]
    clock.shift(TIMEOUT)
    send(token)
    assert mailbox == []


def test_few_tries(account: Account, mailed: Mailed) -> None:
    """COD-05: the right code comes too late after three wrong ones."""
    token, code = mailed(account)
    for _ in range(TRIES):
        assert is_refused(confirm(token, WRONG))
    assert is_refused(confirm(token, code))
    assert LoginCode.objects.get().tries == TRIES


@pytest.mark.slow
def test_300_wrong_codes_are_throttled(account: Account, mailed: Mailed, clock: Any) -> None:
    """COD-05: 20 a minute from one network, whatever requests they are for; then 429 with Retry-After."""
    token, _code = mailed(account)
    answers = [confirm(token if n % 2 else f"t{n}", WRONG) for n in range(300)]
    assert [answer.status for answer in answers] == [400] * 20 + [429] * 280
    assert int(answers[-1].headers["Retry-After"]) <= 60


def test_a_right_code_is_no_failure(
    make_account: Callable[..., Account], mailed: Mailed, settings: Any, clock: Any
) -> None:
    """COD-05: those who share a network do not use up each other's tries by logging in."""
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "login_code": "100/m/ip"}
    for _ in range(25):
        assert confirm(*mailed(make_account())).status == 200


def test_mails_to_a_name_are_few(account: Account, mailbox: list[Any], clock: Any) -> None:
    """COD-05: five an hour and ten a day, whoever asks; beyond, the same answer, and the last code still counts."""
    clock.move_to(datetime(2040, 1, 1, 10, tzinfo=UTC))
    name = getattr(account.user, FIELD)
    asked = [ask(name) for _ in range(6)]
    assert len(mailbox) == 5
    *_others, last, unmailed = (answer.body["login_token"] for answer in asked)
    assert is_refused(confirm(unmailed, code_of(mailbox[-1])))
    assert confirm(last, code_of(mailbox[-1])).status == 200
    for _ in range(3):
        clock.shift(3600)
        asked += [ask(name) for _ in range(6)]
    assert len(mailbox) == 10
    assert {answer.status for answer in asked} == {200}


def test_requests_from_a_network_are_limited(account: Account, clock: Any) -> None:
    """COD-05: 20 a minute, whoever they are for; then 429."""
    answers = [
        ask(f"nobody{n}@example.com" if FIELD == "email" else f"nobody{n}") for n in range(21)
    ]
    assert [answer.status for answer in answers] == [200] * 20 + [429]
    assert "Retry-After" in answers[-1].headers
    assert ask(getattr(account.user, FIELD), REMOTE_ADDR="192.0.2.7").status == 200


@pytest.mark.skipif(policy.TOKEN_DELIVERY == "header", reason="no cookies by the policy")
@pytest.mark.parametrize("name", ["login_code", "login_code_confirm"])
def test_no_other_site_asks_or_logs_in(name: str, account: Account) -> None:
    """COD-06: with cookies, both need the proof that the request comes from our pages."""
    body = {FIELD: getattr(account.user, FIELD), "login_token": "x", "code": "x"}
    headers = {"X-Token-Delivery": "cookie"}
    assert outcome(Api(delivery="header").post(name, body, **headers)) == (403, "csrf_failed")


@pytest.mark.parametrize("change", [{"email": "other@example.com"}, {"password": "x"}])
def test_a_session_begins_for_the_account_that_was_proved(
    account: Account, mailed: Mailed, monkeypatch: pytest.MonkeyPatch, change: dict[str, str]
) -> None:
    """COD-02: recovered after the code was taken, and before the session begins."""
    token, code = mailed(account)

    def after_recovery(*args: Any, **kwargs: Any) -> Any:
        get_user_model().objects.filter(pk=account.user.pk).update(**change)
        return log_in(*args, **kwargs)

    monkeypatch.setattr(views, "log_in", after_recovery)
    answer = confirm(token, code)
    assert answer.status == 400
    assert answer.code in ("invalid_credentials", "email_not_verified")
    assert not AuthSession.objects.exists()


def test_a_recovery_ends_codes(account: Account, mailed: Mailed) -> None:
    """COD-02: also one that keeps password and address; so does deactivation, and the way back."""
    for end in ("recovery", "deactivation"):
        token, code = mailed(account)
        if end == "recovery":
            account_recovered.send(sender=None, user=account.user, request=None, email=None)
        else:
            get_user_model().objects.filter(pk=account.user.pk).update(is_active=False)
            get_user_model().objects.filter(pk=account.user.pk).update(is_active=True)
        assert is_refused(confirm(token, code))
