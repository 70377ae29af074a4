"""RST: recovery of a forgotten password. A mailed link, good once, and only for whoever reads the mail."""

import io
import json
import re
import string
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from allauth.account.models import EmailAddress
from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils.crypto import constant_time_compare

from auth_core import env, policy
from auth_core.accounts.models import PasswordResetNonce, new_nonce
from auth_core.accounts.recovery import token_generator
from auth_core.audit.models import AuditEvent
from auth_core.contract.marks import admin_is_here, real_transactions
from auth_core.contract.processes import gunicorn, request, run, send, status_of
from auth_core.contract.test_ref import outcome
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

THIRD_PASSWORD = "yet another five odd words"


@pytest.fixture
def asked(mailbox: list[Any]) -> Callable[[str], dict[str, str]]:
    """Ask for a link; return what it carries."""

    def ask(email: str) -> dict[str, str]:
        before = len(mailbox)
        assert Api().post("rest_password_reset", {"email": email}).status == 200
        assert len(mailbox) == before + 1
        return link_secrets(mailbox[-1])

    return ask


def confirm(link: dict[str, str], password: str = OTHER_PASSWORD, **changes: Any) -> Answer:
    new = {"new_password1": password, "new_password2": password}
    return Api().post("rest_password_reset_confirm", {**link, **new, **changes})


def is_refused(answer: Answer) -> bool:
    """The one answer for every bad link."""
    return (answer.status, answer.code, answer.body["token"]) == (
        400,
        "invalid_link",
        ["Invalid value"],
    )


def test_a_link_works_once(account: Account, asked: Any) -> None:
    """RST-01: the second use is refused, and changes nothing."""
    link = asked(account.user.email)
    assert confirm(link).status == 200
    assert is_refused(confirm(link, THIRD_PASSWORD))
    Account(account.user, OTHER_PASSWORD).log_in()


def test_a_link_is_used_up_also_by_the_same_password(account: Account, asked: Any) -> None:
    """RST-01: its end does not depend on the new hash alone."""
    link = asked(account.user.email)
    before = get_user_model().objects.filter(pk=account.user.pk).values("password", "last_login")
    state = before.get()
    assert confirm(link).status == 200
    get_user_model().objects.filter(pk=account.user.pk).update(**state)
    assert is_refused(confirm(link))


@pytest.mark.inside
@real_transactions
def test_of_racing_uses_one_wins(account: Account, asked: Any) -> None:
    """RST-02: eight uses of one link at once: one 200, seven refusals, the winner's password counts."""
    link = asked(account.user.email)
    passwords = [f"{OTHER_PASSWORD} number {number}" for number in range(8)]
    answers = at_once(*(partial(confirm, link, password) for password in passwords))
    assert sorted(answer.status for answer in answers) == [200] + [400] * 7
    assert all(is_refused(answer) for answer in answers if answer.status == 400)
    winner = next(
        password
        for password, answer in zip(passwords, answers, strict=True)
        if answer.status == 200
    )
    Account(account.user, winner).log_in()
    assert AuditEvent.objects.filter(event="authn_password_reset").count() == 1


@pytest.mark.inside
@real_transactions
def test_of_racing_uses_and_requests_at_most_one_wins(account: Account, mailbox: list[Any]) -> None:
    """RST-02: also while new links are made, and without a 5xx."""
    Api().post("rest_password_reset", {"email": account.user.email})
    link = link_secrets(mailbox[-1])
    ask = partial(Api().post, "rest_password_reset", {"email": account.user.email})
    answers = at_once(*(partial(confirm, link) for _ in range(4)), *(ask for _ in range(4)))
    assert all(answer.status < 500 for answer in answers)
    assert [answer.status for answer in answers[:4]].count(200) <= 1


def test_a_link_expires(account: Account, asked: Any, clock: Any) -> None:
    """RST-03: after PASSWORD_RESET_MINUTES, an hour at most (NIST SP 800-63B-4, 4.2.1.2: a day)."""
    assert policy.PASSWORD_RESET_MINUTES <= 60
    link = asked(account.user.email)
    clock.shift(policy.PASSWORD_RESET_MINUTES * 60 + 5)
    assert is_refused(confirm(link))
    link = asked(account.user.email)
    clock.shift(policy.PASSWORD_RESET_MINUTES * 60 - 30)
    assert confirm(link).status == 200


def by_a_new_request(account: Account, client: Api, asked: Any) -> None:
    asked(account.user.email)


def by_a_login(account: Account, client: Api, asked: Any) -> None:
    account.log_in()  # within the second of the last one: the time must count in full


def by_a_password_change(account: Account, client: Api, asked: Any) -> None:
    new = {"new_password1": THIRD_PASSWORD, "new_password2": THIRD_PASSWORD}
    assert client.post("rest_password_change", {"old_password": PASSWORD, **new}).status == 200


def by_an_email_change(account: Account, client: Api, asked: Any) -> None:
    account.user.email = "elsewhere@example.com"
    account.user.save(update_fields=["email"])


@pytest.mark.inside
@pytest.mark.parametrize(
    "event", [by_a_new_request, by_a_login, by_a_password_change, by_an_email_change]
)
def test_a_link_is_voided(account: Account, asked: Any, event: Any) -> None:
    """RST-04: a new request, a login, a change of password or address voids the older link."""
    client = account.log_in()
    link = asked(account.user.email)
    event(account, client, asked)
    assert is_refused(confirm(link))
    assert client.is_alive


def test_a_link_is_its_users(account: Account, other_account: Account, asked: Any) -> None:
    """RST-04: the token of one with the uid of another is refused, and spends neither."""
    mine, theirs = asked(account.user.email), asked(other_account.user.email)
    assert is_refused(confirm({"uid": theirs["uid"], "token": mine["token"]}))
    assert is_refused(confirm({"uid": mine["uid"], "token": theirs["token"]}))
    assert [confirm(mine).status, confirm(theirs).status] == [200, 200]


def test_every_bad_link_is_answered_alike(account: Account, asked: Any) -> None:
    """RST-04: a wrong uid, however malformed, tells no more than a wrong token."""
    link = asked(account.user.email)
    for uid in ("0" * 32, "x", "x" * 500, "-1", "\N{SNOWMAN}", link["uid"][:-1]):
        assert is_refused(confirm({**link, "uid": uid}))
    for token in ("x", "-", "a-b-c", "x" * 500, link["token"][:-1], f"{link['token']}0"):
        assert is_refused(confirm({**link, "token": token}))
    assert confirm(link).status == 200


def test_a_token_cannot_be_guessed(account: Account, asked: Any) -> None:
    """RST-05: an HMAC of 128 bits over a nonce of 128 bits; each sign of it counts."""
    link = asked(account.user.email)
    digest = link["token"].partition("-")[2]
    assert re.fullmatch(r"[0-9a-f]{32}", digest)  # 4 bits each
    assert len(new_nonce()) >= 22  # 6 bits each
    assert len({new_nonce() for _ in range(100)}) == 100
    for place in range(0, len(link["token"]), 7):
        token = link["token"]
        for sign in set(string.hexdigits.lower()) - {token[place]}:
            forged = token[:place] + sign + token[place + 1 :]
            user = get_user_model().objects.select_related("reset_nonce").get(pk=account.user.pk)
            assert not token_generator.check_token(user, forged)
    assert confirm(link).status == 200


def test_a_token_is_not_stored_and_compared_in_constant_time(account: Account, asked: Any) -> None:
    """RST-05: no table holds it or a part of it; comparing takes as long for any."""
    link = asked(account.user.email)
    stored = str([list(model._default_manager.values()) for model in apps.get_models()])
    assert PasswordResetNonce.objects.get(user=account.user).nonce in stored
    assert link["token"] not in stored
    assert link["token"].partition("-")[2] not in stored
    with patch(
        "django.contrib.auth.tokens.constant_time_compare", side_effect=constant_time_compare
    ) as compare:
        assert is_refused(confirm({**link, "token": link["token"][:-1] + "x"}))
    assert compare.called


def test_a_reset_logs_nobody_in(api: Api, account: Account, asked: Any) -> None:
    """RST-06: it gives no token, cookie or session: the next login passes every gate of a login.

    A second factor, where there is one, stands there; no way leads round it from here.
    """
    answer = confirm(asked(account.user.email))
    assert answer.body == {"detail": "Password has been reset with the new password."}
    assert not answer.cookies
    assert not AuthSession.objects.exists()
    new = Account(account.user, OTHER_PASSWORD)
    get_user_model().objects.filter(pk=account.user.pk).update(is_active=False)
    assert api.post("rest_login", new.credentials).code == "invalid_credentials"
    get_user_model().objects.filter(pk=account.user.pk).update(is_active=True)
    new.log_in()


def test_the_address_is_told(account: Account, asked: Any, mailbox: list[Any], clock: Any) -> None:
    """RST-07: a mail says when and from where, and holds neither token nor password.

    It goes to the address that the user has now, and to none that it only had.
    """
    for email, verified in (("former@example.com", True), ("claimed@example.com", False)):
        EmailAddress.objects.create(user=account.user, email=email, verified=verified)
    link = asked(account.user.email)
    mailbox.clear()
    new = {"new_password1": OTHER_PASSWORD, "new_password2": OTHER_PASSWORD}
    body = {**link, **new}
    assert Api().post("rest_password_reset_confirm", body, **{"User-Agent": "Lynx/2"}).status == 200
    assert [mail.to for mail in mailbox] == [[account.user.email]]
    for mail in mailbox:
        assert "password has been reset" in mail.body
        assert {"127.0.0.1", "Lynx/2"} <= set(mail.body.split())
        assert str(datetime.now(UTC).year) in mail.body
        for secret in (*link.values(), OTHER_PASSWORD):
            assert secret not in str(mail.message())


POISON = [
    {"Host": "evil.example"},
    {"X-Forwarded-Host": "evil.example"},
    {"X-Original-URL": "https://evil.example/"},
    {"X-Rewrite-URL": "https://evil.example/"},
    {"Forwarded": "host=evil.example"},
    {"Referer": "https://evil.example/"},
]


@pytest.mark.parametrize("headers", POISON, ids=lambda headers: next(iter(headers)))
@pytest.mark.parametrize("careless", [False, True])
def test_no_header_leads_a_link_astray(
    account: Account, mailbox: list[Any], settings: Any, headers: dict[str, str], careless: bool
) -> None:
    """RST-08: refused, or the link starts with FRONTEND_URL; also where every host is allowed."""
    if careless:
        settings.ALLOWED_HOSTS = ["*"]
        settings.USE_X_FORWARDED_HOST = True
    api = Api(delivery="header")
    # A page of the same origin, for whom cookies would ask a proof.
    proof = {} if policy.TOKEN_DELIVERY != "cookie" else {"X-CSRF-Token": api.fetch_csrf()}
    answer = api.post("rest_password_reset", {"email": account.user.email}, **headers, **proof)
    refused = "Host" in headers and not careless
    assert answer.status == (400 if refused else 200)
    assert len(mailbox) == (not refused)
    for mail in mailbox:
        assert "evil.example" not in str(mail.message())
        links = re.findall(r"https?://\S+", mail.body)
        assert links
        assert all(link.startswith(f"{settings.FRONTEND_URL}/") for link in links)


def test_links_are_https_in_production() -> None:
    """RST-08: a FRONTEND_URL without it stops the start."""
    with pytest.raises(env.Misconfigured):
        env.origin("FRONTEND_URL", "http://app.example.com", https=True)
    assert env.origin("FRONTEND_URL", "https://app.example.com", https=True)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """A server with one user, ada@example.com; yields its port and the folder of its mails."""
    (tmp_path / "mail").mkdir()
    variables = {
        "DJANGO_ENV": "dev",
        "DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3",
        "EMAIL_URL": f"file://{tmp_path}/mail",
        "FRONTEND_URL": "https://app.example.com",
        "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
    }
    assert run("manage.py", "migrate", **variables).returncode == 0
    names = ["--email", "ada@example.com"]
    names += [] if policy.LOGIN_WITH == "email" else ["--username", "ada"]
    made = run("manage.py", "createsuperuser", "--noinput", *names, **variables)
    assert made.returncode == 0, made.stderr
    with gunicorn(tmp_path, "\nworkers = 1\n", **variables) as port:
        yield port, tmp_path / "mail"


@pytest.mark.slow
@pytest.mark.inside
def test_no_request_line_leads_a_link_astray(served: tuple[int, Path]) -> None:
    """RST-08: a line with an absolute address, as a proxy is sent, on a real server."""
    port, folder = served
    body = json.dumps({"email": "ada@example.com"}).encode()
    headers = ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    if policy.TOKEN_DELIVERY == "cookie":
        answer = send(port, request("GET", reverse("csrf"), host=f"127.0.0.1:{port}"))
        token = json.loads(answer.rpartition(b"\r\n")[2])["csrf_token"]
        headers.append(f"X-CSRF-Token: {token}")
    line = f"http://evil.example{reverse('rest_password_reset')}"
    answer = send(port, request("POST", line, body, *headers, host=f"127.0.0.1:{port}"))
    assert status_of(answer) in (200, 400)
    mails = "\n".join(file.read_text() for file in folder.iterdir())
    assert bool(mails) == (status_of(answer) == 200)
    assert "evil.example" not in mails
    assert all(
        link.startswith("https://app.example.com/") for link in re.findall(r"https?://\S+", mails)
    )


INJECTIONS = [
    "\r\nBcc: evil@example.com",
    "\nBcc: evil@example.com",
    "\0",
    "%0aBcc:evil@example.com",
]


@pytest.mark.parametrize("injection", INJECTIONS, ids=repr)
def test_nothing_is_injected_into_a_mail(
    api: Api, account: Account, mailbox: list[Any], injection: str
) -> None:
    """RST-09: line breaks in address, user name and first name neither add a header nor a line."""
    client = account.log_in()
    client.patch("rest_user_details", {"first_name": f"Ada{injection}"})
    bodies = [
        ("rest_password_reset", {"email": f"{account.user.email}{injection}"}),
        ("rest_password_reset", {"email": f"ada{injection}@example.com"}),
        ("rest_resend_email", {"email": f"{account.user.email}{injection}"}),
    ]
    if policy.REGISTRATION == "open":
        bodies += [("rest_register", registration(email=f"ada{injection}@example.com"))]
        if policy.LOGIN_WITH != "email":
            bodies += [("rest_register", registration(username=f"ada{injection}"))]
    for name, body in bodies:
        # A per cent sign is a character of an address like any other.
        assert api.post(name, body).status in ((200, 201, 400) if "%" in injection else (400,))
    changed = client.post("email_change", {"email": f"new{injection}@example.com"})
    assert changed.status in ((200, 400) if "%" in injection else (400,))
    assert api.post("rest_password_reset", {"email": account.user.email}).status == 200
    for mail in mailbox:
        message = mail.message()
        assert message["Bcc"] is None
        assert len(message["To"].split(",")) == 1
        assert not re.search(r"^Bcc:", str(message), re.MULTILINE)


LOOK_ALIKES = [
    ("mike@example.org", "m\u0131ke@example.org"),  # dotless i, upper case I (CVE-2019-19844)
    ("mike@example.org", "mi\u212ae@example.org"),  # Kelvin sign, lower case k
    ("mike@example.org", "\uff4dike@example.org"),  # full width
    ("mike@example.org", "MIKE@EXAMPLE.ORG"),
    ("mike@example.org", "mike@ex\u0430mple.org"),  # Cyrillic a
    ("mike@example.org", "mike@\uff45xample.org"),
    ("mike@example.org", "mike@example\u3002org"),  # ideographic full stop
    ("mike@strasse.example", "mike@stra\u00dfe.example"),
    ("mike@xn--exmple-4nf.org", "mike@ex\u0430mple.org"),
]


@pytest.mark.parametrize(("stored", "typed"), LOOK_ALIKES)
def test_a_look_alike_gets_no_mail(
    api: Api, make_account: Any, mailbox: list[Any], stored: str, typed: str
) -> None:
    """RST-10: whatever is typed, a mail goes to the stored address or to nobody."""
    make_account(email=stored)
    assert api.post("rest_password_reset", {"email": typed}).status in (200, 400)
    assert {to for mail in mailbox for to in mail.to} <= {stored}
    assert all(mail.message()["To"] == stored for mail in mailbox)


def test_a_link_hides_its_token_from_servers(
    account: Account, asked: Any, mailbox: list[Any]
) -> None:
    """RST-11: the token is in the fragment, taken from the body alone, and no page sends a referrer."""
    link = asked(account.user.email)
    address = re.search(r"https?://\S+", mailbox[-1].body)
    assert address
    before, _, fragment = address.group().partition("#")
    assert all(secret not in before for secret in link.values())
    assert all(secret in fragment for secret in link.values())
    where = reverse("rest_password_reset_confirm")
    query = f"?uid={link['uid']}&token={link['token']}"
    new = {"new_password1": OTHER_PASSWORD, "new_password2": OTHER_PASSWORD}
    assert Api().get(where + query).status == 405
    assert Api().post(where + query, new).status == 400
    assert confirm(link).headers["Referrer-Policy"] == "no-referrer"


@pytest.fixture
def admin(db: Any, settings: Any) -> Client:
    """A browser that an administrator is logged in to the admin with."""
    settings.ADMIN_NETWORKS = []
    browser = Client()
    browser.force_login(
        get_user_model().objects.create_superuser(username="root", email="root@example.com")
    )
    return browser


@admin_is_here
@pytest.mark.inside
def test_an_administrator_has_a_link_mailed(
    admin: Client,
    account: Account,
    make_account: Any,
    mailbox: list[Any],
    django_capture_on_commit_callbacks: Any,
) -> None:
    """RST-12: to the users chosen, who alone see it; on the audit trail with the user's id."""
    client, inactive = account.log_in(), make_account(is_active=False)
    page = reverse("admin:users_user_changelist")
    chosen = [account.user.pk, inactive.user.pk]
    with django_capture_on_commit_callbacks(execute=True):
        answer = admin.post(
            page, {"action": "send_password_reset", "_selected_action": chosen}, follow=True
        )
    assert b"1 links are on their way" in answer.content
    assert [mail.to for mail in mailbox] == [[account.user.email]]
    link = link_secrets(mailbox[0])
    assert link["token"] not in answer.content.decode()
    event = AuditEvent.objects.get(event="authn_password_reset_requested")
    assert event.user_id == account.user.pk
    assert client.is_alive
    assert confirm(link).status == 200


@admin_is_here
@pytest.mark.inside
def test_an_administrator_neither_sees_nor_sets_a_password(admin: Client, account: Account) -> None:
    """RST-12: of a user who has an address; no page shows the hash."""
    row = get_user_model().objects.get(pk=account.user.pk)
    page = reverse("admin:auth_user_password_change", args=[row.pk])
    new = {"password1": OTHER_PASSWORD, "password2": OTHER_PASSWORD, "usable_password": "true"}
    assert OTHER_PASSWORD not in str(admin.get(page, follow=True).content)
    answer = admin.post(page, new, follow=True)
    assert b"Mail a link instead" in answer.content
    row.refresh_from_db()
    assert row.check_password(PASSWORD)
    change = reverse("admin:users_user_change", args=[row.pk])
    digest = row.password.rpartition("$")[2]
    assert digest not in admin.get(change).content.decode()


@pytest.mark.parametrize("typed", ["stored", "upper"])
def test_a_reset_verifies_the_address(api: Api, make_account: Any, asked: Any, typed: str) -> None:
    """RST-13: whoever followed the link read the mail, so the address counts as verified, at any policy."""
    account = make_account(verified=False)
    if policy.EMAIL_VERIFICATION == "mandatory":
        assert api.post("rest_login", account.credentials).code == "email_not_verified"
    EmailAddress.objects.create(user=account.user, email="stale@example.com")
    link = asked(account.user.email if typed == "stored" else account.user.email.upper())
    assert confirm(link).status == 200
    address = EmailAddress.objects.get(user=account.user)
    assert (address.email, address.verified, address.primary) == (account.user.email, True, True)
    Account(account.user, OTHER_PASSWORD).log_in()


def test_a_reset_copes_with_a_stale_primary_address(account: Account, asked: Any) -> None:
    """RST-13: as after an administrator's change of the address."""
    get_user_model().objects.filter(pk=account.user.pk).update(email="moved@example.com")
    assert confirm(asked("moved@example.com")).status == 200
    primary = EmailAddress.objects.get(user=account.user, primary=True)
    assert (primary.email, primary.verified) == ("moved@example.com", True)


@pytest.mark.parametrize("when", ["before", "between"])
def test_a_deactivated_account_stays_so(
    api: Api, account: Account, asked: Any, mailbox: list[Any], when: str
) -> None:
    """RST-13: no mail, or a link that is refused like any bad one; nothing is verified or changed."""
    row = get_user_model().objects.filter(pk=account.user.pk)
    EmailAddress.objects.update(verified=False)
    if when == "before":
        row.update(is_active=False)
        assert api.post("rest_password_reset", {"email": account.user.email}).status == 200
        assert not mailbox
    else:
        link = asked(account.user.email)
        row.update(is_active=False)
        assert is_refused(confirm(link))
    assert row.get().check_password(PASSWORD)
    assert not EmailAddress.objects.filter(verified=True).exists()
    assert not row.get().is_active


def test_a_new_password_is_judged_as_at_registration(account: Account, asked: Any) -> None:
    """RST-14: by the same rules and words, similarity to the user included; a refusal spends no link."""
    link = asked(account.user.email)
    for make, code in (
        (lambda email: "short", "password_too_short"),
        (lambda email: "password", "password_too_common"),
        (lambda email: email, "password_too_similar"),
    ):
        refused = confirm(link, make(account.user.email))
        assert (refused.status, code in refused.body["codes"]["new_password2"]) == (400, True)
        if policy.REGISTRATION == "open":
            body = registration()
            body["password1"] = body["password2"] = make(body["email"])
            told = Api().post("rest_register", body)
            assert told.body["codes"]["password1"] == refused.body["codes"]["new_password2"]
    mismatch = confirm(link, new_password2="something else altogether")
    assert mismatch.code == "password_mismatch"
    assert confirm(link).status == 200


# --- Passwords that somebody else may know ------------------------------------------------


def test_a_command_voids_a_password(
    account: Account,
    other_account: Account,
    mailbox: list[Any],
    django_capture_on_commit_callbacks: Any,
) -> None:
    """REV-12: by name, address or id; nothing but the mailed link opens the account again."""
    session, other = account.log_in(), other_account.log_in()
    with django_capture_on_commit_callbacks(execute=True):
        call_command("resetpasswords", user=str(account.user.pk), stdout=io.StringIO())
    assert not session.is_alive
    assert other.is_alive
    refused = Api().post("rest_login", account.credentials)
    assert outcome(refused) == (400, "invalid_credentials")
    (mail,) = mailbox
    assert mail.to == [account.user.email]
    assert confirm(link_secrets(mail)).status == 200
    Account(account.user, OTHER_PASSWORD).log_in()
    event = AuditEvent.objects.filter(event="authn_password_reset_requested").first()
    assert event
    assert (event.user_id, event.detail) == (account.user.pk, {"reason": "admin"})


def test_a_command_voids_every_password(
    account: Account,
    other_account: Account,
    mailbox: list[Any],
    django_capture_on_commit_callbacks: Any,
) -> None:
    """REV-12: of who can be mailed; whoever cannot is named, and a second run finds nothing to do."""
    lone = get_user_model().objects.create_user(username="lone", password=PASSWORD)
    get_user_model().objects.create_user("sleeping", "z@example.com", PASSWORD, is_active=False)
    for count in (2, 0):
        output, errors = io.StringIO(), io.StringIO()
        with django_capture_on_commit_callbacks(execute=True):
            call_command("resetpasswords", all=True, stdout=output, stderr=errors)
        assert output.getvalue().startswith(f"{count} passwords voided")
        assert str(lone) in errors.getvalue()
    lone.refresh_from_db()
    assert lone.check_password(PASSWORD)
    expected = sorted(it.user.email for it in (account, other_account))
    assert sorted(to for mail in mailbox for to in mail.to) == expected


@pytest.mark.inside
def test_the_command_refuses_an_unknown_user(account: Account) -> None:
    """REV-12: and voids nothing."""
    for options in ({"user": "nobody"}, {}):
        with pytest.raises(CommandError):
            call_command("resetpasswords", **options)
    account.log_in()
