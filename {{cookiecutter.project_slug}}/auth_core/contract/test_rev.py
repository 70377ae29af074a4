"""REV: revoking. Whatever ends a session ends its tokens at the next request, and ends nobody else's."""

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import pytest
from allauth.account.models import EmailAddress
from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.contrib.sessions.models import Session
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.db import connection, models, router, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext, isolate_apps
from django.urls import path, reverse
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from auth_core import policy
from auth_core.accounts.passwords import check_password
from auth_core.audit.models import AuditEvent
from auth_core.contract.marks import real_transactions
from auth_core.sessions.models import AuthSession
from auth_core.testing import (
    DELIVERIES,
    OTHER_PASSWORD,
    PASSWORD,
    Account,
    Answer,
    Api,
    at_once,
    claims_of,
    link_secrets,
)
from auth_core.throttling.models import Counter
from config.urls import urlpatterns as project_urlpatterns

pytestmark = pytest.mark.django_db

NEW_PASSWORD = {"new_password1": OTHER_PASSWORD, "new_password2": OTHER_PASSWORD}
ACCESS_ENDS_AFTER = policy.ACCESS_TOKEN_MINUTES * 60 + policy.CLOCK_SKEW_SECONDS + 2


def is_dead(client: Api) -> bool:
    """Neither the access nor the refresh token works."""
    return {client.get("rest_user_details").status, client.send_refresh().status} == {401}


def session_path(client: Api | None = None) -> str:
    pk = claims_of(client.access)["sid"] if client else uuid4()
    return f"{reverse('session_list')}{pk}/"


def change_password(client: Api, old: str = PASSWORD) -> Answer:
    return client.post("rest_password_change", {"old_password": old, **NEW_PASSWORD})


# --- Logout --------------------------------------------------------------------------------


def test_logout_ends_both_tokens_at_once(account: Account) -> None:
    """REV-01: refresh and access are refused by the next request; other sessions live."""
    client, other = account.log_in(), account.log_in()
    older = client
    client = client.refreshed()
    assert client.post("rest_logout").status == 200
    assert is_dead(client)
    assert is_dead(older)
    assert other.is_alive


@pytest.mark.parametrize("sent", ["nothing", "garbage", "malformed", "again", "unknown session"])
def test_logout_is_idempotent_and_tells_nothing(account: Account, sent: str) -> None:
    """REV-02: an absent, invalid or already ended token is answered like a genuine one."""
    client = account.log_in()
    genuine = client.post("rest_logout")
    body: dict[str, str] = {}
    if sent == "nothing":
        client = Api()
    elif sent == "garbage":
        client, body = replace(client, access="a.b.c", refresh="a.b.c", csrf=None), {"refresh": "x"}
    elif sent == "malformed":
        client = replace(client, headers={"Authorization": f"{policy.AUTH_HEADER_TYPE} two parts"})
    elif sent == "unknown session":
        body = {"refresh": f"{client.refresh}x"}
    answer = client.post("rest_logout", body)
    assert (answer.status, answer.body) == (genuine.status, genuine.body) == (200, genuine.body)
    for morsel in (answer.cookies or {}).values():
        assert (morsel.value, str(morsel["max-age"])) == ("", "0")
    if client.by_cookie and client.access:
        assert len(answer.cookies) == 2


def test_logout_with_an_expired_access_token_ends_the_session(account: Account, clock: Any) -> None:
    """REV-02, REV-01: the refresh token beside it says which; a client that slept is logged out."""
    client = account.log_in()
    clock.shift(ACCESS_ENDS_AFTER)
    body = {} if client.by_cookie else {"refresh": client.refresh}
    assert client.post("rest_logout", body).status == 200
    assert client.send_refresh().code == "session_revoked"


def test_logout_with_an_expired_refresh_token(account: Account, clock: Any) -> None:
    """REV-02: 200 for tokens of a session that expired long ago."""
    client = account.log_in()
    clock.shift((policy.SESSION_ABSOLUTE_DAYS + 1) * 86_400)
    client = replace(client, csrf=None)
    assert client.post("rest_logout", {"refresh": client.refresh}).status == 200


def test_logout_needs_the_access_token_alone(account: Account) -> None:
    """REV-03: without a refresh token the session ends, too."""
    client = account.log_in()
    assert replace(client, refresh=None, csrf=None).post("rest_logout").status == 200
    assert is_dead(client)


def test_logout_needs_the_refresh_token_alone(account: Account) -> None:
    """REV-03, REV-01: nor is the access token needed."""
    client = account.log_in()
    body = {} if client.by_cookie else {"refresh": client.refresh}
    assert replace(client, access=None, csrf=None).post("rest_logout", body).status == 200
    assert is_dead(client)


def test_logout_beside_somebody_elses_refresh_token(
    account: Account, other_account: Account
) -> None:
    """REV-04: the caller's own session ends, the other one does not, whichever way each has tokens."""
    for delivery in DELIVERIES[policy.TOKEN_DELIVERY]:
        client, victim = account.log_in(), other_account.log_in(delivery)
        assert client.post("rest_logout", {"refresh": victim.refresh}).status == 200
        assert is_dead(client)
        assert victim.is_alive
        # Nor after the own session has ended.
        client.post("rest_logout", {"refresh": victim.refresh})
        assert victim.is_alive
        assert victim.refreshed().is_alive


# --- Sessions ------------------------------------------------------------------------------


def test_sessions_are_listed(account: Account, other_account: Account) -> None:
    """REV-05: the own ones alone, each with what tells it apart, and no token material."""
    other_account.log_in()
    account.log_in(**{"User-Agent": "telephone/1.0"})
    client = account.log_in(**{"User-Agent": "desktop/1.0"}).refreshed()
    answer = client.get("session_list")
    assert answer.status == 200
    assert [set(session) for session in answer.body] == [
        {"id", "created", "last_used", "expires", "ip", "user_agent", "amr", "current"}
    ] * 2
    assert [session["user_agent"] for session in answer.body] == ["desktop/1.0", "telephone/1.0"]
    assert [session["current"] for session in answer.body] == [True, False]
    assert answer.body[0]["id"] == claims_of(client.access)["sid"]
    assert answer.body[0]["last_used"] > answer.body[0]["created"]
    assert {session["ip"] for session in answer.body} == {"127.0.0.1"}
    for token in (client.access, client.refresh):
        assert token
        assert not any(part in str(answer.body) for part in token.split("."))
    assert Api().get("session_list").status == 401


def test_a_session_is_ended_by_its_id(account: Account, other_account: Account) -> None:
    """REV-06: an own one with 204; somebody else's is answered like one that never was."""
    client, second, stranger = account.log_in(), account.log_in(), other_account.log_in()
    unknown = client.delete(session_path())
    foreign = client.delete(session_path(stranger))
    assert (foreign.status, foreign.code) == (unknown.status, unknown.code) == (404, "not_found")
    assert foreign.body["detail"] == unknown.body["detail"]
    assert client.delete(session_path(second)).status == 204
    assert is_dead(second)
    assert client.delete(session_path(second)).status == 404
    assert client.delete(session_path(client)).status == 204
    assert is_dead(client)
    assert stranger.is_alive
    assert Api().delete(session_path(stranger)).status == 401


def test_the_others_or_all_sessions_are_ended(account: Account, other_account: Account) -> None:
    """REV-07: the current one survives the first and not the second; strangers survive both."""
    client, second, third = account.log_in(), account.log_in(), account.log_in()
    stranger = other_account.log_in()
    assert client.delete("session_list").status == 204
    assert [is_dead(second), is_dead(third), client.is_alive] == [True, True, True]
    client = client.refreshed()
    fourth = account.log_in()
    assert client.post("logout_all").status == 200
    assert [is_dead(client), is_dead(fourth), stranger.is_alive] == [True, True, True]


def test_a_login_never_continues_a_session(account: Account, other_account: Account) -> None:
    """REV-14: a new id each time, whatever was sent along; nothing from before the login is kept."""
    first = account.log_in()
    again = first.with_tokens_of(first.post("rest_login", account.credentials))
    elsewhere = first.with_tokens_of(first.post("rest_login", other_account.credentials))
    fixed = Api().with_tokens_of(
        Api().post("rest_login", {**account.credentials, "sid": claims_of(first.access)["sid"]})
    )
    clients = (first, again, elsewhere, fixed)
    assert len({claims_of(client.access)["sid"] for client in clients}) == len(clients)
    assert {claims_of(client.refresh)["gen"] for client in clients} == {0}
    assert claims_of(elsewhere.access)["sub"] == str(other_account.user.pk)
    assert all(client.is_alive for client in clients)


# --- Passwords -----------------------------------------------------------------------------


@pytest.mark.inside
def test_a_password_change_ends_the_other_sessions(account: Account) -> None:
    """REV-08: access and refresh of every other session die; the current one stays."""
    client, other, third = account.log_in(), account.log_in(), account.log_in()
    third = third.refreshed()
    assert change_password(client).status == 200
    assert is_dead(other)
    assert is_dead(third)
    assert client.is_alive
    assert client.refreshed().is_alive
    assert AuthSession.objects.filter(revoked_at=None).count() == 1


def test_a_failed_password_change_ends_nothing(account: Account) -> None:
    """REV-08: nor does one with a wrong password, or a new one that is refused."""
    client, other = account.log_in(), account.log_in()
    assert change_password(client, old="wrong").status == 400
    short = {"old_password": PASSWORD, "new_password1": "short", "new_password2": "short"}
    assert client.post("rest_password_change", short).status == 400
    assert [client.is_alive, other.is_alive] == [True, True]


def test_a_password_reset_ends_every_session(
    api: Api, account: Account, mailbox: list[Any]
) -> None:
    """REV-09: and logs nobody in."""
    clients = [account.log_in(), account.log_in().refreshed()]
    api.post("rest_password_reset", {"email": account.user.email})
    assert all(client.is_alive for client in clients)
    answer = api.post("rest_password_reset_confirm", {**link_secrets(mailbox[-1]), **NEW_PASSWORD})
    assert (answer.status, set(answer.body)) == (200, {"detail"})
    assert not answer.cookies
    assert all(is_dead(client) for client in clients)
    assert not AuthSession.objects.filter(revoked_at=None).exists()


@pytest.fixture
def admin(db: Any) -> Client:
    """A browser that an administrator is logged in to the admin with."""
    client = Client()
    client.force_login(
        get_user_model().objects.create_superuser(username="root", email="root@example.com")
    )
    return client


def set_in_shell(user: Any, admin: Client) -> None:
    user.set_password(OTHER_PASSWORD)
    user.save()


def set_by_command(user: Any, admin: Client) -> None:
    with patch("getpass.getpass", return_value=OTHER_PASSWORD):
        call_command("changepassword", user.get_username(), stdout=io.StringIO())


def set_in_admin(user: Any, admin: Client) -> None:
    row = get_user_model().objects.filter(pk=user.pk)
    row.update(email=None)  # a user with an address would be mailed a link instead
    page = reverse("admin:auth_user_password_change", args=[user.pk])
    new = {"password1": OTHER_PASSWORD, "password2": OTHER_PASSWORD, "usable_password": "true"}
    assert admin.post(page, new).status_code == 302
    row.update(email=user.email)


@pytest.mark.inside
@pytest.mark.parametrize("change", [set_in_shell, set_by_command, set_in_admin])
def test_a_password_set_past_the_api_ends_every_session(
    account: Account, admin: Client, change: Callable[[Any, Client], None]
) -> None:
    """REV-10: sessions are bound to the password itself, whoever changes it."""
    clients = [account.log_in(), account.log_in().refreshed()]
    change(get_user_model().objects.get(pk=account.user.pk), admin)
    assert all(is_dead(client) for client in clients)
    again = Account(account.user, OTHER_PASSWORD).log_in()
    # The dead are not listed as living ones, either.
    assert [session["current"] for session in again.get("session_list").body] == [True]


@pytest.mark.inside
def test_a_password_that_becomes_unusable_ends_every_session(account: Account) -> None:
    """REV-10: as an administrator does to lock somebody out."""
    client = account.log_in()
    account.user.set_unusable_password()
    account.user.save()
    assert is_dead(client)


# --- Hashes and keys that change while the password does not --------------------------------

OLD_HASHER = "django.contrib.auth.hashers.MD5PasswordHasher"
NEW_HASHER = "auth_core.accounts.hashers.Argon2idHasher"


@pytest.fixture
def outdated(make_account: Callable[..., Account], settings: Any) -> Account:
    """An account whose hash is outdated once the test prefers another hasher."""
    settings.PASSWORD_HASHERS = [OLD_HASHER]
    return make_account()


def is_renewed(account: Account) -> bool:
    return not get_user_model().objects.get(pk=account.user.pk).password.startswith("md5$")


@pytest.mark.parametrize("rotated", [False, True], ids=["same_key", "rotated_key"])
def test_a_renewed_hash_logs_nobody_out(outdated: Account, settings: Any, rotated: bool) -> None:
    """REV-19: a login that stores the same password under newer parameters ends no session."""
    clients = [outdated.log_in(), outdated.log_in().refreshed()]
    settings.PASSWORD_HASHERS = [NEW_HASHER, OLD_HASHER]
    if rotated:
        # Both at once: sessions bound by the old key follow the renewed hash, too.
        rotate_secret_key(settings)
    newest = outdated.log_in()
    assert is_renewed(outdated)
    for client in (*clients, newest):
        assert client.is_alive
        assert replace(client, csrf=None).refreshed().is_alive


def test_a_hash_renewed_by_the_password_change_logs_nobody_out(
    outdated: Account, settings: Any
) -> None:
    """REV-19: the check of the old password renews the hash although the new one is refused."""
    client, other = outdated.log_in(), outdated.log_in()
    settings.PASSWORD_HASHERS = [NEW_HASHER, OLD_HASHER]
    short = {"old_password": PASSWORD, "new_password1": "short", "new_password2": "short"}
    assert client.post("rest_password_change", short).status == 400
    assert is_renewed(outdated)
    assert [client.is_alive, other.is_alive] == [True, True]
    assert change_password(client).status == 200
    assert [client.is_alive, is_dead(other)] == [True, True]


def test_a_wrong_password_renews_no_hash(outdated: Account, settings: Any) -> None:
    """REV-19: only a password that matches is stored anew."""
    client = outdated.log_in()
    settings.PASSWORD_HASHERS = [NEW_HASHER, OLD_HASHER]
    assert Api().post("rest_login", {**outdated.credentials, "password": "wrong"}).status == 400
    assert not is_renewed(outdated)
    assert client.is_alive


@real_transactions
def test_nobody_is_refused_while_a_hash_is_renewed(outdated: Account, settings: Any) -> None:
    """REV-19: other connections see the new hash and the sessions that follow it at the same moment."""
    client = outdated.log_in()
    settings.PASSWORD_HASHERS = [NEW_HASHER, OLD_HASHER]
    seen: list[bool] = []

    def look_from_elsewhere(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        result = execute(sql, params, many, context)
        if sql.startswith("UPDATE"):
            seen.extend(at_once(lambda: client.is_alive))
        return result

    user = get_user_model().objects.get(pk=outdated.user.pk)
    with connection.execute_wrapper(look_from_elsewhere):
        assert check_password(user, PASSWORD)
    assert seen == [True, True]
    assert is_renewed(outdated)
    assert client.is_alive


def test_a_renewed_hash_never_undoes_a_password_change(outdated: Account, settings: Any) -> None:
    """REV-19, REV-10: whoever read the hash before the change neither restores it nor gets in."""
    settings.PASSWORD_HASHERS = [NEW_HASHER, OLD_HASHER]
    read_before = get_user_model().objects.get(pk=outdated.user.pk)
    set_in_shell(get_user_model().objects.get(pk=outdated.user.pk), Client())
    assert not check_password(read_before, PASSWORD)
    assert get_user_model().objects.get(pk=outdated.user.pk).check_password(OTHER_PASSWORD)


def rotate_secret_key(settings: Any) -> None:
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    settings.SECRET_KEY = "the next secret key, as long and as random as it has to be"


def test_a_rotated_secret_key_logs_nobody_out(account: Account, settings: Any) -> None:
    """REV-19: with the old one among SECRET_KEY_FALLBACKS; who refreshes meanwhile survives its end."""
    client, sleeper = account.log_in(), account.log_in()
    rotate_secret_key(settings)
    assert [client.is_alive, sleeper.is_alive] == [True, True]
    client = replace(client, csrf=None).refreshed()
    settings.SECRET_KEY_FALLBACKS = []
    assert client.is_alive
    assert not sleeper.is_alive


@pytest.mark.inside
@real_transactions
def test_a_refresh_that_waits_for_a_password_change_is_not_refused(account: Account) -> None:
    """REV-08: the session that changes the password stays, also for a refresh sent meanwhile."""
    client, answers = account.log_in(), []
    refresh = threading.Thread(
        target=lambda: answers.extend(at_once(client.send_refresh)), daemon=True
    )
    with transaction.atomic():
        AuthSession.objects.update(user_agent="locked")  # what follows waits, as for a change
        user = get_user_model().objects.get()
        user.set_password(OTHER_PASSWORD)
        user.save()
        AuthSession.objects.update(auth_hash=user.get_session_auth_hash())
        refresh.start()
        time.sleep(0.3)
    refresh.join(10)
    assert [answer.status for answer in answers] == [200]


# --- Accounts ------------------------------------------------------------------------------


def by_saving(user: Any, active: bool) -> None:
    user.is_active = active
    user.save()


def by_saving_the_field(user: Any, active: bool) -> None:
    user.is_active = active
    user.save(update_fields=["is_active"])


def by_query_set(user: Any, active: bool) -> None:
    get_user_model().objects.filter(pk=user.pk).update(is_active=active)


def by_bulk_update(user: Any, active: bool) -> None:
    user.is_active = active
    get_user_model().objects.bulk_update([user], ["is_active"])


@pytest.mark.parametrize("used", [False, True], ids=["unused", "used_meanwhile"])
@pytest.mark.parametrize("switch", [by_saving, by_saving_the_field, by_query_set, by_bulk_update])
def test_a_reactivated_users_old_tokens_stay_dead(
    account: Account, other_account: Account, switch: Callable[[Any, bool], None], used: bool
) -> None:
    """REV-11: whether or not anybody used them while the user was deactivated, and however that was done."""
    clients = [account.log_in(), account.log_in().refreshed()]
    stranger = other_account.log_in()
    switch(account.user, False)
    if used:
        assert all(is_dead(client) for client in clients)
        assert Api().post("rest_login", account.credentials).status == 400
    switch(account.user, True)
    assert all(is_dead(client) for client in clients)
    assert account.log_in().is_alive
    assert stranger.is_alive


def test_a_deleted_users_tokens_are_dead(account: Account, other_account: Account) -> None:
    """REV-11: as dead as a deactivated one's."""
    client, stranger = account.log_in(), other_account.log_in()
    account.user.delete()
    assert is_dead(client)
    assert stranger.is_alive


def names_of(user: Any) -> list[str]:
    return [name for name in (user.username, user.email, str(user.pk), user.pk.hex) if name]


@real_transactions
def test_a_command_ends_one_users_sessions_for_every_worker(
    account: Account, other_account: Account
) -> None:
    """REV-12: by name, address or id; what one connection ends, another refuses at its next request."""
    for name in names_of(account.user):
        client, other, stranger = account.log_in(), account.log_in(), other_account.log_in()
        assert client.is_alive  # and so is anything that a worker might have kept
        output = io.StringIO()
        at_once(partial(call_command, "endsessions", user=name, stdout=output))
        assert output.getvalue() == "2 sessions ended.\n"
        assert [is_dead(client), is_dead(other), stranger.is_alive] == [True, True, True]
    assert AuditEvent.objects.filter(
        event="authn_token_revoked", user_id=account.user.pk
    ).count() == len(names_of(account.user))


@real_transactions
def test_a_command_ends_everybodys_sessions(account: Account, other_account: Account) -> None:
    """REV-12: one command for an emergency, one event on the trail."""
    clients = [account.log_in(), account.log_in(), other_account.log_in()]
    at_once(partial(call_command, "endsessions", all=True, stdout=io.StringIO()))
    assert all(is_dead(client) for client in clients)
    event = AuditEvent.objects.get(event="authn_token_revoked")
    assert (event.user_id, event.detail) == (None, {"reason": "admin", "sessions": 3})


@pytest.mark.inside
@pytest.mark.parametrize("name", ["nobody", f"{'n' * 40}@example.com", "0" * 32])
def test_the_command_refuses_an_unknown_user(account: Account, name: str) -> None:
    """REV-12: and ends nothing."""
    client = account.log_in()
    with pytest.raises(CommandError, match="No user"):
        call_command("endsessions", user=name)
    with pytest.raises(CommandError):
        call_command("endsessions")
    assert client.is_alive


def test_an_administrator_ends_sessions(
    account: Account, other_account: Account, admin: Client
) -> None:
    """REV-12: the admin's action ends the chosen ones, on the trail with who did it."""
    client, second, stranger = account.log_in(), account.log_in(), other_account.log_in()
    page = reverse("admin:auth_sessions_authsession_changelist")
    mine = [claims_of(each.access)["sid"] for each in (client, second)]
    answer = admin.post(page, {"action": "end_sessions", "_selected_action": mine}, follow=True)
    assert b"2 sessions ended" in answer.content
    assert [is_dead(client), is_dead(second), stranger.is_alive] == [True, True, True]
    event = AuditEvent.objects.get(event="authn_token_revoked")
    assert (event.detail["reason"], event.detail["sessions"]) == ("admin", 2)
    assert event.actor_id == get_user_model().objects.get(username="root").pk


@pytest.mark.inside
def test_only_who_may_delete_sessions_ends_them_in_the_admin(account: Account) -> None:
    """REV-12: an administrator who may only look ends nothing, and none sees what binds a session."""
    client = account.log_in()
    looker = get_user_model().objects.create_user(
        username="looker", email="looker@example.com", is_staff=True
    )
    looker.user_permissions.add(Permission.objects.get(codename="view_authsession"))
    browser = Client()
    browser.force_login(looker)
    session = AuthSession.objects.get(user=account.user)
    page = reverse("admin:auth_sessions_authsession_changelist")
    browser.post(page, {"action": "end_sessions", "_selected_action": [session.pk]}, follow=True)
    assert client.is_alive
    details = browser.get(
        reverse("admin:auth_sessions_authsession_change", args=[session.pk])
    ).content.decode()
    assert str(session.pk) in details
    assert session.auth_hash not in details


class StaffOnly(APIView):
    permission_classes = (IsAdminUser,)

    def get(self, request: Request) -> Response:
        return Response({})


urlpatterns = [path("staff-only/", StaffOnly.as_view()), *project_urlpatterns]


@pytest.mark.inside
@pytest.mark.urls(__name__)
def test_a_changed_role_counts_from_the_next_request(account: Account) -> None:
    """REV-15: roles are read from the database, and stand in no token."""
    client = account.log_in()
    users = get_user_model().objects.filter(pk=account.user.pk)
    assert client.get("/staff-only/").status == 403
    users.update(is_staff=True)
    assert client.get("/staff-only/").status == 200
    users.update(is_staff=False)
    assert client.get("/staff-only/").status == 403
    known = {"iss", "aud", "sub", "sid", "iat", "exp", "jti", "token_type"}
    known |= {"amr", "acr", "auth_time"}
    assert set(claims_of(client.access)) <= known


@pytest.mark.inside
def test_no_django_session_is_a_second_way_in(account: Account) -> None:
    """REV-16: a login sets no cookie of Django's, and one of the admin opens nothing in the API."""
    answer = Api().post("rest_login", account.credentials)
    assert answer.status == 200
    names = {settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME}
    assert not names & set(answer.cookies)
    browser = Client()
    browser.force_login(account.user)
    name = settings.SESSION_COOKIE_NAME
    cookie = f"{name}={browser.cookies[name].value}"
    nobody = Api(delivery="header", headers={"Cookie": cookie})
    assert nobody.get("rest_user_details").status == 401
    assert nobody.get("session_list").status == 401
    assert nobody.patch("rest_user_details", {"first_name": "x"}).status == 401


# --- What it costs -------------------------------------------------------------------------


@contextmanager
def at_most(number: int) -> Iterator[None]:
    """Bound the SQL queries, transaction control apart."""
    control = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "ROLLBACK")
    with CaptureQueriesContext(connection) as captured:
        yield
    queries = [query["sql"] for query in captured if not query["sql"].startswith(control)]
    assert 0 < len(queries) <= number, "\n".join(queries)


def elsewhere(sql: str, *values: Any) -> None:
    """Change rows as another process would: nothing in this one is told."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)


END = "UPDATE auth_sessions_authsession SET revoked_at = created_at"
DEACTIVATE = "UPDATE users_user SET is_active = false"
FORMER_CACHE = "SESSION_LIVENESS_CACHE_SECONDS"


@pytest.mark.inside
@pytest.mark.parametrize("sql", [END, DEACTIVATE])
def test_no_cache_decides_whether_a_session_lives(
    account: Account, settings: Any, sql: str
) -> None:
    """REV-18: what another process has ended is dead with the next request, whatever a team still sets."""
    setattr(settings, FORMER_CACHE, 300)
    client = account.log_in()
    assert client.is_alive
    elsewhere(sql)
    assert is_dead(client)


@pytest.mark.inside
def test_the_former_cache_is_gone(settings: Any) -> None:
    """REV-18: the kernel reads no such setting; a team that still has it is told."""
    assert not hasattr(settings, FORMER_CACHE)
    assert "auth_core.W001" not in {each.id for each in run_checks()}
    setattr(settings, FORMER_CACHE, 5)
    assert "auth_core.W001" in {each.id for each in run_checks()}


@pytest.mark.inside
def test_the_check_costs_no_query_of_its_own(account: Account) -> None:
    """REV-17: session and user are one query; a login at most 6, and two per gate, a refresh 4, a logout 2."""
    with at_most(6 + 2 * len(settings.SESSION_GATES)):
        client = account.log_in()
    with at_most(1):
        assert client.is_alive
    with at_most(4):
        second = client.refreshed()
    with at_most(1):
        assert client.get("rest_user_details").status == 200
    if policy.REFRESH_GRACE_SECONDS:
        with at_most(4):
            assert client.send_refresh().status == 200
    with at_most(2):
        assert second.post("rest_logout").status == 200
    with at_most(1):
        assert not second.is_alive


@pytest.mark.inside
def test_a_logout_with_both_tokens_costs_as_little(account: Account) -> None:
    """REV-17: the first genuine token is enough."""
    client = account.log_in()
    with at_most(2):
        assert client.post("rest_logout", {"refresh": client.refresh}).status == 200
    assert is_dead(client)


class Replicas:
    """The router of Django's documentation for a primary and its replicas."""

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return "replica"

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "default"

    def allow_relation(self, first: Any, second: Any, **hints: Any) -> bool:
        return True


class Scattering(Replicas):
    """A router that writes the counters to a database of their own."""

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "counters" if model is Counter else "default"


@pytest.fixture
def replicas(settings: Any) -> None:
    """Have the team's router read a replica that has heard of nothing: to ask it is an error."""
    settings.DATABASE_ROUTERS = [Replicas()]
    apps.get_app_config("auth_sessions").ready()


@pytest.mark.inside
@pytest.mark.usefixtures("replicas")
def test_authentication_asks_the_primary(
    make_account: Callable[..., Account], mailbox: list[Any]
) -> None:
    """REV-21: with a replica behind, logged in at once after the login, and out at once after the logout."""
    account = make_account()
    client = account.log_in()
    assert client.is_alive
    assert client.get("session_list").status == 200
    client = client.refreshed()
    assert client.post("reauthenticate", {"password": PASSWORD}).status == 200
    assert Api().post("rest_password_reset", {"email": account.user.email}).status == 200
    link = link_secrets(mailbox[-1])
    assert Api().post("rest_password_reset_confirm", {**link, **NEW_PASSWORD}).status == 200
    assert is_dead(client)
    client = replace(account, password=OTHER_PASSWORD).log_in()
    assert client.post("rest_logout").status == 200
    assert is_dead(client)


@pytest.mark.inside
@pytest.mark.usefixtures("replicas")
@isolate_apps("users")
def test_the_teams_reading_goes_to_replicas() -> None:
    """REV-21: only what decides who somebody is, and what they may do, is read where it is written."""
    meta = type("Meta", (), {"app_label": "users"})
    of_the_team: Any = type("Order", (models.Model,), {"__module__": __name__, "Meta": meta})
    user = get_user_model()
    ours = (user, user.groups.through, Group, Session, EmailAddress, AuthSession, Counter)
    assert {router.db_for_read(model) for model in ours} == {"default"}
    assert router.db_for_read(of_the_team) == "replica"


@pytest.mark.inside
def test_what_is_written_together_has_one_database(settings: Any) -> None:
    """REV-21: a check refuses a router that writes users, sessions, addresses or counters elsewhere."""
    for routers, refused in (([], 0), ([Replicas()], 0), ([Scattering()], 1)):
        settings.DATABASE_ROUTERS = routers
        found = [each for each in run_checks() if each.id == "auth_core.E006"]
        assert len(found) == refused
