"""Conformance, group ENU: nobody can find out by asking who has an account here."""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.urls import reverse
from django_tasks_db.models import DBTaskResult

from auth_core import env, policy
from auth_core.contract.mail_server import free_port
from auth_core.testing import (
    OTHER_PASSWORD,
    PASSWORD,
    Account,
    Answer,
    Api,
    forget_uses,
    link_secrets,
    outbox_is,
    registration,
)

pytestmark = pytest.mark.django_db

NOBODY = "nobody@example.com"
NEW_PASSWORD = {"new_password1": OTHER_PASSWORD, "new_password2": OTHER_PASSWORD}
VERIFICATION_HIDES = policy.REGISTRATION == "open" and policy.EMAIL_VERIFICATION == "mandatory"
registration_hides = pytest.mark.skipif(
    not VERIFICATION_HIDES, reason="by the policy registration is closed, or needs no verification"
)


def what_shows(answer: Answer) -> Any:
    """All of an answer, apart from what differs between any two."""
    body = {name: value for name, value in answer.body.items() if name != "request_id"}
    # Random, but of one shape.
    if token := body.get("registration_token"):
        body["registration_token"] = [len(part) for part in token.split(":")]
    headers = {name: value for name, value in answer.headers.items() if name != "X-Request-ID"}
    # Seconds may pass between two answers.
    headers = {name: "" if name == "Retry-After" else value for name, value in headers.items()}
    return answer.status, body, headers, sorted(answer.cookies or [])


def same(answers: list[Answer]) -> Any:
    """Assert that the answers cannot be told apart; return what they show."""
    first, *others = map(what_shows, answers)
    assert others == [first] * len(others)
    return first


def account_that_is(make_account: Callable[..., Account], state: str) -> Account:
    account = make_account(verified=state != "unverified")
    if state == "inactive":
        get_user_model().objects.filter(pk=account.user.pk).update(is_active=False)
    if state == "without a password":
        account.user.set_unusable_password()
        account.user.save()
    return account


STATES = ["active", "unverified", "inactive", "without a password"]


@pytest.mark.parametrize("name", ["username", "email"])
def test_login_tells_nobody_from_somebody(
    api: Api, make_account: Callable[..., Account], name: str
) -> None:
    """ENU-01: unknown, wrong password, inactive, unverified, without a password: the same refusal."""
    if name not in policy.LOGIN_WITH:
        name = "email" if policy.LOGIN_WITH == "email" else "username"
    accounts = [account_that_is(make_account, state) for state in STATES]
    names = [getattr(account.user, name) for account in accounts]
    names.append(NOBODY if name == "email" else "nobody")
    answers = [api.post("rest_login", {name: each, "password": "wrong"}) for each in names]
    # Even the right password: whoever is deactivated is told no more than a guesser.
    right = {name: names[STATES.index("inactive")], "password": PASSWORD}
    status, body, *_ = same([*answers, api.post("rest_login", right)])
    assert (status, body["code"]) == (400, "invalid_credentials")


def limit_reached(ask: Callable[[], Answer]) -> list[Answer]:
    """Ask until it is too much; return all answers."""
    forget_uses()
    answers: list[Answer] = []
    for _ in range(60):
        answers.append(ask())
        if answers[-1].status == 429:
            return answers
    raise AssertionError("no limit")


def untimed(answer: Answer) -> Answer:
    """The answer without how many seconds are left, which pass between two of them."""
    if answer.status != 429:
        return answer
    detail = re.sub(r"\d+ seconds?", "", answer.body["detail"])
    headers = {**answer.headers, "Retry-After": "", "Content-Length": ""}
    return replace(answer, body={**answer.body, "detail": detail}, headers=headers)


@pytest.mark.inside
def test_limits_tell_nobody_from_somebody(api: Api, account: Account) -> None:
    """ENU-13, ENU-01: known and unknown are refused, slowed and locked after the same number of tries."""
    field = next(iter(account.credentials))
    mine = account.credentials[field]
    theirs = NOBODY if "@" in mine else "nobody"
    asked: dict[str, Callable[[str], dict[str, str]]] = {
        "rest_login": lambda name: {field: name, "password": "wrong"},
        "rest_password_reset": lambda name: {"email": name},
        "rest_resend_email": lambda name: {"email": name},
    }
    for endpoint, body in asked.items():
        known, unknown = (
            (mine, theirs) if endpoint == "rest_login" else (account.user.email, NOBODY)
        )
        series = [
            limit_reached(partial(api.post, endpoint, body(name))) for name in (known, unknown)
        ]
        assert len(series[0]) == len(series[1]), endpoint
        for pair in zip(*series, strict=True):
            same([untimed(each) for each in pair])


@registration_hides
def test_registration_tells_nobody_from_somebody(
    api: Api, make_account: Callable[..., Account], mailbox: list[Any]
) -> None:
    """ENU-03: new, pending, verified, unverified: the same 201; the owner of the address gets a mail that says so."""
    verified, unverified = make_account(), make_account(verified=False)
    pending = "pending@example.com"
    owned = [verified.user.email, verified.user.email.upper(), unverified.user.email]
    addresses = [NOBODY, pending, pending, *owned]
    answers = [api.post("rest_register", registration(email=email)) for email in addresses]
    assert same(answers)[0] == 201
    mails = {message.to[0]: message for message in mailbox}
    assert len(mailbox) == len(addresses)
    for account in (verified, unverified):
        assert "already exists" in mails[account.user.email].body
        assert "#key" not in mails[account.user.email].body
    for email in (NOBODY, pending):
        assert api.post("rest_verify_email", link_secrets(mails[email])).status == 200
    assert verified.log_in().is_alive


def test_reset_tells_nobody_from_somebody(
    api: Api, make_account: Callable[..., Account], mailbox: list[Any]
) -> None:
    """ENU-05: known, unknown, inactive, unverified, without a password: the same 200."""
    accounts = [account_that_is(make_account, state) for state in STATES]
    emails = [NOBODY, *(account.user.email for account in accounts)]
    assert same([api.post("rest_password_reset", {"email": email}) for email in emails])[0] == 200
    recipients = {message.to[0] for message in mailbox}
    assert accounts[STATES.index("active")].user.email in recipients
    assert not recipients & {NOBODY, accounts[STATES.index("inactive")].user.email}


@pytest.mark.parametrize("backend", ["IMMEDIATE_BACKEND", "DATABASE_BACKEND"])
def test_a_dead_mail_server_tells_nobody_from_somebody(
    api: Api, make_account: Callable[..., Account], settings: Any, backend: str
) -> None:
    """ENU-07: nobody listens where mail should go: the same answers, for known and unknown."""
    entry = env.mailer("EMAIL_URL", f"smtp://127.0.0.1:{free_port()}")
    if hasattr(settings, "MAILERS"):
        settings.MAILERS = {"default": entry}
    else:
        for name, value in env.legacy_mail_settings(entry).items():
            setattr(settings, name, value)
    known, waiting = make_account().user.email, make_account(verified=False).user.email
    with outbox_is(getattr(django_settings, backend)):
        for endpoint in ("rest_password_reset", "rest_resend_email"):
            emails = (known, waiting, NOBODY)
            assert same([api.post(endpoint, {"email": email}) for email in emails])[0] == 200
        if VERIFICATION_HIDES:
            bodies = [registration(email=email) for email in (known, "new@example.com")]
            assert same([api.post("rest_register", body) for body in bodies])[0] == 201


def test_a_link_tells_nobody_from_somebody(
    api: Api, account: Account, other_account: Account, mailbox: list[Any]
) -> None:
    """ENU-08: no such user, a wrong, foreign or used token, a deactivated user: the same refusal."""

    def link_of(asker: Account) -> dict[str, str]:
        assert api.post("rest_password_reset", {"email": asker.user.email}).status == 200
        return link_secrets(mailbox[-1])

    used, deactivated = link_of(account), link_of(other_account)
    get_user_model().objects.filter(pk=other_account.user.pk).update(is_active=False)
    assert api.post("rest_password_reset_confirm", {**used, **NEW_PASSWORD}).status == 200
    bad = [
        used,
        deactivated,
        {**used, "token": deactivated["token"]},
        {**used, "token": "wrong"},
        {**used, "uid": "0" * len(used["uid"])},
        {**used, "uid": "wrong"},
    ]
    answers = [api.post("rest_password_reset_confirm", {**link, **NEW_PASSWORD}) for link in bad]
    status, body, *_ = same(answers)
    assert (status, body["code"]) == (400, "invalid_link")


def test_resending_tells_nobody_from_somebody(
    api: Api, make_account: Callable[..., Account], mailbox: list[Any]
) -> None:
    """ENU-09: waiting, verified, unknown: the same 200; only who waits gets a mail."""
    waiting, verified = make_account(verified=False).user.email, make_account().user.email
    emails = [waiting, verified, NOBODY]
    assert same([api.post("rest_resend_email", {"email": email}) for email in emails])[0] == 200
    assert [message.to for message in mailbox] == [[waiting]]


def test_requests_that_mail_do_the_same_whatever_the_address(
    api: Api, make_account: Callable[..., Account]
) -> None:
    """ENU-06, ENU-09: one enqueue and no look-up; the address is looked up where nobody waits."""
    known, waiting = make_account().user.email, make_account(verified=False).user.email
    with outbox_is(django_settings.DATABASE_BACKEND):
        for endpoint in ("rest_password_reset", "rest_resend_email"):
            for email in (known, waiting, NOBODY):
                before = DBTaskResult.objects.count()
                api.post(endpoint, {"email": email})
                assert DBTaskResult.objects.count() == before + 1
    tasks = [row.args_kwargs["args"][1] for row in DBTaskResult.objects.all()]
    assert {tuple(arguments) for arguments in tasks} == {("email",)}


@pytest.mark.inside
@pytest.mark.skipif(
    policy.REGISTRATION != "open" or policy.LOGIN_WITH == "email",
    reason="by the policy registration is closed, or there are no user names",
)
def test_user_names_are_asked_for_slowly(api: Api, account: Account) -> None:
    """ENU-11: only registration tells that a user name is taken, a few times in a minute, as documented."""
    taken = account.user.username
    answers = limit_reached(lambda: api.post("rest_register", registration(username=taken)))
    assert {answer.code for answer in answers} == {"username_taken", "throttled"}
    assert len(answers) <= 31
    document = (env.BASE_DIR / "docs" / "security.md").read_text()
    assert "That a user name is taken" in document


@pytest.mark.skipif(policy.LOGIN_WITH != "email", reason="there are user names by the policy")
def test_without_user_names_there_is_nothing_to_ask(api: Api, account: Account) -> None:
    """ENU-11: where people log in with addresses, no endpoint knows user names."""
    asked = {"username": "somebody", "password": "wrong"}
    with_name, without = (
        api.post("rest_login", asked),
        api.post("rest_login", {"password": "wrong"}),
    )
    assert same([with_name, without])[0] == 400
    assert "username" not in account.log_in().get("rest_user_details").body


def test_ids_of_others_are_ids_of_nobody(account: Account, other_account: Account) -> None:
    """ENU-12: a session of somebody else is as absent as one that never was."""
    client = account.log_in()
    other_account.log_in()
    theirs = other_account.user.auth_sessions.get().pk
    nobodys = "00000000-0000-4000-8000-000000000000"
    answers = [client.delete(reverse("session", args=[pk])) for pk in (theirs, nobodys)]
    assert same(answers)[0] == 404
