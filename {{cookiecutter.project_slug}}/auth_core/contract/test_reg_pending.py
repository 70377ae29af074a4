"""REG, about addresses that nobody has proved: a registration is no way into somebody's account."""

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.account.signals import user_signed_up
from django.contrib.auth import get_user_model, hashers
from django.db import connection, models
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from auth_core import policy
from auth_core.accounts import purge, registrations
from auth_core.accounts.models import Registration
from auth_core.accounts.serializers import RegisterSerializer
from auth_core.accounts.signals import account_recovered
from auth_core.audit.models import AuditEvent
from auth_core.contract.marks import (
    admin_is_here,
    real_transactions,
    registration_is_open,
    there_are_user_names,
    verification_is_mandatory,
)
from auth_core.sessions.models import AuthSession
from auth_core.testing import (
    OTHER_PASSWORD,
    PASSWORD,
    Account,
    Answer,
    Api,
    at_once,
    forget_uses,
    link_secrets,
    registration,
)

pytestmark = [pytest.mark.django_db, registration_is_open]

USERS = get_user_model()._default_manager
V = "victim@example.com"
CHOSEN = "a password of the owner's"
NEW = {"new_password1": CHOSEN, "new_password2": CHOSEN}
ANEW = {"password1": CHOSEN, "password2": CHOSEN}
mails_links = pytest.mark.skipif(
    policy.EMAIL_VERIFICATION == "none", reason="no address is verified by the policy"
)
accounts_are_there_at_once = pytest.mark.skipif(
    policy.EMAIL_VERIFICATION == "mandatory", reason="verification is mandatory by the policy"
)


def register(password: str = PASSWORD, **changes: Any) -> Answer:
    body = registration(**{"email": V, **changes}, password1=password, password2=password)
    answer = Api().post("rest_register", body)
    assert answer.status == 201, answer.body
    return answer


def verify(key: str, **more: str) -> Answer:
    return Api().post("rest_verify_email", {"key": key, **more})


def log_in(password: str, name: str = V) -> Answer:
    """Log in with an address, or what the policy has instead."""
    if "email" not in policy.LOGIN_WITH and name == V:
        user = USERS.filter(email=V).first()
        name = user.username if user else "nobody"
    field = "email" if "@" in name else "username"
    return Api().post("rest_login", {field: name, "password": password})


def reset(mailbox: list[Any], email: str = V) -> Answer:
    assert Api().post("rest_password_reset", {"email": email}).status == 200
    return Api().post("rest_password_reset_confirm", {**link_secrets(mailbox[-1]), **NEW})


def keys_of(mailbox: list[Any]) -> list[str]:
    found = [link_secrets(each) for each in mailbox]
    return [each["key"] for each in found if "key" in each]


# --- Side by side ----------------------------------------------------------------------------


@verification_is_mandatory
def test_one_registration_is_activated_by_its_link_alone(mailbox: list[Any]) -> None:
    """REG-12: with one client alone, click and login work as before."""
    register()
    assert log_in(PASSWORD).status == 400
    assert verify(keys_of(mailbox)[0]).status == 200
    assert log_in(PASSWORD).status == 200
    assert verify(keys_of(mailbox)[0]).code == "invalid_key"


@verification_is_mandatory
@pytest.mark.parametrize("which", ["first", "second", "sent again"])
def test_no_click_activates_one_of_several(which: str, mailbox: list[Any]) -> None:
    """REG-12: the owner and a stranger: no link is used up, and neither password logs in."""
    register()
    register(OTHER_PASSWORD)
    Api().post("rest_resend_email", {"email": V})
    key = dict(zip(["first", "second", "sent again"], keys_of(mailbox), strict=True))[which]
    for _ in range(2):
        refused = verify(key)
        assert (refused.status, refused.code) == (400, "password_needed")
        assert "password" in refused.body["codes"]
    for password in (PASSWORD, OTHER_PASSWORD):
        assert log_in(password).status == 400
    assert not USERS.filter(email=V).exists()
    assert Registration.objects.count() == 2


@verification_is_mandatory
@pytest.mark.parametrize("which", [0, 1])
def test_a_key_and_a_password_activate_the_registration_of_that_password(
    which: int, mailbox: list[Any]
) -> None:
    """REG-12: any key of the address will do; the others are deleted with their passwords and keys."""
    register(username="mine") if policy.LOGIN_WITH != "email" else register()
    register(OTHER_PASSWORD)
    keys = keys_of(mailbox)
    assert verify(keys[which], password="not the right one").code == "invalid_password"
    assert verify(keys[which], password=PASSWORD).status == 200
    assert log_in(OTHER_PASSWORD).status == 400
    assert log_in(PASSWORD).status == 200
    user = USERS.get()
    assert policy.LOGIN_WITH == "email" or user.username == "mine"
    assert not Registration.objects.exists()
    assert {verify(each).code for each in keys} == {"invalid_key"}


@verification_is_mandatory
def test_the_client_that_registered_is_known_by_its_token(mailbox: list[Any]) -> None:
    """REG-12: it need not ask for the password; somebody else's token, or none, proves nothing."""
    strangers = register(OTHER_PASSWORD).body["registration_token"]
    own = register().body["registration_token"]
    foreign = registrations.token_of(None)
    keys = keys_of(mailbox)
    assert len(strangers) == len(own) == len(foreign)
    assert verify(keys[0], registration_token=foreign).code == "password_needed"
    assert verify(keys[0], registration_token=own).status == 200
    assert log_in(PASSWORD).status == 200
    assert log_in(OTHER_PASSWORD).status == 400


@verification_is_mandatory
@pytest.mark.parametrize("how_many", [1, 2])
def test_a_key_and_a_new_password_claim_the_address(how_many: int, mailbox: list[Any]) -> None:
    """REG-12: without any of the registrations, of which nothing is left."""
    for password in [PASSWORD, OTHER_PASSWORD][:how_many]:
        register(password)
    pending = list(USERS.values_list("pk", flat=True))
    weak = verify(keys_of(mailbox)[0], password1="short", password2="short")
    assert (weak.status, weak.code) == (400, "password_too_short")
    assert verify(keys_of(mailbox)[0], **ANEW).status == 200
    for password in (PASSWORD, OTHER_PASSWORD):
        assert log_in(password).status == 400
    assert log_in(CHOSEN).status == 200
    assert USERS.get().pk not in pending
    assert not Registration.objects.exists()


@verification_is_mandatory
@pytest.mark.parametrize("how_many", [1, 2])
def test_a_reset_claims_the_address(how_many: int, mailbox: list[Any]) -> None:
    """REG-12: its link sets a password and makes the account; the mailed keys end."""
    for password in [PASSWORD, OTHER_PASSWORD][:how_many]:
        register(password)
    keys = keys_of(mailbox)
    assert reset(mailbox).status == 200
    for password in (PASSWORD, OTHER_PASSWORD):
        assert log_in(password).status == 400
    assert log_in(CHOSEN).status == 200
    assert EmailAddress.objects.get().verified
    assert USERS.count() == 1
    assert not Registration.objects.exists()
    assert {verify(each).code for each in keys} == {"invalid_key"}


@verification_is_mandatory
def test_a_reset_link_ends_with_the_registration(mailbox: list[Any]) -> None:
    """REG-12: what was activated since is no registration any more, and keeps its password."""
    register()
    assert Api().post("rest_password_reset", {"email": V}).status == 200
    link = link_secrets(mailbox[-1])
    assert verify(keys_of(mailbox)[0]).status == 200
    refused = Api().post("rest_password_reset_confirm", {**link, **NEW})
    assert (refused.status, refused.code) == (400, "invalid_link")
    assert log_in(PASSWORD).status == 200


@verification_is_mandatory
def test_tries_of_a_registrations_password_are_limited(mailbox: list[Any], settings: Any) -> None:
    """REG-12: like those of a login: each wrong one beyond LOGIN_FREE_FAILURES makes the next wait."""
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "verify_email": ""}
    register()
    register(OTHER_PASSWORD)
    key = keys_of(mailbox)[0]
    answers = [verify(key, password="wrong") for _ in range(settings.LOGIN_FREE_FAILURES + 1)]
    assert {each.code for each in answers[:-1]} == {"invalid_password"}
    assert (answers[-1].status, verify(key, password=PASSWORD).status) == (429, 429)


@verification_is_mandatory
def test_the_same_password_again_is_the_same_registration(mailbox: list[Any]) -> None:
    """REG-12: both links work, alone; the two answers have nothing in common."""
    tokens = [register().body["registration_token"] for _ in range(2)]
    assert tokens[0] != tokens[1]
    assert Registration.objects.count() == USERS.count() == 1
    assert {verify(each).code for each in keys_of(mailbox)} == {None, "invalid_key"}
    assert log_in(PASSWORD).status == 200


@verification_is_mandatory
def test_at_most_five_registrations_stand_side_by_side(
    mailbox: list[Any], settings: Any, clock: Any
) -> None:
    """REG-12: a further one is mailed, and its password is not kept; one of the five goes on."""
    settings.RATE_LIMITS = dict.fromkeys(settings.RATE_LIMITS, "")
    for number in range(7):
        register(f"{PASSWORD} {number}")
        clock.shift(1)
    assert (len(mailbox), Registration.objects.count()) == (7, 5)
    key = keys_of(mailbox)[-1]
    assert verify(key, password=f"{PASSWORD} 6").code == "invalid_password"
    assert verify(key, password=f"{PASSWORD} 3").status == 200
    assert log_in(f"{PASSWORD} 3").status == 200


@verification_is_mandatory
@real_transactions
def test_racing_registrations_are_no_more_than_five(settings: Any) -> None:
    """REG-12: eight clients at once, each with a password of its own."""
    settings.RATE_LIMITS = dict.fromkeys(settings.RATE_LIMITS, "")
    at_once(*(partial(register, f"{PASSWORD} {number}") for number in range(8)))
    assert Registration.objects.count() == USERS.count() == 5


@verification_is_mandatory
@real_transactions
def test_racing_claims_of_an_address_make_one_account(mailbox: list[Any], settings: Any) -> None:
    """REG-12: each way to it at the same time: one wins, no answer is an error of the server."""
    settings.RATE_LIMITS = dict.fromkeys(settings.RATE_LIMITS, "")
    for _ in range(3):
        register()
        register(OTHER_PASSWORD)
        Api().post("rest_password_reset", {"email": V})
        link, key = link_secrets(mailbox[-1]), keys_of(mailbox)[-1]
        answers = at_once(
            partial(verify, key, password=PASSWORD),
            partial(verify, key, password=OTHER_PASSWORD),
            partial(verify, key, **ANEW),
            partial(Api().post, "rest_password_reset_confirm", {**link, **NEW}),
            partial(Api().post, "rest_register", registration(email=V)),
        )
        assert [each.status for each in answers[:4]].count(200) == 1, answers
        assert {each.status for each in answers[:4]} == {200, 400}
        assert answers[4].status == 201
        user = USERS.get(email=V)
        assert EmailAddress.objects.get().user_id == user.pk
        USERS.all().delete()
        mailbox.clear()


# --- Nothing is reserved ---------------------------------------------------------------------


@verification_is_mandatory
@there_are_user_names
def test_a_registration_reserves_no_user_name(mailbox: list[Any], make_account: Any) -> None:
    """REG-12: whoever is activated first has it; the other chooses another, with the same link."""
    register(username="ada")
    register(username="ada", email="other@example.com")
    first, second = keys_of(mailbox)
    assert verify(second).status == 200
    taken = verify(first)
    assert (taken.status, taken.code) == (400, "username_taken")
    assert verify(first, username="admin").code == "username_blacklisted"
    assert verify(first, username="ADA").code == "username_taken"
    assert verify(first, username="Ada.Two").status == 200
    assert log_in(PASSWORD, "ada.two").status == 200
    assert make_account(username="free").log_in().is_alive


@verification_is_mandatory
@there_are_user_names
def test_a_reset_finds_another_user_name(mailbox: list[Any], make_account: Any) -> None:
    """REG-12: where the wanted one was taken meanwhile."""
    register(username="ada")
    make_account(username="ada")
    assert reset(mailbox).status == 200
    assert USERS.get(email=V).username not in (None, "ada")


@verification_is_mandatory
@there_are_user_names
def test_a_login_before_the_click_hears_why(mailbox: list[Any]) -> None:
    """REG-12, ACC-02: by name or address, with the right password; nobody else hears anything."""
    register(username="ada")
    register(OTHER_PASSWORD, username="ada")
    names = ["ada", *([V] if "email" in policy.LOGIN_WITH else [])]
    for name in names:
        for password in (PASSWORD, OTHER_PASSWORD):
            assert log_in(password, name).code == "email_not_verified"
        assert log_in("wrong", name).code == "invalid_credentials"
    assert not AuthSession.objects.exists()


@verification_is_mandatory
@pytest.mark.parametrize("name", ["pending", "two pending", "nobody"])
def test_a_login_hashes_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """REG-12, ENU-02: however many registrations there are of an address or a name."""
    if name != "nobody":
        register()
    if name == "two pending":
        register(OTHER_PASSWORD)
    hashed = list[str]()
    make_password = hashers.make_password

    def counted(password: str, *args: Any) -> str:
        hashed.append(password)
        return make_password(password, *args)

    monkeypatch.setattr(registrations, "make_password", counted)
    monkeypatch.setattr(hashers, "check_password", None)
    field = "email" if "email" in policy.LOGIN_WITH else "username"
    value = V if field == "email" else getattr(Registration.objects.first(), field, "nobody")
    assert Api().post("rest_login", {field: value, "password": "wrong"}).status == 400
    assert hashed == ["wrong"]


# --- Limits ----------------------------------------------------------------------------------


@verification_is_mandatory
def test_a_registration_without_a_mail_changes_nothing(
    mailbox: list[Any], settings: Any, clock: Any
) -> None:
    """REG-13: not even its time; the one before is activated by its link alone."""
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "signup": "1/h/key"}
    clock.move_to(timezone.now().replace(minute=30))  # limits count by the hour of the clock
    register()
    before = list(Registration.objects.values())
    for password in (OTHER_PASSWORD, PASSWORD):
        clock.shift(60)
        register(password)
    assert len(mailbox) == 1
    assert list(Registration.objects.values()) == before
    assert verify(keys_of(mailbox)[0]).status == 200
    assert log_in(PASSWORD).status == 200
    assert log_in(OTHER_PASSWORD).status == 400


# --- Unclaimed -------------------------------------------------------------------------------


@pytest.fixture
def recoveries() -> Any:
    """Whether each account that was recovered was unclaimed."""
    told = list[bool]()

    def receive(unclaimed: bool, **kwargs: Any) -> None:
        told.append(unclaimed)

    account_recovered.connect(receive)
    yield told
    account_recovered.disconnect(receive)


@mails_links
def test_a_click_alone_claims_nothing(mailbox: list[Any], recoveries: list[bool]) -> None:
    """REG-14: the first reset by mail tells that nobody had shown mailbox and password; the second not."""
    register()
    assert verify(keys_of(mailbox)[0]).status == 200
    stranger = Account(USERS.get(email=V)).log_in()
    for _ in range(2):
        assert reset(mailbox).status == 200
    assert recoveries == [True, False]
    assert not stranger.is_alive
    assert log_in(CHOSEN).status == 200


@mails_links
def test_key_and_password_claim_an_account(mailbox: list[Any], recoveries: list[bool]) -> None:
    """REG-14: of one client."""
    register()
    key = keys_of(mailbox)[0]
    assert verify(key, password="wrong").code == "invalid_password"
    assert verify(key, password=PASSWORD).status == 200
    assert reset(mailbox).status == 200
    assert recoveries == [False]


@verification_is_mandatory
def test_the_client_that_registered_claims_its_account(
    mailbox: list[Any], recoveries: list[bool]
) -> None:
    """REG-14: it brings the token of its registration with the key."""
    token = register().body["registration_token"]
    assert verify(keys_of(mailbox)[0], registration_token=token).status == 200
    assert reset(mailbox).status == 200
    assert recoveries == [False]


@mails_links
@accounts_are_there_at_once
def test_the_session_that_registered_claims_its_account(
    mailbox: list[Any], recoveries: list[bool]
) -> None:
    """REG-14: optional verification: it brings its tokens with the key; somebody else's claim nothing."""
    client = Api().with_tokens_of(register())
    other = Api().with_tokens_of(register(email="other@example.com"))
    first, second = keys_of(mailbox)
    assert client.post("rest_verify_email", {"key": first}).status == 200
    assert client.post("rest_verify_email", {"key": second}).status == 200
    assert reset(mailbox).status == 200
    assert reset(mailbox, "other@example.com").status == 200
    assert recoveries == [False, True]
    assert not other.is_alive


@mails_links
@accounts_are_there_at_once
def test_a_key_sets_no_password_of_an_account(mailbox: list[Any]) -> None:
    """REG-14: it lives longer than a reset link, and the account may be in use."""
    register()
    refused = verify(keys_of(mailbox)[0], **ANEW)
    assert (refused.status, refused.code) == (400, "has_password")
    assert log_in(PASSWORD).status == 200


def test_a_claimed_account_stays_so(
    account: Account, mailbox: list[Any], recoveries: list[bool]
) -> None:
    """REG-14: so do accounts that were verified before, and those that staff made with an address."""
    assert reset(mailbox, account.user.email).status == 200
    assert recoveries == [False]


def test_an_account_that_a_script_made_is_claimed(
    make_account: Callable[..., Account], mailbox: list[Any], recoveries: list[bool]
) -> None:
    """REG-14: also without a verified address, as after a write of one: a reset removes no factor."""
    assert reset(mailbox, make_account(verified=False).user.email).status == 200
    assert recoveries == [False]


@mails_links
def test_a_thief_of_a_session_makes_nothing_unclaimed(
    mailbox: list[Any], recoveries: list[bool]
) -> None:
    """REG-14: who changes the address has none of the account's factors removed by a reset there."""
    register()
    assert verify(keys_of(mailbox)[0]).status == 200
    thief = Account(USERS.get(email=V)).log_in()
    assert thief.post("email_change", {"email": "thief@example.com"}).status == 200
    assert Api().post("email_change_confirm", link_secrets(mailbox[-1])).status == 200
    assert reset(mailbox, "thief@example.com").status == 200
    assert recoveries == [False]


# --- This was not me -------------------------------------------------------------------------


def reject_key(message: Any) -> str:
    """What the second link of a mail carries."""
    body = message.body.partition("reject-registration#")[2].split()[0]
    found = link_secrets(SimpleNamespace(body=f"https://x/#{body}"))
    return found["key"]


@verification_is_mandatory
def test_a_registration_is_deleted_by_who_did_not_register(mailbox: list[Any]) -> None:
    """REG-12: its own alone; the other is then activated by its link. No key does the other's work."""
    register()
    register(OTHER_PASSWORD)
    keys, rejects = keys_of(mailbox), [reject_key(each) for each in mailbox]
    for bad in (keys[0], "x"):
        assert Api().post("registration_reject", {"key": bad}).code == "invalid_key"
    assert verify(rejects[0]).code == "invalid_key"
    assert Api().post("registration_reject", {"key": rejects[1]}).status == 200
    assert Api().post("registration_reject", {"key": rejects[1]}).code == "invalid_key"
    assert verify(keys[1]).code == "invalid_key"
    assert verify(keys[0]).status == 200
    assert log_in(PASSWORD).status == 200
    assert Api().post("registration_reject", {"key": rejects[0]}).code == "invalid_key"
    assert AuditEvent.objects.filter(event="user_deleted", detail__reason="rejected").count() == 1


@mails_links
@accounts_are_there_at_once
def test_an_account_loses_the_address_of_who_did_not_register(mailbox: list[Any]) -> None:
    """REG-12: optional verification: the owner can register then. What was verified stays."""
    register()
    assert Api().post("registration_reject", {"key": reject_key(mailbox[0])}).status == 200
    assert not USERS.filter(email=V).exists()
    assert verify(keys_of(mailbox)[0]).code == "invalid_key"
    register(OTHER_PASSWORD)
    assert verify(keys_of(mailbox)[1]).status == 200
    for message in mailbox:
        refused = Api().post("registration_reject", {"key": reject_key(message)})
        assert refused.code == "invalid_key"


@mails_links
def test_the_mail_says_who_registered(mailbox: list[Any]) -> None:
    """REG-12: user name, time, address and program, of which only known words are taken."""
    agent = "Mozilla/5.0 (Windows NT 10.0) Firefox/130.0 buy at http://evil.example"
    body = registration(email=V)
    assert Api().post("rest_register", body, User_Agent=agent).status == 201
    (message,) = mailbox
    assert body.get("username", "") in message.body
    for text in ("127.0.0.1", "UTC", "reject-registration"):
        assert text in message.body
    assert "evil" not in message.body


# --- Whoever proves the address elsewhere ----------------------------------------------------


@mails_links
@pytest.mark.parametrize("how_many", [1, 2])
def test_a_registration_blocks_no_change_to_its_address(
    account: Account, mailbox: list[Any], how_many: int
) -> None:
    """ACC-14: the link is mailed, the change is made, the registration is gone. Both modes."""
    for password in [PASSWORD, OTHER_PASSWORD][:how_many]:
        if policy.EMAIL_VERIFICATION == "mandatory" or password == PASSWORD:
            register(password)
    keys = keys_of(mailbox)
    client = account.log_in()
    assert client.post("email_change", {"email": V}).status == 200
    change = link_secrets(mailbox[-1])
    assert Api().post("email_change_confirm", change).status == 200
    assert USERS.get(email=V).pk == account.user.pk
    assert not Registration.objects.filter(activated_at=None).exists()
    assert {verify(each).code for each in keys} == {"invalid_key"}
    assert client.is_alive


# --- What a team adds, and what is kept ------------------------------------------------------


class TeamSerializer(RegisterSerializer):
    """As teams extend it: a field of its own, stored by a save of the user."""

    def custom_signup(self, request: Any, user: Any) -> None:
        user.first_name = f"{user.email}"
        user.save()

    def save(self, request: Any) -> Any:
        user = super().save(request)
        user.last_name = "of the team"
        user.save()
        return user


@verification_is_mandatory
def test_hooks_of_a_team_see_a_whole_user(
    mailbox: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """REG-12: name and address, also where they save it; what they store is the account's."""
    monkeypatch.setattr("auth_core.accounts.views.RegisterView.serializer_class", TeamSerializer)
    told = list[Any]()

    def receive(user: Any, **kwargs: Any) -> None:
        told.append(user.email)

    user_signed_up.connect(receive)
    try:
        register()
        register(OTHER_PASSWORD)
    finally:
        user_signed_up.disconnect(receive)
    assert told == [V, V]
    assert not USERS.exclude(email=None).exists()
    assert verify(keys_of(mailbox)[0], password=PASSWORD).status == 200
    user = USERS.get()
    assert (user.email, user.first_name, user.last_name) == (V, V, "of the team")
    # An address with an owner is accepted alike, and nothing is saved.
    forget_uses()
    register(OTHER_PASSWORD)
    assert USERS.get().pk == user.pk


@verification_is_mandatory
@pytest.mark.inside
def test_old_registrations_are_purged(mailbox: list[Any], clock: Any) -> None:
    """REG-12, PRV-03: with their users, after UNVERIFIED_RETENTION_DAYS."""
    register()
    key = keys_of(mailbox)[0]
    clock.shift(policy.EMAIL_VERIFICATION_HOURS * 3600 + 1)
    assert verify(key).code == "invalid_key"
    clock.shift(policy.UNVERIFIED_RETENTION_DAYS * 86_400)
    assert purge.purge(timezone.now()) == 1
    assert not USERS.exists()


@pytest.mark.inside
@verification_is_mandatory
def test_rows_of_a_team_may_protect_a_registration(
    mailbox: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """REG-12: whose user then stays, deactivated and nameless; the address is claimed all the same."""

    def refuse(self: Any, *args: Any, **kwargs: Any) -> None:
        raise models.ProtectedError("kept", set())

    register()
    register(OTHER_PASSWORD)
    with monkeypatch.context() as patch:
        patch.setattr(get_user_model(), "delete", refuse)
        assert verify(keys_of(mailbox)[0], password=PASSWORD).status == 200
    assert USERS.get(email=V).is_active
    assert not USERS.get(email=None).is_active
    assert not Registration.objects.exists()
    assert connection.is_usable()


@admin_is_here
@pytest.mark.inside
@verification_is_mandatory
def test_the_admin_lists_registrations(make_account: Any, settings: Any) -> None:
    """REG-12: beside the users, to be read; a user whose registration is pending is in that list alone."""
    settings.ADMIN_NETWORKS = []
    register()
    pending = Registration.objects.get()
    staff, browser = make_account(is_staff=True, is_superuser=True), Client()
    browser.force_login(staff.user)
    page = reverse("admin:auth_accounts_registration_changelist")
    assert V in browser.get(page).content.decode()
    page = reverse("admin:auth_accounts_registration_change", args=[pending.pk])
    answer = browser.get(page)
    assert answer.status_code == 200
    assert pending.password not in answer.content.decode()
    page = reverse("admin:users_user_changelist")
    assert str(pending.user_id) not in browser.get(page).content.decode()
