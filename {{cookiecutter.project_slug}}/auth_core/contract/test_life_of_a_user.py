"""The life of a user, request by request: reads as the documentation of the API."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from auth_core import policy
from auth_core.contract.marks import registration_is_open, verification_is_mandatory
from auth_core.testing import OTHER_PASSWORD, PASSWORD, Account, Api, link_secrets, registration

pytestmark = pytest.mark.django_db


@registration_is_open
def test_registration_leads_to_a_login(api: Api, mailbox: list[Any]) -> None:
    body = registration()
    answer = api.post("rest_register", body)
    assert answer.status == 201
    credentials = Account(SimpleNamespace(**body)).credentials
    if policy.EMAIL_VERIFICATION == "mandatory":
        assert answer.body["detail"] == "Verification e-mail sent."
        refused = api.post("rest_login", credentials)
        assert (refused.status, refused.code) == (400, "email_not_verified")
        assert api.post("rest_verify_email", link_secrets(mailbox[0])).body == {"detail": "ok"}
    else:
        assert answer.body["user"]["email"] == body["email"]
        assert api.with_tokens_of(answer).is_alive
    assert len(mailbox) == (policy.EMAIL_VERIFICATION != "none")
    assert api.post("rest_login", credentials).status == 200


@registration_is_open
@verification_is_mandatory
def test_a_registered_address_is_answered_like_a_new_one_and_its_owner_is_told(
    api: Api, account: Account, mailbox: list[Any]
) -> None:
    answer = api.post("rest_register", registration(email=account.user.email.upper()))
    assert (answer.status, answer.body["detail"]) == (201, "Verification e-mail sent.")
    assert mailbox[0].to == [account.user.email]
    assert get_user_model().objects.count() == 1


@registration_is_open
@verification_is_mandatory
def test_an_unverified_registration_owns_nothing(api: Api, mailbox: list[Any]) -> None:
    body = registration()
    other = {**body, "password1": OTHER_PASSWORD, "password2": OTHER_PASSWORD}
    assert [api.post("rest_register", each).status for each in (body, other)] == [201, 201]
    # Both read mail at the address, or one of them does not: the password says who.
    link = link_secrets(mailbox[0])
    assert api.post("rest_verify_email", link).code == "password_needed"
    assert api.post("rest_verify_email", {**link, "password": OTHER_PASSWORD}).status == 200
    account = Account(SimpleNamespace(**body), OTHER_PASSWORD)
    assert api.post("rest_login", account.credentials).status == 200
    refused = api.post("rest_login", {**account.credentials, "password": PASSWORD})
    assert (refused.status, refused.code) == (400, "invalid_credentials")


@registration_is_open
@pytest.mark.skipif(policy.LOGIN_WITH == "email", reason="no user names by the policy")
def test_a_user_name_is_taken_whatever_its_letter_case(api: Api, account: Account) -> None:
    answer = api.post("rest_register", registration(username=account.user.username.upper()))
    assert (answer.status, answer.code) == (400, "username_taken")


@registration_is_open
def test_a_password_is_refused_with_its_reasons(api: Api) -> None:
    answer = api.post("rest_register", registration(password1="password", password2="password"))
    assert answer.status == 400
    assert set(answer.body["codes"]["password1"]) == {"password_too_short", "password_too_common"}


@pytest.mark.skipif(policy.REGISTRATION != "closed", reason="registration is not closed")
def test_closed_registration_is_not_there(api: Api) -> None:
    answer = api.post(f"/{policy.REGISTRATION_URL_PREFIX}/", registration())
    assert answer.status == 404
    assert not get_user_model().objects.exists()


def test_login_gives_a_pair_and_the_user(api: Api, account: Account) -> None:
    answer = api.post("rest_login", account.credentials)
    assert set(answer.body) >= {"access_expiration", "refresh_expiration", "user"}
    assert answer.body["user"]["email"] == account.user.email
    assert ("access" in answer.body) == ("refresh" in answer.body) == (not api.by_cookie)
    assert api.with_tokens_of(answer).is_alive


def test_a_wrong_password_and_an_unknown_user_are_told_alike(api: Api, account: Account) -> None:
    wrong = api.post("rest_login", {**account.credentials, "password": "wrong"})
    name = "email" if policy.LOGIN_WITH == "email" else "username"
    unknown = api.post("rest_login", {name: "nobody@example.com", "password": "wrong"})
    assert (wrong.status, wrong.code) == (400, "invalid_credentials")
    assert {**wrong.body, "request_id": ""} == {**unknown.body, "request_id": ""}


def test_a_dead_token_in_the_header_does_not_block_a_login(account: Account) -> None:
    account.log_in(Authorization=f"{policy.AUTH_HEADER_TYPE} dead.dead.dead")


def test_user_details_are_read_and_changed(account: Account) -> None:
    client = account.log_in()
    details = client.get("rest_user_details").body
    assert details["email"] == account.user.email
    assert client.put("rest_user_details", {**details, "first_name": "Ada"}).status == 200
    changed = client.patch(
        "rest_user_details", {"last_name": "Lovelace", "email": "evil@example.com"}
    )
    assert changed.body == {**details, "first_name": "Ada", "last_name": "Lovelace"}


def test_no_token_is_401(api: Api) -> None:
    answer = api.get("rest_user_details")
    assert (answer.status, answer.code) == (401, "not_authenticated")
    assert answer.headers["WWW-Authenticate"].startswith(policy.AUTH_HEADER_TYPE)


def test_an_access_token_expires(account: Account, clock: Any) -> None:
    client = account.log_in()
    clock.shift(policy.ACCESS_TOKEN_MINUTES * 60 + policy.CLOCK_SKEW_SECONDS + 2)
    answer = client.get("rest_user_details")
    assert (answer.status, answer.code) == (401, "token_expired")


def test_a_refresh_gives_the_next_pair_and_a_late_replay_ends_the_session(
    account: Account, clock: Any
) -> None:
    first = account.log_in()
    second = first.refreshed()
    assert second.refresh != first.refresh
    assert second.is_alive
    clock.shift(policy.REFRESH_GRACE_SECONDS + 1)
    replay = first.send_refresh()
    assert (replay.status, replay.code) == (401, "refresh_reused")
    assert second.send_refresh().status == 401
    assert not second.is_alive


@pytest.mark.skipif(
    policy.TOKEN_DELIVERY == "cookie", reason="no client sees a token by the policy"
)
def test_a_token_is_verified(api: Api, account: Account) -> None:
    client = account.log_in("header")
    assert api.post("token_verify", {"token": client.access}).body == {}
    assert api.post("token_verify", {"token": client.refresh}).status == 401
    client.post("rest_logout")
    assert api.post("token_verify", {"token": client.access}).status == 401


def test_logout_ends_the_session_at_once_and_can_be_repeated(account: Account) -> None:
    client, other = account.log_in(), account.log_in()
    assert client.post("rest_logout").body == {"detail": "Successfully logged out."}
    assert not client.is_alive
    assert client.send_refresh().status == 401
    assert client.post("rest_logout").status == 200
    assert other.is_alive


def test_sessions_are_listed_and_ended(account: Account, other_account: Account) -> None:
    client, second, third = account.log_in(), account.log_in(), account.log_in()
    stranger = other_account.log_in()
    listed = client.get("session_list").body
    assert len(listed) == 3
    current = next(session for session in listed if session["current"])
    assert set(current) == {
        "id",
        "created",
        "last_used",
        "expires",
        "ip",
        "user_agent",
        "amr",
        "current",
    }
    path = f"/{policy.AUTH_URL_PREFIX}/sessions"
    assert stranger.delete(f"{path}/{current['id']}/").status == 404
    other = next(session for session in listed if not session["current"])
    assert client.delete(f"{path}/{other['id']}/").status == 204
    assert [second.is_alive, third.is_alive].count(True) == 1
    assert client.delete("session_list").status == 204
    assert [client.is_alive, second.is_alive, third.is_alive] == [True, False, False]
    assert client.post("logout_all").status == 200
    assert [client.is_alive, stranger.is_alive] == [False, True]


def test_a_password_change_ends_the_other_sessions(account: Account, mailbox: list[Any]) -> None:
    client, other = account.log_in(), account.log_in()
    new = {"new_password1": OTHER_PASSWORD, "new_password2": OTHER_PASSWORD}
    assert client.post("rest_password_change", {"old_password": "wrong", **new}).status == 400
    assert client.post("rest_password_change", {"old_password": PASSWORD, **new}).status == 200
    assert client.is_alive
    assert not other.is_alive
    assert other.send_refresh().status == 401
    assert mailbox[-1].to == [account.user.email]
    Account(account.user, OTHER_PASSWORD).log_in()


def test_a_forgotten_password_is_reset_by_mail(
    api: Api, account: Account, mailbox: list[Any]
) -> None:
    client = account.log_in()
    assert api.post("rest_password_reset", {"email": account.user.email.upper()}).status == 200
    link = link_secrets(mailbox[0])
    new = {"new_password1": OTHER_PASSWORD, "new_password2": OTHER_PASSWORD}
    assert api.post("rest_password_reset_confirm", {**link, **new}).status == 200
    assert not client.is_alive
    again = api.post("rest_password_reset_confirm", {**link, **new})
    assert (again.status, again.code) == (400, "invalid_link")
    Account(account.user, OTHER_PASSWORD).log_in()


def test_a_reset_of_an_unknown_address_is_answered_alike(
    api: Api, account: Account, mailbox: list[Any]
) -> None:
    known = api.post("rest_password_reset", {"email": account.user.email})
    unknown = api.post("rest_password_reset", {"email": "nobody@example.com"})
    assert (known.status, known.body) == (unknown.status, unknown.body)
    assert len(mailbox) == 1


def test_mailed_links_ignore_the_host_header(
    api: Api, account: Account, mailbox: list[Any], settings: Any
) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    api.post("rest_password_reset", {"email": account.user.email}, Host="evil.example")
    assert "evil.example" not in mailbox[0].body
    assert settings.FRONTEND_URL in mailbox[0].body


def test_a_mail_server_that_fails_changes_no_answer(
    api: Api, account: Account, monkeypatch: Any
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr("django.core.mail.backends.locmem.EmailBackend.send_messages", fail)
    assert api.post("rest_password_reset", {"email": account.user.email}).status == 200
    if policy.REGISTRATION == "open":
        body = registration()
        assert api.post("rest_register", body).status == 201
        assert get_user_model().objects.filter(registration__email=body["email"]).exists()


def test_a_resent_verification_mail_goes_to_unverified_addresses_only(
    api: Api, make_account: Any, mailbox: list[Any]
) -> None:
    waiting, verified = make_account(verified=False), make_account()
    answers = [
        api.post("rest_resend_email", {"email": email})
        for email in (waiting.user.email, verified.user.email, "nobody@example.com")
    ]
    assert {(answer.status, str(answer.body)) for answer in answers} == {(200, "{'detail': 'ok'}")}
    assert [message.to for message in mailbox] == [[waiting.user.email]]
    assert api.post("rest_resend_email", {}).status == 400
    assert api.post("rest_verify_email", link_secrets(mailbox[0])).status == 200


def test_a_bad_verification_key_is_refused(api: Api, db: Any) -> None:
    answer = api.post("rest_verify_email", {"key": "wrong"})
    assert (answer.status, answer.code) == (400, "invalid_key")


def test_no_answer_sets_another_cookie_than_the_tokens(api: Api, account: Account) -> None:
    client = account.log_in()
    new = {"new_password1": OTHER_PASSWORD, "new_password2": OTHER_PASSWORD}
    answers = [
        api.post("rest_login", account.credentials),
        client.post("rest_password_change", {"old_password": PASSWORD, **new}),
        client.post("rest_logout"),
    ]
    if policy.REGISTRATION == "open":
        answers.append(api.post("rest_register", registration()))
    names = {name.rpartition("-")[2] for answer in answers for name in answer.cookies}
    assert names == ({"access", "refresh"} if api.by_cookie else set())
