"""ACC: an e-mail address changes when the new one was verified, and its old owner can take it back."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.account.signals import email_changed
from django.contrib.auth import get_user_model
from django.core import signing
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from auth_core import policy
from auth_core.accounts import email_change
from auth_core.accounts.models import EmailChange, PasswordResetNonce
from auth_core.accounts.signals import account_recovered
from auth_core.audit.models import AuditEvent
from auth_core.contract.marks import real_transactions
from auth_core.testing import (
    OTHER_PASSWORD,
    PASSWORD,
    Account,
    Answer,
    Api,
    at_once,
    link_secrets,
)

pytestmark = pytest.mark.django_db

NEW, NEWER = "new@example.com", "newer@example.com"
STEP_UP_ENDS = policy.REAUTHENTICATION_MINUTES * 60 + 1


def ask(client: Api, email: str = NEW) -> Answer:
    return client.post("email_change", {"email": email})


def confirm(key: dict[str, str]) -> Answer:
    return Api().post("email_change_confirm", key)


def undo(key: dict[str, str]) -> Answer:
    return Api().post("email_change_undo", key)


def is_refused(answer: Answer) -> bool:
    """The one answer for every bad key."""
    return (answer.status, answer.code) == (400, "invalid_key")


def addresses() -> list[tuple[str, bool, bool]]:
    return sorted(EmailAddress.objects.values_list("email", "verified", "primary"))


def email_of(account: Account) -> str | None:
    email: str | None = get_user_model().objects.values_list("email").get(pk=account.user.pk)[0]
    return email


@pytest.fixture
def asked(mailbox: list[Any]) -> Callable[..., dict[str, str]]:
    """Ask for a change; return what the mailed link carries."""

    def ask_for(client: Api, email: str = NEW) -> dict[str, str]:
        assert ask(client, email).status == 200
        assert mailbox[-1].to == [email]
        return link_secrets(mailbox[-1])

    return ask_for


@pytest.fixture
def changed(asked: Any, mailbox: list[Any]) -> Callable[..., dict[str, str]]:
    """Change the address; return what the link in the mail to the old one carries."""

    def change(client: Api, email: str = NEW) -> dict[str, str]:
        assert confirm(asked(client, email)).status == 200
        return link_secrets(mailbox[-1])

    return change


SENSITIVE = [
    ("POST", "email_change", {"email": NEW}),
    ("GET", "user_export", None),
    ("DELETE", "rest_user_details", None),
]


@pytest.mark.inside
@pytest.mark.parametrize(("method", "name", "body"), SENSITIVE, ids=lambda value: str(value))
def test_what_matters_needs_a_fresh_login(
    account: Account, clock: Any, mailbox: list[Any], method: str, name: str, body: Any
) -> None:
    """ACC-03: minutes after the login it is 403 `reauthentication_required`, also after a refresh."""
    assert policy.REAUTHENTICATION_MINUTES <= 10
    client = account.log_in()
    clock.shift(STEP_UP_ENDS)
    client = client.refreshed()
    refused = client.request(method, name, body)
    assert (refused.status, refused.code) == (403, "reauthentication_required")
    assert not mailbox
    assert client.is_alive
    assert client.post("reauthenticate", {"password": PASSWORD}).status == 200
    assert client.request(method, name, body).status in (200, 204)


def test_the_old_address_stays_until_the_new_one_is_verified(
    account: Account, asked: Any, mailbox: list[Any]
) -> None:
    """ACC-04: whatever EMAIL_VERIFICATION says; then the new one alone counts, verified and primary."""
    old = account.user.email
    client, other = account.log_in(), account.log_in()
    key = asked(client)
    assert email_of(account) == old
    assert addresses() == [(old, True, True)]
    answer = confirm(key)
    assert (answer.status, set(answer.body)) == (200, {"detail"})
    assert email_of(account) == NEW
    assert addresses() == [(NEW, True, True)]
    assert [client.is_alive, other.is_alive] == [True, False]
    assert client.get("rest_user_details").body["email"] == NEW
    events = AuditEvent.objects.filter(event__startswith="user_email_change")
    assert {event.event for event in events} == {
        "user_email_change_requested",
        "user_email_changed",
    }
    assert not any(address in str(event.detail) for event in events for address in (old, NEW))


def test_the_old_address_is_told_and_can_undo(
    account: Account, changed: Any, mailbox: list[Any]
) -> None:
    """ACC-04: its mail has a link that restores it, ends every session and tells both addresses."""
    old = account.user.email
    client = account.log_in()
    key = changed(client)
    assert mailbox[-1].to == [old]
    assert "127.0.0.1" in mailbox[-1].body
    assert NEW not in mailbox[-1].body
    mailbox.clear()
    assert undo(key).status == 200
    assert email_of(account) == old
    assert addresses() == [(old, True, True)]
    assert not client.is_alive
    assert {to for mail in mailbox for to in mail.to} == {old, NEW}
    assert AuditEvent.objects.filter(event="user_email_restored").count() == 1
    assert is_refused(undo(key))
    account.log_in()


def test_a_change_is_announced_to_the_team(account: Account, changed: Any) -> None:
    """ACC-04: by allauth's signal, with both addresses."""
    told = []

    def receive(from_email_address: Any, to_email_address: Any, **kwargs: Any) -> None:
        told.append((from_email_address.email, to_email_address.email))

    email_changed.connect(receive)
    try:
        changed(account.log_in())
    finally:
        email_changed.disconnect(receive)
    assert told == [(account.user.email, NEW)]


def test_taking_the_account_back_is_announced(
    account: Account, changed: Any, mailbox: list[Any]
) -> None:
    """ACC-04: a reset and an undoing, but no mere change; whoever cannot do what is due then undoes them."""
    told: list[Any] = []

    def receive(user: Any, request: Any, **kwargs: Any) -> None:
        told.append((user.pk, request.path))

    def fail(**kwargs: Any) -> None:
        raise RuntimeError

    account_recovered.connect(receive)
    try:
        key = changed(account.log_in())
        assert told == []
        account_recovered.connect(fail)
        assert undo(key).status == 500
        assert email_of(account) == NEW
        account_recovered.disconnect(fail)
        told.clear()
        assert undo(key).status == 200
        by_a_reset(account, Api(), mailbox)
    finally:
        account_recovered.disconnect(fail)
        account_recovered.disconnect(receive)
    paths = [reverse("email_change_undo"), reverse("rest_password_reset_confirm")]
    assert told == [(account.user.pk, path) for path in paths]


def test_a_key_works_once_and_only_the_newest(account: Account, asked: Any) -> None:
    """ACC-04: a second use, and the key of an earlier request, are refused."""
    client = account.log_in()
    first = asked(client)
    second = asked(client, NEWER)
    assert is_refused(confirm(first))
    assert confirm(second).status == 200
    assert is_refused(confirm(second))
    assert email_of(account) == NEWER


def test_a_key_opens_one_door(account: Account, asked: Any, mailbox: list[Any]) -> None:
    """ACC-04: the key of a change undoes none, and the other way round; a forged one does nothing."""
    key = asked(account.log_in())
    number = EmailChange.objects.get().pk
    forged = [
        key["key"][:-1],
        str(number),
        signing.Signer().sign(str(number)),
        signing.dumps(number),
        "",
    ]
    assert is_refused(undo(key))
    assert all(confirm({"key": each}).status == 400 for each in forged)
    assert confirm(key).status == 200
    assert is_refused(undo(key))
    assert is_refused(confirm(link_secrets(mailbox[-1])))
    assert undo(link_secrets(mailbox[-1])).status == 200


def test_keys_expire(account: Account, asked: Any, changed: Any, clock: Any) -> None:
    """ACC-04: a change after EMAIL_VERIFICATION_HOURS, its undoing after EMAIL_UNDO_DAYS."""
    client = account.log_in()
    late = asked(client)
    clock.shift(policy.EMAIL_VERIFICATION_HOURS * 3600 + 5)
    assert is_refused(confirm(late))
    client = account.log_in()
    key = changed(client)
    clock.shift(policy.EMAIL_UNDO_DAYS * 86400 + 5)
    assert is_refused(undo(key))
    assert email_of(account) == NEW
    assert email_change.purge(timezone.now()) == 1
    assert not EmailChange.objects.exists()


def test_what_can_still_be_used_is_not_purged(account: Account, asked: Any, changed: Any) -> None:
    """ACC-04: neither a pending change nor one that can be undone."""
    client = account.log_in()
    undo_key, key = changed(client), asked(client, NEWER)
    assert email_change.purge(timezone.now()) == 0
    assert confirm(key).status == 200
    assert undo(undo_key).status == 200


def by_a_reset(account: Account, client: Api, mailbox: list[Any]) -> None:
    Api().post("rest_password_reset", {"email": account.user.email})
    new = {"new_password1": OTHER_PASSWORD, "new_password2": OTHER_PASSWORD}
    body = {**link_secrets(mailbox[-1]), **new}
    assert Api().post("rest_password_reset_confirm", body).status == 200


def by_a_password_change(account: Account, client: Api, mailbox: list[Any]) -> None:
    body = {"old_password": PASSWORD, "new_password1": OTHER_PASSWORD}
    answer = account.log_in().post(
        "rest_password_change", {**body, "new_password2": OTHER_PASSWORD}
    )
    assert answer.status == 200


def by_a_logout_everywhere(account: Account, client: Api, mailbox: list[Any]) -> None:
    assert account.log_in().post("logout_all").status == 200


def by_deactivation(account: Account, client: Api, mailbox: list[Any]) -> None:
    get_user_model().objects.filter(pk=account.user.pk).update(is_active=False)


def past_the_api(account: Account, client: Api, mailbox: list[Any]) -> None:
    user = get_user_model().objects.get(pk=account.user.pk)
    user.set_password(OTHER_PASSWORD)
    user.save()


@pytest.mark.parametrize(
    "event",
    [by_a_reset, by_a_password_change, by_a_logout_everywhere, by_deactivation, past_the_api],
)
def test_a_thiefs_change_ends_with_his_session(
    account: Account, asked: Any, mailbox: list[Any], event: Any
) -> None:
    """ACC-04: whatever ends the session that asked voids the key it was mailed."""
    client = account.log_in()
    key = asked(client)
    event(account, client, mailbox)
    assert is_refused(confirm(key))
    assert email_of(account) == account.user.email


def test_a_change_of_another_address_is_void(account: Account, asked: Any) -> None:
    """ACC-04: an administrator, for one, was faster."""
    key = asked(account.log_in())
    get_user_model().objects.filter(pk=account.user.pk).update(email=NEWER)
    assert is_refused(confirm(key))
    assert email_of(account) == NEWER


def test_a_thiefs_second_change_is_undone_with_the_first(
    account: Account, changed: Any, mailbox: list[Any]
) -> None:
    """ACC-04: the old address is restored however often it was changed since; the thief's never again."""
    old = account.user.email
    client = account.log_in()
    mine = changed(client)
    thiefs = changed(client, NEWER)
    assert mailbox[-1].to == [NEW]
    assert undo(mine).status == 200
    assert email_of(account) == old
    assert is_refused(undo(thiefs))
    assert email_of(account) == old


def test_of_two_changes_the_last_one_is_undone_alone(account: Account, changed: Any) -> None:
    """ACC-04: and the first one can still be undone after it."""
    client = account.log_in()
    first, second = changed(client), changed(client, NEWER)
    assert undo(second).status == 200
    assert email_of(account) == NEW
    assert undo(first).status == 200
    assert email_of(account) == account.user.email


def test_an_undoing_voids_reset_links_and_pending_changes(
    account: Account, changed: Any, asked: Any, mailbox: list[Any]
) -> None:
    """ACC-04: those of the thief, mailed to the thief's address."""
    client = account.log_in()
    key = changed(client)
    pending = asked(client, NEWER)
    Api().post("rest_password_reset", {"email": NEW})
    link = link_secrets(mailbox[-1])
    assert undo(key).status == 200
    new = {"new_password1": OTHER_PASSWORD, "new_password2": OTHER_PASSWORD}
    assert Api().post("rest_password_reset_confirm", {**link, **new}).code == "invalid_link"
    assert is_refused(confirm(pending))
    assert not PasswordResetNonce.objects.exists()
    account.log_in()


@pytest.mark.parametrize("named", [True, False])
def test_nobody_blocks_an_undoing_by_taking_the_old_address(
    account: Account, make_account: Any, changed: Any, named: bool
) -> None:
    """ACC-04: an account that never verified it loses it, and is gone where it has no other name."""
    old = account.user.email
    key = changed(account.log_in())
    name = {} if named else {"username": None}
    squatter = make_account(email=old, verified=False, **name)
    assert undo(key).status == 200
    assert email_of(account) == old
    left = get_user_model().objects.filter(pk=squatter.user.pk).first()
    assert (left is not None) == (named and policy.LOGIN_WITH != "email")
    assert left is None or left.email is None


@pytest.mark.parametrize("named", [True, False])
def test_an_undoing_takes_no_verified_address(
    account: Account, make_account: Any, changed: Any, named: bool
) -> None:
    """ACC-04: whoever has verified the old address meanwhile keeps it; nothing is half undone."""
    client = account.log_in()
    key = changed(client)
    owner = make_account(email=account.user.email, **({} if named else {"username": None}))
    assert is_refused(undo(key))
    assert email_of(owner) == account.user.email
    assert email_of(account) == NEW
    assert client.is_alive


def test_a_deactivated_account_takes_nothing_back(account: Account, changed: Any) -> None:
    """ACC-04: nor does its undoing let it in again."""
    key = changed(account.log_in())
    get_user_model().objects.filter(pk=account.user.pk).update(is_active=False)
    assert is_refused(undo(key))
    assert email_of(account) == NEW


def test_an_address_is_added_the_same_way(account: Account, asked: Any, mailbox: list[Any]) -> None:
    """ACC-04: by whoever has none any more; nobody is left to be told."""
    client = account.log_in()
    get_user_model().objects.update(email=None)
    EmailAddress.objects.all().delete()
    assert confirm(asked(client)).status == 200
    assert email_of(account) == NEW
    assert addresses() == [(NEW, True, True)]
    assert [mail.to for mail in mailbox] == [[NEW]]


def test_a_taken_address_is_answered_like_a_free_one(
    account: Account, other_account: Account, mailbox: list[Any]
) -> None:
    """ENU-10, ACC-04: the same status, body and headers; its owner is told, and nothing changes."""
    client, taken = account.log_in(), other_account.user.email
    free, known = ask(client), ask(client, taken.upper())
    assert (free.status, free.body) == (known.status, known.body) == (200, free.body)
    changing = {"X-Request-ID"}
    assert {k: v for k, v in free.headers.items() if k not in changing} == {
        k: v for k, v in known.headers.items() if k not in changing
    }
    assert [mail.to for mail in mailbox] == [[NEW], [taken]]
    assert "key=" not in mailbox[-1].body
    assert account.user.email not in str(mailbox[-1].message())
    assert EmailChange.objects.count() == 1
    assert email_of(account) == account.user.email


def test_a_free_and_a_taken_address_cost_the_same_queries(
    account: Account, other_account: Account, monkeypatch: Any
) -> None:
    """ENU-10: the request looks nothing up; the job does that afterwards."""
    client, costs = account.log_in(), []
    monkeypatch.setattr("auth_core.mail.outbox.defer", lambda job, **arguments: None)
    for email in (NEW, other_account.user.email, account.user.email):
        with CaptureQueriesContext(connection) as captured:
            assert ask(client, email).status == 200
        costs.append([query["sql"].split(" ")[0] for query in captured.captured_queries])
    assert costs[0] == costs[1] == costs[2]


def test_an_address_that_somebody_else_had_is_free(
    account: Account, other_account: Account, asked: Any
) -> None:
    """ENU-10: a row for an address that its user does not have now counts for nothing."""
    EmailAddress.objects.create(user=other_account.user, email=NEW, verified=True)
    assert confirm(asked(account.log_in())).status == 200
    assert email_of(account) == NEW
    other_account.log_in()


def test_ones_own_address_changes_nothing(account: Account, mailbox: list[Any]) -> None:
    """ENU-10: and is answered alike."""
    assert ask(account.log_in(), account.user.email).status == 200
    assert not mailbox


@pytest.mark.parametrize("verified", [True, False])
def test_an_address_that_was_taken_meanwhile_is_a_bad_key(
    account: Account, asked: Any, make_account: Any, verified: bool
) -> None:
    """ACC-04, ACC-14: 400, no 5xx, nothing half-done; not where nobody has verified it there."""
    client = account.log_in()
    key = asked(client)
    other = make_account(email=NEW, verified=verified)
    if not verified:  # nor does it own the address
        assert confirm(key).status == 200
        assert email_of(account) == NEW
        # It is gone where it has no user name.
        others = get_user_model().objects.filter(pk=other.user.pk)
        assert [it.email for it in others] == ([] if policy.LOGIN_WITH == "email" else [None])
        return
    assert is_refused(confirm(key))
    assert email_of(account) == account.user.email
    assert client.is_alive
    assert EmailAddress.objects.filter(user=account.user, verified=True, primary=True).exists()


@pytest.mark.inside
@real_transactions
def test_of_racing_accounts_one_gets_the_address(make_account: Any, asked: Any) -> None:
    """ACC-04: eight accounts, one address, at once: one 200, seven refusals."""
    keys = [asked(make_account().log_in()) for _ in range(8)]
    answers = at_once(*(partial(confirm, key) for key in keys))
    assert sorted(answer.status for answer in answers) == [200] + [400] * 7
    assert all(is_refused(answer) for answer in answers if answer.status == 400)
    assert get_user_model().objects.filter(email=NEW).count() == 1
    assert EmailAddress.objects.filter(email=NEW, verified=True, primary=True).count() == 1


@pytest.mark.inside
@real_transactions
def test_of_racing_uses_one_wins(account: Account, asked: Any, mailbox: list[Any]) -> None:
    """ACC-04: eight uses of one key at once, of the change and of its undoing."""
    asked(account.log_in())
    for use, expected in ((confirm, NEW), (undo, account.user.email)):
        answers = at_once(*(partial(use, link_secrets(mailbox[-1])) for _ in range(8)))
        assert sorted(answer.status for answer in answers) == [200] + [400] * 7
        assert email_of(account) == expected


@pytest.mark.inside
@real_transactions
@pytest.mark.parametrize("run", range(3))
def test_everything_at_once_leaves_one_owner(
    account: Account, changed: Any, asked: Any, mailbox: list[Any], run: int
) -> None:
    """ACC-04: undoing, the next change, a reset and logins race: no 5xx, no deadlock, one address."""
    client = account.log_in()
    undo_key = changed(client)
    key = asked(client, NEWER)
    Api().post("rest_password_reset", {"email": NEW})
    new = {"new_password1": OTHER_PASSWORD, "new_password2": OTHER_PASSWORD}
    body = {**link_secrets(mailbox[-1]), **new}
    answers = at_once(
        partial(undo, undo_key),
        partial(confirm, key),
        partial(Api().post, "rest_password_reset_confirm", body),
        partial(Api().post, "rest_login", account.credentials),
        partial(undo, undo_key),
        partial(confirm, key),
        client.send_refresh,
        partial(Api().post, "rest_password_reset", {"email": NEW}),
    )
    assert all(answer.status < 500 for answer in answers), [a.status for a in answers]
    assert [answers[0].status, answers[4].status].count(200) == 1
    assert email_of(account) == account.user.email
    assert addresses() == [(account.user.email, True, True)]
