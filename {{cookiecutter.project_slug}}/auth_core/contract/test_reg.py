"""REG: a registration makes one account or none, whatever races, fails or pretends."""

# Names that look alike are the point here.
# ruff: noqa: RUF001

import secrets
import unicodedata
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from allauth.account.adapter import get_adapter
from allauth.account.models import EmailAddress
from allauth.account.signals import user_signed_up
from allauth.socialaccount.adapter import get_adapter as get_social_adapter
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model, hashers, user_logged_in
from django.db import IntegrityError, connection, transaction
from django.test import Client, RequestFactory, override_settings
from django.urls import URLResolver, get_resolver

from auth_core import policy
from auth_core.accounts.adapter import AccountAdapter
from auth_core.accounts.models import Registration
from auth_core.audit.models import AuditEvent
from auth_core.contract.marks import (
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
    link_secrets,
    registration,
)

pytestmark = pytest.mark.django_db

THREADS = 8
# Longer than an address waits for its next verification mail.
MAIL_PAUSE = 200
USERS = get_user_model()._default_manager
UNVERIFIED = "Verification e-mail sent."


def outcomes(answers: list[Answer]) -> list[tuple[int, str | None]]:
    return sorted((answer.status, answer.code) for answer in answers)


@pytest.fixture
def _unlimited(settings: Any) -> None:
    """Callers who race each other are not the floods that the limits are for."""
    settings.RATE_LIMITS = dict.fromkeys(settings.RATE_LIMITS, "")


def user_of(email: str) -> Any:
    """Return whose account has an address, or the one user whose registration waits for it."""
    found = USERS.filter(email=email) | USERS.filter(registration__email=email)
    return found.select_related("registration").get()


def register_at_once(bodies: list[dict[str, Any]]) -> list[Answer]:
    return at_once(*(partial(Api().post, "rest_register", body) for body in bodies))


def variants(text: str) -> list[str]:
    """The same name for people: in capitals, in full width, with blanks around it."""
    wide = "".join(chr(ord(c) + 0xFEE0) if c.isalnum() else c for c in text)
    assert unicodedata.normalize("NFKC", wide) == text
    return [text, text.upper(), text.title(), f" {text} ", wide, wide.upper(), text, text.upper()]


# --- Whose fields ----------------------------------------------------------------------------


@registration_is_open
@pytest.mark.parametrize("how", ["registration", "user details"])
def test_nobody_gives_themselves_rights(api: Api, account: Account, how: str) -> None:
    """REG-01: rights, ids, a verified address and a ready hash are ignored at both places."""
    evil = {
        "is_staff": True,
        "is_superuser": True,
        "is_active": False,
        "groups": [1],
        "user_permissions": [1],
        "id": "00000000-0000-0000-0000-000000000001",
        "pk": "00000000-0000-0000-0000-000000000001",
        "email_verified": True,
        "verified": True,
        "emailaddress_set": [{"verified": True}],
        "password": hashers.make_password("chosen by the attacker"),
        "last_login": "2001-01-01T00:00:00Z",
        "date_joined": "2001-01-01T00:00:00Z",
    }
    body = registration()
    if how == "registration":
        assert api.post("rest_register", {**body, **evil}).status == 201
        user = user_of(body["email"])
        assert not user.emailaddress_set.filter(verified=True).exists()
        user.password = user.password if user.email else user.registration.password
    else:
        assert account.log_in().patch("rest_user_details", evil).status == 200
        user = USERS.get(pk=account.user.pk)
    assert (user.is_staff, user.is_superuser, user.is_active) == (False, False, True)
    assert not user.groups.exists()
    assert not user.user_permissions.exists()
    assert user.check_password(PASSWORD)
    assert str(user.pk) != evil["pk"]
    assert user.date_joined.year > 2001


# --- Races -----------------------------------------------------------------------------------


@registration_is_open
@real_transactions
@pytest.mark.usefixtures("_unlimited")
@pytest.mark.parametrize("spelled", ["alike", "differently"])
def test_parallel_registrations_of_an_address_make_one_account(spelled: str) -> None:
    """REG-02: one account; all are told the same where verification is mandatory, else one wins.

    The same password makes the same registration, whatever user name it wants.
    """
    for _ in range(2):
        name = f"u{secrets.token_hex(5)}"
        emails = [f"{name}@example.com"] * THREADS
        if spelled == "differently":
            emails = [f"{each.strip()}@Example.COM" for each in variants(name)]
            emails = [each if each.isascii() else f"{name}@EXAMPLE.com" for each in emails]
        answers = register_at_once([registration(email=email) for email in emails])
        if policy.EMAIL_VERIFICATION == "mandatory":
            told = {(each.status, each.body["detail"]) for each in answers}
            assert told == {(201, UNVERIFIED)}
        else:
            expected = [(201, None)] + [(400, "email_taken")] * (THREADS - 1)
            assert outcomes(answers) == expected
        assert user_of(f"{name}@example.com")
    assert USERS.count() == 2


@registration_is_open
@real_transactions
@pytest.mark.usefixtures("_unlimited")
def test_a_registration_sent_many_times_at_once_makes_one_account() -> None:
    """REG-02, REG-03: the very same body, as from an impatient client."""
    for _ in range(2):
        body = registration()
        answers = register_at_once([body] * THREADS)
        if policy.EMAIL_VERIFICATION == "mandatory":
            assert outcomes(answers) == [(201, None)] * THREADS
        else:
            assert sorted(each.status for each in answers) == [201] + [400] * (THREADS - 1)
        assert user_of(body["email"])
    assert USERS.count() == 2


@registration_is_open
@there_are_user_names
@real_transactions
@pytest.mark.usefixtures("_unlimited")
@pytest.mark.parametrize("spelled", ["alike", "differently"])
def test_parallel_registrations_of_a_user_name_make_one_account(
    spelled: str, mailbox: list[Any]
) -> None:
    """REG-03: one account, 400 for the others, also for letter case, full width and blanks.

    Where verification is mandatory, whose link is followed first.
    """
    for _ in range(2):
        name = f"u{secrets.token_hex(5)}"
        names = variants(name) if spelled == "differently" else [name] * THREADS
        mailbox.clear()
        answers = register_at_once([registration(username=each) for each in names])
        if policy.EMAIL_VERIFICATION == "mandatory":
            assert outcomes(answers) == [(201, None)] * THREADS
            keys = [link_secrets(each)["key"] for each in mailbox]
            answers = at_once(
                *(partial(Api().post, "rest_verify_email", {"key": key}) for key in keys)
            )
            assert outcomes(answers) == [(200, None)] + [(400, "username_taken")] * (THREADS - 1)
        else:
            assert outcomes(answers) == [(201, None)] + [(400, "username_taken")] * (THREADS - 1)
        assert USERS.filter(username=name).count() == 1
    assert EmailAddress.objects.count() == 2


@registration_is_open
@verification_is_mandatory
@real_transactions
@pytest.mark.usefixtures("_unlimited")
def test_a_registration_that_races_a_verification_does_not_undo_it(mailbox: list[Any]) -> None:
    """REG-02, REG-11: whoever comes first: the account stays as it is, or the link needs the password."""
    for _ in range(6):
        body = registration()
        Api().post("rest_register", body)
        link = link_secrets(mailbox[-1])
        new = {"password1": OTHER_PASSWORD, "password2": OTHER_PASSWORD}
        other = registration(email=body["email"], **new)
        again, verified = at_once(
            partial(Api().post, "rest_register", other),
            partial(Api().post, "rest_verify_email", link),
        )
        assert again.status == 201
        assert (verified.status, verified.code) in [(200, None), (400, "password_needed")]
        if verified.status == 400:
            link["password"] = PASSWORD
            assert Api().post("rest_verify_email", link).status == 200
        assert USERS.get(email=body["email"]).check_password(PASSWORD)
        assert EmailAddress.objects.get(email=body["email"]).verified


@registration_is_open
@real_transactions
def test_no_transaction_waits_for_a_hash(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """REG-02: 50 ms of hashing hold no lock: SQLite has one writer, PostgreSQL locks the row."""
    hash_password, was_atomic = hashers.make_password, list[bool]()

    def watched(password: str | None, *args: Any) -> str:
        if password is not None:  # that makes one that nothing matches, at once
            was_atomic.append(connection.in_atomic_block)
        return hash_password(password, *args)

    for module in ("django.contrib.auth.base_user", "auth_core.accounts.serializers"):
        monkeypatch.setattr(f"{module}.make_password", watched)
    assert api.post("rest_register", registration()).status == 201
    assert was_atomic == [False]


# --- One spelling ----------------------------------------------------------------------------


def raw_insert(**values: str) -> None:
    """Write a user past Django's fields, as a script or another program would."""
    user = get_user_model()(password="!", first_name="", last_name="")
    fields = get_user_model()._meta.concrete_fields
    row: dict[str, Any] = {
        str(f.column): f.get_db_prep_save(getattr(user, f.attname), connection) for f in fields
    }
    row |= values
    quoted = ", ".join(map(connection.ops.quote_name, row))
    places = ", ".join(["%s"] * len(row))
    table = connection.ops.quote_name(get_user_model()._meta.db_table)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} ({quoted}) VALUES ({places})", list(row.values()))  # noqa: S608


SAME_NAMES = ["ann", "ANN", "Ann", "ａｎｎ", "ＡＮＮ", "ａnn", "ⓐnn", "𝐚𝐧𝐧", " ann", "ann\n", "аnn"]
SAME_ADDRESSES = [
    "ann@bücher.example",
    "ann@xn--bcher-kva.example",
    "ANN@xn--bcher-kva.example",
    "ann@XN--BCHER-KVA.example",
    "ann@BÜCHER.example",
    "ann@bu\u0308cher.example",
    "ａｎｎ@xn--bcher-kva.example",
    "ann＠xn--bcher-kva.example",
    "ann@xn--bcher-kva．example",
    "ann@xn--bcher-kva.example\n",
    "ann@bücher。example",
]


@pytest.mark.inside
@pytest.mark.parametrize(
    ("field", "first", "again"),
    [
        *(("username", "ann", name) for name in SAME_NAMES),
        *(("email", "ann@xn--bcher-kva.example", email) for email in SAME_ADDRESSES),
    ],
)
def test_the_database_itself_keeps_identifiers_apart(field: str, first: str, again: str) -> None:
    """REG-04: a raw INSERT of another spelling of a user name or an address fails."""
    raw_insert(**{field: first})
    with pytest.raises(IntegrityError):
        raw_insert(**{field: again})
    assert USERS.filter(**{field: again}).count() in (0, 1)
    assert USERS.count() == 1


@pytest.mark.inside
@pytest.mark.parametrize("address", SAME_ADDRESSES)
def test_an_address_is_stored_and_looked_up_in_one_spelling(address: str) -> None:
    """REG-04: however it is written; a domain is stored as mail servers know it (IDNA)."""
    user = USERS.create_user(email=address, username=None)
    user.refresh_from_db()
    assert user.email == "ann@xn--bcher-kva.example"
    assert {USERS.get(email=each).pk for each in SAME_ADDRESSES} == {user.pk}


# What looks like "ann" and is another text for a computer, and what hides in it.
LOOK_ALIKES = {
    "Cyrillic": "аnn",
    "all Cyrillic": "апп",
    "Greek": "αnn",
    "mixed scripts": "aпn",
    "zero-width space": "an\u200bn",
    "zero-width joiner": "an\u200dn",
    "soft hyphen": "an\u00adn",
    "byte order mark": "\ufeffann",
    "right-to-left override": "\u202enna",
    "right-to-left mark": "ann\u200f",
    "variation selector": "ann\ufe0f",
    "combining mark": "ann\u0307",
    "dotless i": "annı",
    "tag": "ann\U000e0061",
    "no-break space": "an\u00a0n",
    "inner blank": "an n",
    "address": "ann@example.com",
    "only signs": "...",
}


@registration_is_open
@there_are_user_names
@pytest.mark.parametrize("name", LOOK_ALIKES.values(), ids=list(LOOK_ALIKES))
def test_a_user_name_that_imitates_another_is_refused(
    api: Api, make_account: Any, name: str
) -> None:
    """REG-05: names are ASCII, so none looks like another by script, direction or hidden signs (UTS 39)."""
    make_account(username="ann")
    assert api.post("rest_register", registration(username=name)).status == 400
    assert set(USERS.values_list("username", flat=True)) == {"ann"}


@registration_is_open
@there_are_user_names
@pytest.mark.parametrize("name", ["ANN", "Ann", "ａｎｎ", "ＡＮＮ", "𝐚𝐧𝐧", " ann "])
def test_another_spelling_of_a_user_name_is_the_same_account(
    api: Api, make_account: Any, name: str
) -> None:
    """REG-05: case, full width and other compatibility forms mean the same user, also at login."""
    account = make_account(username="ann")
    refused = api.post("rest_register", registration(username=name))
    assert (refused.status, refused.code) == (400, "username_taken")
    answer = api.post("rest_login", {"username": name, "password": account.password})
    assert answer.body["user"]["email"] == account.user.email


@registration_is_open
@pytest.mark.parametrize(
    "email",
    [
        "mıke@example.com",
        "m\u200bike@example.com",
        f"{'a' * 60}@{'b' * 60}.{'c' * 60}.{'d' * 60}.{'e' * 20}.com",
    ],
)
def test_an_address_that_no_column_and_no_mail_server_takes_is_refused(
    api: Api, email: str
) -> None:
    """REG-05: signs that only look like letters of an address, and more than its column holds."""
    refused = api.post("rest_register", registration(email=email))
    assert (refused.status, list(refused.body["codes"])) == (400, ["email"])
    assert not USERS.exists()


# --- Reserved names --------------------------------------------------------------------------


RESERVED = [
    "admin",
    "Admin",
    "ＡＤＭＩＮ",
    "root",
    "support",
    "www",
    "api",
    "security",
    "postmaster",
]
RESERVED += ["null", "me", "no-reply", "webmaster", "abuse"]


@registration_is_open
@there_are_user_names
@pytest.mark.parametrize("name", RESERVED)
def test_a_reserved_user_name_is_refused(api: Api, name: str) -> None:
    """REG-06: at registration; nothing else lets users choose a name."""
    refused = api.post("rest_register", registration(username=name))
    assert (refused.status, refused.code) == (400, "username_blacklisted")
    assert not USERS.filter(username=name).exists()


@registration_is_open
@there_are_user_names
def test_the_team_reserves_more_names(api: Api, settings: Any) -> None:
    """REG-06: by ACCOUNT_USERNAME_BLACKLIST; who was given one by an administrator keeps it."""
    settings.ACCOUNT_USERNAME_BLACKLIST = [*settings.ACCOUNT_USERNAME_BLACKLIST, "Acme"]
    refused = api.post("rest_register", registration(username="acme"))
    assert (refused.status, refused.code) == (400, "username_blacklisted")
    assert api.post("rest_register", registration(username="acme.fan")).status == 201
    USERS.create_superuser(username="acme", email="acme@example.com", password=PASSWORD)
    client = Account(USERS.get(username="acme")).log_in()
    kept = {"username": "acme", "first_name": "A"}
    assert client.put("rest_user_details", kept).status == 200


# --- Closed ----------------------------------------------------------------------------------


# Where allauth, dj-rest-auth and others have their registration.
ELSEWHERE = [
    "registration/",
    "register/",
    "signup/",
    "sign-up/",
    "users/",
    "user/",
    "accounts/",
    "accounts/signup/",
    "accounts/social/signup/",
    "accounts/3rdparty/signup/",
    "dj-rest-auth/registration/",
    "auth/registration/",
    "_allauth/browser/v1/auth/signup",
    "_allauth/app/v1/auth/signup",
    "_allauth/app/v1/auth/provider/token",
    "_allauth/app/v1/auth/webauthn/signup",
    "google/",
    # Where it was chosen, that is a login at a provider, which its own tests try.
    *([] if "google" in policy.SOCIAL_PROVIDERS.split(",") else ["social/google/"]),
]


@pytest.mark.skipif(policy.REGISTRATION != "closed", reason="registration is not closed")
def test_a_closed_registration_is_nowhere(api: Api) -> None:
    """REG-08: 404, and no user: there is no such endpoint, here or where the libraries have theirs."""
    prefixes = ("", f"{policy.AUTH_URL_PREFIX}/", f"{policy.REGISTRATION_URL_PREFIX}/")
    paths = [f"/{policy.REGISTRATION_URL_PREFIX}/"]
    paths += [f"/{prefix}{path}" for prefix in prefixes for path in ELSEWHERE]
    for path in paths:
        assert api.post(path, registration()).status in (401, 404, 405), path
    assert api.post(paths[0], registration()).status == 404
    assert not USERS.exists()


@pytest.mark.parametrize("path", ELSEWHERE)
def test_there_is_no_second_way_to_register(api: Api, path: str) -> None:
    """REG-08: nothing answers where allauth and dj-rest-auth would, whatever the policy."""
    own = f"/{policy.REGISTRATION_URL_PREFIX}/"
    for prefix in ("", f"{policy.AUTH_URL_PREFIX}/"):
        if f"/{prefix}{path}" != own:
            answer = api.post(f"/{prefix}{path}", registration())
            assert answer.status in (401, 404, 405), path
    assert not USERS.exists()


def callbacks(patterns: Any) -> Iterator[Any]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from callbacks(pattern.url_patterns)
        else:
            yield pattern.callback


@pytest.mark.inside
def test_no_view_of_the_libraries_makes_users() -> None:
    """REG-08: no URL leads to a view of allauth or of dj-rest-auth's registration."""
    modules = {callback.__module__ for callback in callbacks(get_resolver().url_patterns)}
    assert not [each for each in modules if each.startswith(("allauth", "dj_rest_auth"))]


@pytest.mark.inside
def test_the_adapters_are_open_only_by_the_policy(rf: RequestFactory) -> None:
    """REG-08: allauth's own flows, social ones included, ask the adapter, who asks the policy."""
    is_open = policy.REGISTRATION == "open"
    request = rf.post("/")
    assert get_adapter().is_open_for_signup(request) is is_open
    assert get_social_adapter().is_open_for_signup(request, None) is is_open


class ClosedAdapter(AccountAdapter):
    def is_open_for_signup(self, request: Any) -> bool:
        return False


@registration_is_open
def test_a_team_closes_registration_by_its_adapter(api: Api, settings: Any) -> None:
    """REG-08: 403, and no user, while the adapter says no."""
    settings.ACCOUNT_ADAPTER = f"{__name__}.ClosedAdapter"
    refused = api.post("rest_register", registration())
    assert (refused.status, refused.code) == (403, "registration_closed")
    assert not USERS.exists()


# --- All or nothing --------------------------------------------------------------------------


class BrokenReceiverError(Exception):
    """What a receiver of the team's raises."""


@pytest.fixture(params=[user_signed_up, user_logged_in], ids=["user_signed_up", "user_logged_in"])
def _broken_receiver(request: pytest.FixtureRequest) -> Iterator[None]:
    def break_down(**kwargs: Any) -> None:
        raise BrokenReceiverError

    if request.param is user_logged_in and policy.EMAIL_VERIFICATION == "mandatory":
        pytest.skip(reason="a registration logs nobody in by the policy")
    request.param.connect(break_down)
    yield
    request.param.disconnect(break_down)


@registration_is_open
@real_transactions
@pytest.mark.usefixtures("_broken_receiver")
def test_a_receiver_that_fails_leaves_nothing(api: Api, mailbox: list[Any]) -> None:
    """REG-09: 500 as JSON; no user, address, session, mail or event; the next try finds the way free."""
    body = registration()
    for _ in range(2):
        answer = api.post("rest_register", body)
        assert (answer.status, answer.code) == (500, "server_error")
        assert "BrokenReceiver" not in str(answer.body)
    for model in (get_user_model(), EmailAddress, Registration, AuthSession, AuditEvent):
        assert not model._default_manager.exists(), model
    assert mailbox == []


@registration_is_open
@real_transactions
@pytest.mark.parametrize("table", [Registration._meta.db_table, AuditEvent._meta.db_table])
def test_a_database_that_refuses_a_later_row_keeps_no_user(api: Api, table: str) -> None:
    """REG-09: a trigger of the database that refuses the registration or the event undoes the user."""
    with refusing(table):
        answer = api.post("rest_register", registration())
        assert answer.status >= 500
    assert not USERS.exists()
    assert api.post("rest_register", registration()).status == 201


class refusing:  # noqa: N801
    """A table whose every insert fails, by a trigger."""

    def __init__(self, table: str) -> None:
        self.table = table
        self.postgresql = connection.vendor == "postgresql"

    def __enter__(self) -> None:
        with connection.cursor() as cursor:
            if self.postgresql:
                cursor.execute(
                    "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
                    "$$ BEGIN RAISE EXCEPTION 'refused'; END $$"
                )
                cursor.execute(
                    f"CREATE TRIGGER refuse BEFORE INSERT ON {self.table} "
                    "FOR EACH ROW EXECUTE FUNCTION refuse()"
                )
            else:
                cursor.execute(
                    f"CREATE TRIGGER refuse BEFORE INSERT ON {self.table} "
                    "BEGIN SELECT RAISE(ABORT, 'refused'); END"
                )

    def __exit__(self, *args: object) -> None:
        with connection.cursor() as cursor:
            on = f" ON {self.table}" if self.postgresql else ""
            cursor.execute(f"DROP TRIGGER refuse{on}")
            if self.postgresql:
                cursor.execute("DROP FUNCTION refuse()")


# --- Names that are code ---------------------------------------------------------------------


INJECTIONS = [
    "{{7*7}}",
    "{" + "% now 'Y' %}",
    "%s{0.__class__}",
    "%(user)s",
    "${7*7}",
    "<script>alert(1)</script>",
]


@pytest.fixture
def _mail_with_names(tmp_path: Path) -> Iterator[None]:
    """A team's own mail that greets people by their names, as text and HTML."""
    folder = tmp_path / "account" / "email"
    folder.mkdir(parents=True)
    names = "[{{ user.first_name|safe }}|{{ user.last_name|safe }}]"
    (folder / "password_changed_message.txt").write_text(names)
    (folder / "password_changed_message.html").write_text(names.replace("|safe", ""))
    (engine,) = django_settings.TEMPLATES
    with override_settings(TEMPLATES=[{**engine, "DIRS": [tmp_path, *engine["DIRS"]]}]):
        yield


@pytest.mark.usefixtures("_mail_with_names")
@pytest.mark.parametrize("name", INJECTIONS)
def test_a_name_is_text_wherever_it_is_shown(
    account: Account, mailbox: list[Any], name: str
) -> None:
    """REG-10: stored and answered as it was typed; in mail never evaluated, in HTML escaped."""
    client = account.log_in()
    names = {"first_name": name, "last_name": "plain"}
    assert client.patch("rest_user_details", names).body["first_name"] == name
    assert USERS.get(pk=account.user.pk).first_name == name
    new = {"new_password1": OTHER_PASSWORD, "new_password2": OTHER_PASSWORD}
    change = {"old_password": account.password, **new}
    assert client.post("rest_password_change", change).status == 200
    message = mailbox[-1]
    assert f"[{name}|plain]" in message.body
    ((html, kind),) = [(str(each[0]), each[1]) for each in message.alternatives]
    assert kind == "text/html"
    escaped = name.replace("<", "&lt;").replace(">", "&gt;").replace("'", "&#x27;")
    assert f"[{escaped}|plain]" in html
    assert "49" not in f"{message.body}{html}".replace(name, "")
    assert "<script>" not in html


@registration_is_open
@there_are_user_names
@pytest.mark.parametrize("name", INJECTIONS)
def test_a_user_name_is_never_code(api: Api, name: str) -> None:
    """REG-10: a user name cannot hold such signs at all."""
    refused = api.post("rest_register", registration(username=name))
    assert (refused.status, refused.code) == (400, "invalid_username")
    assert not USERS.exists()


# --- An address that was never proved -------------------------------------------------------


def taken_over_by_reset(api: Api, email: str, mailbox: list[Any]) -> Answer:
    api.post("rest_password_reset", {"email": email})
    new = {"new_password1": OTHER_PASSWORD, "new_password2": OTHER_PASSWORD}
    return api.post("rest_password_reset_confirm", {**link_secrets(mailbox[-1]), **new})


def test_the_owner_recovers_an_address_that_was_never_verified(
    api: Api, make_account: Callable[..., Account], mailbox: list[Any]
) -> None:
    """REG-11: the attacker's password and sessions die with the reset that only the owner can make."""
    attack = make_account(verified=False)
    sessions = [attack.log_in()] if policy.EMAIL_VERIFICATION != "mandatory" else []
    assert taken_over_by_reset(api, attack.user.email, mailbox).status == 200
    assert not any(each.is_alive for each in sessions)
    assert not any(each.send_refresh().status == 200 for each in sessions)
    assert api.post("rest_login", attack.credentials).status == 400
    Account(attack.user, OTHER_PASSWORD).log_in()
    assert EmailAddress.objects.get(user=attack.user).verified


@registration_is_open
@verification_is_mandatory
@pytest.mark.parametrize("why", ["verified", "unverified", "deactivated", "no address row"])
def test_a_registration_replaces_no_account(
    api: Api, make_account: Callable[..., Account], why: str, clock: Any
) -> None:
    """REG-11: not one that is verified, was never verified, was deactivated, or was made by staff."""
    account = make_account(verified=why == "verified")
    if why == "deactivated":
        USERS.filter(pk=account.user.pk).update(is_active=False)
    elif why == "no address row":
        EmailAddress.objects.all().delete()
    answer = api.post("rest_register", registration(email=account.user.email))
    assert (answer.status, answer.body["detail"]) == (201, UNVERIFIED)
    assert USERS.get().pk == account.user.pk


@registration_is_open
@pytest.mark.skipif(
    policy.EMAIL_VERIFICATION == "mandatory", reason="verification is mandatory by the policy"
)
def test_without_mandatory_verification_nobody_registers_over_an_account(
    api: Api, make_account: Callable[..., Account]
) -> None:
    """REG-11: it may be in use: 400; its address is recovered by a password reset instead."""
    account = make_account(verified=False)
    answer = api.post("rest_register", registration(email=account.user.email))
    assert (answer.status, answer.code) == (400, "email_taken")
    assert USERS.get().pk == account.user.pk


@pytest.mark.inside
@registration_is_open
def test_another_users_unproved_claim_to_an_address_blocks_nobody(
    api: Api, account: Account
) -> None:
    """REG-11: a row of an address that somebody merely claims is no obstacle to a registration."""
    body = registration()
    EmailAddress.objects.create(user=account.user, email=body["email"])
    assert api.post("rest_register", body).status == 201
    assert user_of(body["email"]) != account.user


@pytest.mark.inside
def test_the_admin_shows_names_as_text(make_account: Callable[..., Account]) -> None:
    """REG-10: nor is a name code in the admin."""
    if not django_settings.ADMIN_PATH:
        pytest.skip(reason="the admin is switched off")
    make_account(first_name="<script>alert(1)</script>")
    staff, browser = make_account(is_staff=True, is_superuser=True), Client()
    browser.force_login(staff.user)
    with override_settings(ADMIN_NETWORKS=[]):
        pages = [
            browser.get(f"/{django_settings.ADMIN_PATH}/users/user/{each.pk}/change/")
            for each in USERS.all()
        ]
    assert {page.status_code for page in pages} == {200}
    assert all(b"<script>alert(1)" not in page.content for page in pages)
