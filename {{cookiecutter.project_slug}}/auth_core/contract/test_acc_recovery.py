"""ACC, REV: what taking an account back ends, whatever the way, and what it leaves to the older address."""

import io
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection
from django.db.models import ProtectedError
from django.utils import timezone

from auth_core import policy
from auth_core.accounts import email_change
from auth_core.accounts.models import EmailChange
from auth_core.audit.models import AuditEvent
from auth_core.contract.marks import real_transactions
from auth_core.contract.test_acc_email import (
    NEW,
    NEWER,
    addresses,
    asked,
    changed,
    confirm,
    email_of,
    is_refused,
    undo,
)
from auth_core.mail import outbox
from auth_core.sessions.models import AuthSession, RevocationReason
from auth_core.testing import (
    OTHER_PASSWORD,
    PASSWORD,
    Account,
    Api,
    at_once,
    claims_of,
    link_secrets,
)

__all__ = ["asked", "changed"]

pytestmark = [pytest.mark.django_db, pytest.mark.inside]

NEW_PASSWORD = {"new_password1": OTHER_PASSWORD, "new_password2": OTHER_PASSWORD}


def reset(email: str | None, mailbox: list[Any]) -> None:
    """Set a new password by a mail to an address."""
    Api().post("rest_password_reset", {"email": email})
    assert mailbox[-1].to == [email]
    body = {**link_secrets(mailbox[-1]), **NEW_PASSWORD}
    assert Api().post("rest_password_reset_confirm", body).status == 200


def void_password(account: Account) -> None:
    call_command("resetpasswords", user=str(account.user.pk), stdout=io.StringIO())


# --- Which undo links a recovery ends --------------------------------------------------------


@pytest.mark.parametrize("at", [NEW, NEWER])
def test_a_thiefs_reset_leaves_the_owners_link(
    account: Account, changed: Any, mailbox: list[Any], at: str
) -> None:
    """ACC-13: a thief who proves his own address, once or again, voids nothing of the one before it."""
    client = account.log_in()
    owners = changed(client)
    if at == NEWER:
        changed(client, NEWER)
    reset(at, mailbox)
    assert not client.is_alive
    if at == NEW:
        # By way of another one back to his first.
        client = thief_logs_in(account, NEW)
        changed(client, NEWER)
        changed(client, NEW)
        reset(NEW, mailbox)
    assert undo(owners).status == 200
    assert email_of(account) == account.user.email
    assert addresses() == [(account.user.email, True, True)]


def thief_logs_in(account: Account, email: str) -> Api:
    name = account.credentials if "username" in account.credentials else {"email": email}
    answer = Api().post("rest_login", {**name, "password": OTHER_PASSWORD})
    return Api().with_tokens_of(answer)


def test_a_proof_of_the_older_address_ends_links_of_later_ones(
    account: Account, changed: Any, mailbox: list[Any]
) -> None:
    """ACC-13: the owner is back by a change, and then sets a new password by mail."""
    old = account.user.email
    client = account.log_in()
    owners, thiefs = changed(client), changed(client, old)
    reset(old, mailbox)
    assert is_refused(undo(thiefs))
    assert is_refused(undo(owners))  # there is nothing to take back
    assert email_of(account) == old


def test_without_a_proof_of_the_older_one_links_work(account: Account, changed: Any) -> None:
    """ACC-13: the way back of an account whose address was changed there and back again."""
    client = account.log_in()
    changed(client)
    second = changed(client, account.user.email)
    assert undo(second).status == 200
    assert email_of(account) == NEW


def correct(account: Account, email: str | None) -> None:
    """Write another address past this project's code."""
    get_user_model()._base_manager.filter(pk=account.user.pk).update(email=email)


def test_no_link_of_a_thief_survives_an_operators_correction(
    account: Account, changed: Any, mailbox: list[Any]
) -> None:
    """ACC-13: nor any other: from there no recorded change leads to the present address."""
    old = account.user.email
    client = account.log_in()
    owners, thiefs = changed(client), changed(client, NEWER)
    correct(account, old)
    void_password(account)
    reset(old, mailbox)
    for key in (thiefs, owners):
        assert is_refused(undo(key))
    assert email_of(account) == old
    # Nor is the gap closed by what comes later.
    client = Account(account.user, OTHER_PASSWORD).log_in()
    changed(client, NEWER)
    assert is_refused(undo(thiefs))


def test_an_operators_help_leaves_the_owners_link(
    account: Account, changed: Any, mailbox: list[Any]
) -> None:
    """ACC-13: `resetpasswords` proves no address, so it voids no link."""
    key = changed(account.log_in())
    void_password(account)
    assert undo(key).status == 200
    assert email_of(account) == account.user.email


@pytest.mark.parametrize("by", ["reset", "operator"])
def test_a_recovery_ends_pending_changes(
    account: Account, asked: Any, mailbox: list[Any], by: str
) -> None:
    """ACC-13: what was asked for before it."""
    key = asked(account.log_in())
    if by == "reset":
        reset(account.user.email, mailbox)
    else:
        void_password(account)
    assert not EmailChange.objects.exists()
    assert is_refused(confirm(key))


def test_who_had_the_account_is_known(account: Account, changed: Any, clock: Any) -> None:
    """ACC-13: within EMAIL_UNDO_DAYS, and as far as recorded changes lead without a gap."""
    old, client = account.user.email, account.log_in()
    changed(client)
    clock.shift(86_400)
    account.user.refresh_from_db()
    changed(account.log_in(), NEWER)
    account.user.refresh_from_db()
    assert email_change.addresses_had(account.user) == [NEWER, old, NEW]
    clock.shift((policy.EMAIL_UNDO_DAYS - 1) * 86_400 + 5)
    assert email_change.addresses_had(account.user) == [NEWER, NEW]
    correct(account, "moved@example.com")
    account.user.refresh_from_db()
    assert email_change.addresses_had(account.user) == ["moved@example.com"]


# --- Changes that cross ----------------------------------------------------------------------


@real_transactions
def test_of_changes_at_once_one_counts(account: Account, mailbox: list[Any]) -> None:
    """ACC-18: every address is mailed a key; the account gets the one whose own key is good."""
    session = claims_of(account.log_in().access)["sid"]
    wanted = [f"new{number}@example.com" for number in range(8)]
    send = partial(email_change.send_confirmation_mail, str(account.user.pk), session)
    task = SimpleNamespace(id="1", enqueued_at=timezone.now())

    def job(email: str) -> None:
        outbox.current_task.set(task)
        send(email)

    at_once(*(partial(job, email) for email in wanted))
    assert sorted(to for mail in mailbox for to in mail.to) == wanted
    assert EmailChange.objects.count() == 1
    answers = {mail.to[0]: confirm(link_secrets(mail)).status for mail in mailbox[:8]}
    assert sorted(answers.values()) == [200] + [400] * 7
    assert answers[str(email_of(account))] == 200


def test_an_undoing_ends_the_change_that_was_asked_for(
    account: Account, changed: Any, asked: Any, mailbox: list[Any]
) -> None:
    """ACC-18: a key that was mailed before it, and a mail that was waiting."""
    client = account.log_in()
    key = changed(client)
    pending = asked(client, NEWER)
    assert undo(key).status == 200
    mailbox.clear()
    session = claims_of(client.access)["sid"]
    email_change.send_confirmation_mail(str(account.user.pk), session, "third@example.com")
    assert not mailbox
    assert is_refused(confirm(pending))
    assert email_of(account) == account.user.email


# --- Whom an undoing takes an address from -------------------------------------------------


@pytest.mark.parametrize("kept", ["used", "named", "protected", "no"])
def test_who_loses_an_address_is_told_and_kept(
    account: Account,
    make_account: Any,
    changed: Any,
    mailbox: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    kept: str,
) -> None:
    """ACC-17: recorded and mailed; whoever has logged in stays, and so does what is protected."""
    old = account.user.email
    key = changed(account.log_in())
    used = timezone.now() if kept == "used" else None
    name = {} if kept == "named" else {"username": None}
    loser = make_account(email=old, verified=False, last_login=used, **name).user
    is_kept = kept != "no" and not (kept == "named" and loser.username is None)
    if kept == "protected":

        def refuse(self: Any, *args: Any, **kwargs: Any) -> None:
            raise ProtectedError("a team's row", set())

        monkeypatch.setattr(get_user_model(), "delete", refuse)
    mailbox.clear()
    assert undo(key).status == 200
    assert email_of(account) == old
    left = get_user_model().objects.filter(pk=loser.pk).first()
    assert (left is not None) == is_kept
    assert left is None or (left.email, left.is_active) == (None, True)
    (event,) = AuditEvent.objects.filter(user_id=loser.pk)
    assert event.event == ("user_email_taken" if is_kept else "user_deleted")
    (told,) = [mail for mail in mailbox if "another account" in mail.subject]
    assert told.to == [old]
    assert NEW not in told.body


# --- A password that was changed elsewhere -------------------------------------------------


def test_a_password_changed_past_the_project_ends_sessions_and_links(
    account: Account, asked: Any, mailbox: list[Any]
) -> None:
    """REV-23: by SQL, or by another program on the same table."""
    client = account.log_in()
    key = asked(client)
    Api().post("rest_password_reset", {"email": account.user.email})
    link = link_secrets(mailbox[-1])
    account.user.set_password(OTHER_PASSWORD)
    with connection.cursor() as cursor:
        table = connection.ops.quote_name(get_user_model()._meta.db_table)
        statement = f"UPDATE {table} SET password = %s"  # noqa: S608 - a name of our own
        cursor.execute(statement, [account.user.password])
    assert not client.is_alive
    assert client.send_refresh().status == 401
    body = {**link, **NEW_PASSWORD}
    assert Api().post("rest_password_reset_confirm", body).code == "invalid_link"
    assert is_refused(confirm(key))
    assert Api().post("rest_login", account.credentials).status == 400
    assert Account(account.user, OTHER_PASSWORD).log_in().is_alive


# --- More logins than sessions -----------------------------------------------------------


@real_transactions
def test_logins_at_once_leave_so_many_sessions(account: Account) -> None:
    """REV-20: twenty at once, of a user who has all but one already."""
    for _ in range(policy.MAX_SESSIONS_PER_USER - 1):
        account.log_in()
    answers = at_once(*[partial(Api().post, "rest_login", account.credentials)] * 20)
    assert [it.status for it in answers] == [200] * 20
    assert AuthSession.objects.live().count() == policy.MAX_SESSIONS_PER_USER
    ended = AuthSession.objects.filter(revoked_reason=RevocationReason.EVICTED)
    assert ended.count() == 19


# --- Changes of credentials by a session that ends -----------------------------------------


def test_a_session_that_has_ended_changes_no_password(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ACC-13: it ends while the new password is hashed, as by a logout everywhere."""
    client = account.log_in()
    user_model = get_user_model()
    set_password = user_model.set_password

    def overtaken(self: Any, password: str) -> None:
        AuthSession.objects.filter(user=self.pk).end(RevocationReason.LOGOUT)
        set_password(self, password)

    monkeypatch.setattr(user_model, "set_password", overtaken)
    answer = client.post("rest_password_change", {"old_password": PASSWORD, **NEW_PASSWORD})
    assert (answer.status, answer.code) == (401, "session_revoked")
    monkeypatch.undo()
    account.log_in()


def test_a_row_past_the_code_is_nobodys(account: Account, other_account: Account) -> None:
    """ACC-13: a verified row of another address is no proof that the account had it."""
    EmailAddress.objects.create(user=account.user, email=NEW, verified=True)
    assert email_change.addresses_had(account.user) == [account.user.email]
