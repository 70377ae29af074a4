"""ACC: the user is told of what happens to the account, sees what is stored, and can end it."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.apps import apps
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.db.models import ProtectedError
from django.db.models.signals import pre_delete

from auth_core import policy
from auth_core.accounts.models import EmailChange, PasswordResetNonce
from auth_core.audit.models import AuditEvent
from auth_core.contract.marks import real_transactions
from auth_core.sessions.models import AuthSession
from auth_core.testing import (
    OTHER_PASSWORD,
    PASSWORD,
    Account,
    Api,
    at_once,
    claims_of,
    link_secrets,
    registration,
)

pytestmark = pytest.mark.django_db

NEW_PASSWORD = {"new_password1": OTHER_PASSWORD, "new_password2": OTHER_PASSWORD}


# --- Notices -------------------------------------------------------------------------------


def change_the_password(account: Account, client: Api, mailbox: list[Any]) -> None:
    client.post("rest_password_change", {"old_password": PASSWORD, **NEW_PASSWORD})


def reset_the_password(account: Account, client: Api, mailbox: list[Any]) -> None:
    Api().post("rest_password_reset", {"email": account.user.email})
    Api().post("rest_password_reset_confirm", {**link_secrets(mailbox[-1]), **NEW_PASSWORD})


def change_the_address(account: Account, client: Api, mailbox: list[Any]) -> None:
    client.post("email_change", {"email": "new@example.com"})
    Api().post("email_change_confirm", link_secrets(mailbox[-1]))


def end_the_other_sessions(account: Account, client: Api, mailbox: list[Any]) -> None:
    client.delete("session_list")


def end_all_sessions(account: Account, client: Api, mailbox: list[Any]) -> None:
    client.post("logout_all")


def delete_the_account(account: Account, client: Api, mailbox: list[Any]) -> None:
    client.delete("rest_user_details")


NOTICES = {
    change_the_password: "password has been changed",
    reset_the_password: "password has been reset",
    change_the_address: "another e-mail address",
    end_the_other_sessions: "logged out",
    end_all_sessions: "logged out",
    delete_the_account: "account was deleted",
}


@pytest.mark.inside
@pytest.mark.parametrize(
    ("act", "words"), NOTICES.items(), ids=lambda value: getattr(value, "__name__", "")
)
def test_the_user_is_told(account: Account, mailbox: list[Any], act: Any, words: str) -> None:
    """ACC-06: by mail to the address of before, once, with where it came from, in plain words.

    A login from a new device is proved by THR, a second factor by MFA; keys and social logins come
    with their features.
    """
    client, other = account.log_in(), account.log_in()
    assert other.is_alive
    mailbox.clear()
    act(account, client, mailbox)
    told = [mail for mail in mailbox if words in mail.body]
    assert [mail.to for mail in told] == [[account.user.email]]
    assert "127.0.0.1" in told[0].body
    assert told[0].subject.startswith(f"[{policy.PROJECT_NAME}] ")
    assert not any(secret in told[0].body for secret in (PASSWORD, OTHER_PASSWORD))


def test_who_ended_nothing_is_told_nothing(account: Account, mailbox: list[Any]) -> None:
    """ACC-06: where no other session was there to end."""
    client = account.log_in()
    mailbox.clear()
    assert client.delete("session_list").status == 204
    assert not mailbox


# --- Deletion ------------------------------------------------------------------------------


def rows_that_name(*words: str) -> dict[str, list[Any]]:
    """Every row of every table in which one of the words stands."""
    found = {}
    for model in apps.get_models():
        rows = [
            row
            for row in model._default_manager.values()
            if any(word in str(row) for word in words)
        ]
        if rows:
            found[model._meta.label] = rows
    return found


def test_an_account_is_deleted_with_what_names_its_user(
    account: Account, other_account: Account, mailbox: list[Any]
) -> None:
    """ACC-10: user, addresses, sessions, pending links: gone; the trail keeps an id that nobody has."""
    user = get_user_model().objects.get(pk=account.user.pk)
    user.first_name, user.last_name = "Augusta", "Lovelace"
    user.save()
    client, other, stranger = account.log_in(), account.log_in(), other_account.log_in()
    Api().post("rest_password_reset", {"email": user.email})
    client.post("email_change", {"email": "new@example.com"})
    LogEntry.objects.create(
        user=other_account.user,
        content_type=ContentType.objects.get_for_model(user),
        object_id=user.pk,
        object_repr=str(user),
        action_flag=CHANGE,
    )
    names = [name for name in (user.username, user.email, "new@example.com", "Augusta") if name]
    assert rows_that_name(*names)
    events = AuditEvent.objects.filter(user_id=user.pk).count()
    answer = client.delete("rest_user_details")
    assert (answer.status, answer.body) == (204, b"")
    assert rows_that_name(*names) == {}
    assert set(rows_that_name(str(user.pk))) == {"auth_audit.AuditEvent", "admin.LogEntry"}
    trail = AuditEvent.objects.filter(user_id=user.pk)
    assert trail.count() > events
    assert trail.filter(event="user_deleted").count() == 1
    assert [each.is_alive for each in (client, other, stranger)] == [False, False, True]
    assert other.send_refresh().status == 401
    refused = Api().post("rest_login", account.credentials)
    assert (refused.status, refused.code) == (400, "invalid_credentials")
    assert mailbox[-1].to == [user.email]
    models: list[Any] = [EmailAddress, AuthSession, EmailChange, PasswordResetNonce]
    for model in models:
        assert not model._default_manager.filter(user=user.pk).exists()


@pytest.mark.inside
@pytest.mark.skipif(policy.REGISTRATION != "open", reason="registration is not open by the policy")
def test_name_and_address_are_free_again(account: Account) -> None:
    """ACC-10: for a new account, which has nothing of the old one."""
    names = {"email": account.user.email}
    if policy.LOGIN_WITH != "email":
        names["username"] = account.user.username
    assert account.log_in().delete("rest_user_details").status == 204
    assert Api().post("rest_register", registration(**names)).status == 201
    assert get_user_model().objects.exclude(pk=account.user.pk).count() == 1


@pytest.mark.parametrize("rights", [{"is_staff": True}, {"is_superuser": True}])
def test_administrators_do_not_delete_themselves(
    make_account: Any, rights: dict[str, bool]
) -> None:
    """ACC-10: another one does, in the admin: a stolen session must not lock everybody out."""
    client = make_account(**rights).log_in()
    answer = client.delete("rest_user_details")
    assert (answer.status, answer.code) == (403, "permission_denied")
    assert client.is_alive


@pytest.fixture
def protected() -> Iterator[None]:
    """Somewhere a row must be kept that belongs to every user, as by on_delete=PROTECT."""

    def refuse(instance: Any, **kwargs: Any) -> None:
        raise ProtectedError("An invoice must be kept.", {instance})

    pre_delete.connect(refuse, sender=get_user_model())
    yield
    pre_delete.disconnect(refuse, sender=get_user_model())


def test_what_must_be_kept_keeps_the_account(
    account: Account, protected: None, mailbox: list[Any]
) -> None:
    """ACC-10: 400 `account_in_use`, and nothing was deleted, recorded or mailed."""
    client = account.log_in()
    answer = client.delete("rest_user_details")
    assert (answer.status, answer.code) == (400, "account_in_use")
    assert client.is_alive
    assert not mailbox
    assert not AuditEvent.objects.filter(event="user_deleted").exists()


@pytest.mark.inside
@real_transactions
def test_a_deletion_races_with_everything(account: Account) -> None:
    """ACC-10: logins, refreshes, changes and a second deletion meanwhile: no 5xx, nothing is left."""
    client, other = account.log_in(), account.log_in()
    answers = at_once(
        partial(client.delete, "rest_user_details"),
        partial(other.delete, "rest_user_details"),
        partial(Api().post, "rest_login", account.credentials),
        partial(Api().post, "rest_login", account.credentials),
        partial(client.patch, "rest_user_details", {"first_name": "Ada"}),
        partial(other.post, "reauthenticate", {"password": PASSWORD}),
        other.send_refresh,
        partial(Api().post, "rest_password_reset", {"email": account.user.email}),
    )
    assert all(answer.status < 500 for answer in answers), [a.body for a in answers]
    assert [answers[0].status, answers[1].status].count(204) == 1
    assert not get_user_model().objects.exists()
    assert not AuthSession.objects.exists()
    assert AuditEvent.objects.filter(event="user_deleted").count() == 1


# --- Export --------------------------------------------------------------------------------


def more_about(user: Any) -> dict[str, Any]:
    """Stands for what a team tells of its own tables."""
    return {"orders": [{"of": user.email}]}


def test_an_export_tells_everything_and_no_secret(
    account: Account, other_account: Account, settings: Any, mailbox: list[Any]
) -> None:
    """ACC-10: details, addresses, sessions and events of the user, what the team adds, and no secret."""
    settings.USER_EXPORTERS = [f"{__name__}.more_about"]
    other_account.log_in()
    client, other = account.log_in(), account.log_in()
    other.post("rest_logout")
    Api().post("rest_password_reset", {"email": account.user.email})
    client.post("email_change", {"email": "new@example.com"})
    answer = client.get("user_export")
    assert answer.status == 200
    body = answer.body
    assert set(body) == {
        "user",
        "date_joined",
        "last_login",
        "addresses",
        "email_changes",
        "registration",
        "sessions",
        "events",
        "other",
    }
    assert body["user"] == client.get("rest_user_details").body
    assert body["addresses"] == [{"email": account.user.email, "verified": True, "primary": True}]
    assert [change["new_email"] for change in body["email_changes"]] == ["new@example.com"]
    assert {session["id"] for session in body["sessions"]} == {
        claims_of(each.access)["sid"] for each in (client, other)
    }
    kinds = {event["event"] for event in body["events"]}
    assert kinds >= {"authn_login_success", "authn_token_revoked", "sensitive_read"}
    assert body["other"] == {"orders": [{"of": account.user.email}]}
    text = str(body)
    user = get_user_model().objects.select_related("reset_nonce").get(pk=account.user.pk)
    secrets = [user.password, user.reset_nonce.nonce, client.access, client.refresh]
    secrets += AuthSession.objects.values_list("auth_hash", flat=True)
    secrets += [value for mail in mailbox for value in link_secrets(mail).values() if ":" in value]
    assert not any(str(secret) in text for secret in secrets)
    assert str(other_account.user.pk) not in text
    assert answer.headers["Cache-Control"] == "no-store"


def test_an_export_reaches_as_far_back_as_the_trail(account: Account, clock: Any) -> None:
    """ACC-10: events beyond AUDIT_RETENTION_DAYS are no longer told."""
    account.log_in()
    clock.shift(policy.AUDIT_RETENTION_DAYS * 86400 + 5)
    events = account.log_in().get("user_export").body["events"]
    assert sorted(event["event"] for event in events) == ["authn_login_success", "sensitive_read"]


@pytest.mark.inside
def test_an_export_tells_not_from_where_an_administrator_acted(
    account: Account, other_account: Account
) -> None:
    """ACC-10: where somebody else acts on the account, address and program are theirs."""
    facts = {"outcome": "success", "ip": "192.0.2.9", "user_agent": "of the operator"}
    for actor in (account, other_account):
        AuditEvent.objects.create(
            event="authz_admin", user_id=account.user.pk, actor_id=actor.user.pk, **facts
        )
    events = account.log_in().get("user_export").body["events"]
    told = {(it["ip"], it["user_agent"]) for it in events if it["event"] == "authz_admin"}
    assert told == {("192.0.2.9", "of the operator"), (None, "")}


def test_an_export_costs_as_many_queries_however_much_there_is(
    account: Account, django_assert_max_num_queries: Any
) -> None:
    """ACC-10: one for each kind of thing."""
    for _ in range(5):
        client = account.log_in()
    with django_assert_max_num_queries(12):
        assert len(client.get("user_export").body["sessions"]) == 5
