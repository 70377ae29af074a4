"""ADM: the admin is a door like the API's, for browsers, with the same list of sessions."""

import io
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.conf import settings as django_settings
from django.contrib.admin import site
from django.contrib.auth import SESSION_KEY, get_user_model
from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.auth.models import Group, Permission
from django.contrib.sessions.models import Session
from django.core import mail
from django.core.management import call_command
from django.db import connection
from django.http import HttpRequest
from django.test import Client, RequestFactory, TestCase
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from rest_framework.exceptions import PermissionDenied

from auth_core import env, policy
from auth_core.accounts import addresses, registrations
from auth_core.accounts.models import EmailChange
from auth_core.accounts.signals import account_recovered
from auth_core.audit.models import AuditEvent
from auth_core.contract.marks import (
    admin_is_here,
    real_transactions,
    registration_is_open,
)
from auth_core.contract.processes import PRODUCTION, run
from auth_core.sessions.apps import ASKS_DJANGO, ASKS_THE_LIST, refuse_unchecked_sessions
from auth_core.sessions.models import DJANGO, AuthSession
from auth_core.sessions.tokens import AccessToken, RefreshToken
from auth_core.testing import (
    DELIVERIES,
    OTHER_PASSWORD,
    PASSWORD,
    Account,
    Api,
    at_once,
    link_secrets,
    registration,
)

pytestmark = [pytest.mark.django_db, pytest.mark.inside, admin_is_here]

NEW = "new@example.com"
NEW_PASSWORD = {"new_password1": OTHER_PASSWORD, "new_password2": OTHER_PASSWORD}
AGENT = {"User-Agent": "a browser"}


def name_of(account: Account) -> str:
    name: str = account.user.get_username()
    return name


def post(browser: Client, page: str, form: dict[str, Any], **extra: Any) -> Any:
    """Post a form, and run what waits for the commit that a test's transaction never comes to."""
    with TestCase.captureOnCommitCallbacks(execute=True):
        return browser.post(page, form, **extra)


def try_login(account: Account, *, browser: Client | None = None, **extra: Any) -> Client:
    browser = browser or Client(headers=AGENT)
    form = {"username": name_of(account), "password": account.password}
    post(browser, reverse("admin:login"), form, **extra)
    return browser


def is_in(browser: Client) -> bool:
    return bool(browser.get(reverse("admin:index")).status_code == 200)


def change_page(account: Account) -> str:
    return reverse("admin:users_user_change", args=[account.user.pk])


def form_of(browser: Client, page: str) -> dict[str, Any]:
    """What the form of a page sends when nothing was typed."""
    form = browser.get(page).context["adminform"].form
    initial = {name: form.get_initial_for_field(it, name) for name, it in form.fields.items()}
    sent: dict[str, Any] = {}
    for name, value in initial.items():
        if name == "password" or value is None:
            continue
        if form.fields[name].show_hidden_initial:
            sent[f"initial-{name}"] = value
        if value is False:
            continue
        if hasattr(value, "strftime"):
            sent |= {f"{name}_0": f"{value:%Y-%m-%d}", f"{name}_1": f"{value:%H:%M:%S}"}
        else:
            sent[name] = [getattr(it, "pk", it) for it in value] if name in RELATED else value
    return sent


RELATED = ("groups", "user_permissions")


@pytest.fixture
def root(make_account: Callable[..., Account]) -> Account:
    return make_account(is_staff=True, is_superuser=True)


@pytest.fixture
def admin(root: Account) -> Client:
    return try_login(root)


@pytest.fixture
def staff(make_account: Callable[..., Account]) -> Callable[..., Client]:
    """A browser of somebody with some permissions and no more."""

    def log_in(*codenames: str) -> Client:
        account = make_account(is_staff=True)
        account.user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        return try_login(account)

    return log_in


# --- A browser ------------------------------------------------------------------------------


def test_a_form_says_where_it_comes_from(root: Account) -> None:
    """ADM-05: no page of the admin keeps its origin to itself; others still do."""
    for page in (reverse("admin:login"), reverse("admin:index"), reverse("admin:index") + "gone"):
        assert Client().get(page)["Referrer-Policy"] == "same-origin"
    assert Api().get("health_live").headers["Referrer-Policy"] == "no-referrer"
    browser = Client(enforce_csrf_checks=True)
    assert browser.get(reverse("admin:login")).status_code == 200
    form = {
        "username": name_of(root),
        "password": PASSWORD,
        "csrfmiddlewaretoken": browser.cookies[django_settings.CSRF_COOKIE_NAME].value,
    }
    refused = browser.post(reverse("admin:login"), form, headers={"Origin": "null"})
    assert (refused.status_code, refused["Content-Type"]) == (403, "text/html; charset=utf-8")
    assert reverse("admin:index") in refused.content.decode()
    done = browser.post(reverse("admin:login"), form, headers={"Origin": "http://testserver"})
    assert done.status_code == 302


# --- One list of sessions -------------------------------------------------------------------


def test_a_login_to_the_admin_is_a_session_of_the_list(root: Account) -> None:
    """REV-22: listed with where it comes from, and ended there, or by logging out of the admin."""
    client = root.log_in()
    browser, other = try_login(root), try_login(root)
    assert is_in(browser)
    listed = [it for it in client.get("session_list").body if it["user_agent"] == "a browser"]
    assert len(listed) == 2
    for each in listed:
        assert client.delete(reverse("session", args=[each["id"]])).status == 204
    assert not is_in(browser)
    assert not is_in(other)
    browser = try_login(root)
    post(browser, reverse("admin:logout"), {})
    [alone] = client.get("session_list").body
    assert alone["current"]
    event = AuditEvent.objects.filter(event="authn_token_revoked").order_by("time").last()
    assert event is not None
    assert (event.detail["reason"], event.detail["to"]) == ("logout", "admin")
    assert event.session_id


def by_logout_all(account: Account, admin: Client) -> None:
    assert account.log_in().post("logout_all").status == 200


def by_ending_the_others(account: Account, admin: Client) -> None:
    assert account.log_in().delete("session_list").status == 204


def by_command(account: Account, admin: Client) -> None:
    call_command("endsessions", user=account.user.email, stdout=io.StringIO())


def by_command_for_all(account: Account, admin: Client) -> None:
    call_command("endsessions", all=True, stdout=io.StringIO())


def by_voiding_the_password(account: Account, admin: Client) -> None:
    call_command("resetpasswords", user=account.user.email, stdout=io.StringIO())


def by_a_new_password(account: Account, admin: Client) -> None:
    body = {"old_password": PASSWORD, **NEW_PASSWORD}
    assert account.log_in().post("rest_password_change", body).status == 200


def by_a_reset(account: Account, admin: Client) -> None:
    Api().post("rest_password_reset", {"email": account.user.email})
    body = {**link_secrets(mail.outbox[-1]), **NEW_PASSWORD}
    assert Api().post("rest_password_reset_confirm", body).status == 200


def by_a_changed_address(account: Account, admin: Client) -> dict[str, str]:
    assert account.log_in().post("email_change", {"email": NEW}).status == 200
    confirmed = Api().post("email_change_confirm", link_secrets(mail.outbox[-1]))
    assert confirmed.status == 200
    return link_secrets(mail.outbox[-1])


def by_an_undo(account: Account, admin: Client) -> None:
    key = by_a_changed_address(account, admin)
    try_login(account)
    assert Api().post("email_change_undo", key).status == 200


def by_an_operator(account: Account, admin: Client) -> None:
    form = {**form_of(admin, change_page(account)), "email": NEW}
    assert post(admin, change_page(account), form).status_code == 302


def by_deactivation(account: Account, admin: Client) -> None:
    get_user_model().objects.filter(pk=account.user.pk).update(is_active=False)
    get_user_model().objects.filter(pk=account.user.pk).update(is_active=True)


def by_sql(account: Account, admin: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE users_user SET password = 'x'")


ENDS = [
    by_logout_all,
    by_ending_the_others,
    by_command,
    by_command_for_all,
    by_voiding_the_password,
    by_a_new_password,
    by_a_reset,
    by_a_changed_address,
    by_an_undo,
    by_an_operator,
    by_deactivation,
    by_sql,
]


@pytest.mark.parametrize("end", ENDS)
def test_what_ends_sessions_ends_those_of_the_admin(
    end: Callable[..., Any], account: Account, admin: Client
) -> None:
    """REV-22: at the next request."""
    get_user_model().objects.filter(pk=account.user.pk).update(is_staff=True)
    browser = try_login(account)
    assert is_in(browser)
    end(account, admin)
    assert not is_in(browser)
    assert not Session.objects.filter(pk=browser.session.session_key).exists()


def test_a_copy_of_a_cookie_does_not_live_again(root: Account) -> None:
    """REV-22: nor does a cookie of a version before this list, when its user logs in with it."""
    name = django_settings.SESSION_COOKIE_NAME
    for forgets in (False, True):
        browser, thief = try_login(root), Client()
        thief.cookies[name] = browser.cookies[name].value
        assert is_in(thief)
        if forgets:
            session = browser.session
            del session["_auth_session_id"]
            session.save()
        AuthSession.objects.all().delete()
        try_login(root, browser=browser)
        assert is_in(browser)
        assert not is_in(thief)
        # Who logs in again while the session lives has one session, and the copy of its cookie is dead.
        thief.cookies[name] = browser.cookies[name].value
        try_login(root, browser=browser)
        assert is_in(browser)
        assert not is_in(thief)
        assert AuthSession.objects.live().count() == 1
        AuthSession.objects.all().delete()


def test_a_page_of_the_team_begins_such_a_session(account: Account) -> None:
    """REV-22: any login by Django's, as `force_login` of a test does it."""
    browser = Client()
    browser.force_login(account.user)
    session = AuthSession.objects.get()
    assert (session.delivery, session.amr) == (DJANGO, ["pwd"])
    assert browser.session[SESSION_KEY] == str(account.user.pk)
    assert AuditEvent.objects.get().detail == {"to": "django"}


def test_a_deactivated_user_begins_none(account: Account) -> None:
    """REV-22: not one either that would live once the account is activated again."""
    users = get_user_model().objects.filter(pk=account.user.pk)
    users.update(is_active=False)
    browser = Client()
    browser.force_login(users.get())
    users.update(is_active=True, is_staff=True)
    assert not is_in(browser)


def test_no_token_is_of_such_a_session(root: Account) -> None:
    """REV-16: not even one that was signed for it."""
    try_login(root)
    session = AuthSession.objects.get()
    for delivery in DELIVERIES[policy.TOKEN_DELIVERY]:
        token = str(AccessToken.for_session(session))
        client = Api(token, str(RefreshToken.for_session(session)), csrf="x", delivery=delivery)
        assert client.get("rest_user_details").status == 401
        assert client.send_refresh().status in (401, 403)


def test_the_newest_sessions_stay_whichever_way_they_began(root: Account) -> None:
    """REV-07: a login to the admin counts among MAX_SESSIONS_PER_USER."""
    first = try_login(root)
    for _ in range(policy.MAX_SESSIONS_PER_USER):
        assert try_login(root)
    assert not is_in(first)
    assert AuthSession.objects.live().count() == policy.MAX_SESSIONS_PER_USER


def test_the_list_costs_no_query_of_its_own(root: Account) -> None:
    """REV-17: Django's session is one query, ours and its user are one; without a cookie there is none."""
    browser = try_login(root)
    with CaptureQueriesContext(connection) as captured:
        assert browser.get(reverse("admin:login")).status_code == 302
    assert len(captured) == 2
    client = root.log_in()
    with CaptureQueriesContext(connection) as captured:
        assert client.get("rest_user_details").status == 200
    assert len(captured) == 1


def test_it_lasts_for_hours(root: Account, clock: Any) -> None:
    """ADM-03: used, for hours; unused, for one; not longer with a cookie that is kept."""
    assert django_settings.SESSION_COOKIE_AGE <= 24 * 3600
    assert django_settings.SESSION_IDLE_SECONDS <= 3600
    idle = try_login(root)
    clock.shift(django_settings.SESSION_IDLE_SECONDS + 1)
    assert not is_in(idle)
    browser, begun = try_login(root), 0
    step = django_settings.SESSION_IDLE_SECONDS - 60
    while begun + step < django_settings.SESSION_COOKIE_AGE:
        clock.shift(step)
        begun += step
        assert is_in(browser)
    clock.shift(step)
    assert not is_in(browser)


def test_the_cookies_of_production() -> None:
    """ADM-03: of this host alone, for no script, sent along from no other site's form."""
    code = (
        "import django; django.setup(); from django.test import Client\n"
        "browser = Client(headers={'host': 'api.example.com'})\n"
        "browser.get('/' + django.conf.settings.ADMIN_PATH + '/login/', secure=True)\n"
        "print(browser.cookies.output())\n"
        "from django.conf import settings as s\n"
        "print(s.SESSION_COOKIE_NAME, s.SESSION_COOKIE_PATH, s.SESSION_COOKIE_DOMAIN,"
        " s.SESSION_COOKIE_SECURE, s.SESSION_COOKIE_HTTPONLY, s.SESSION_COOKIE_SAMESITE)"
    )
    done = run("-c", code, DJANGO_SETTINGS_MODULE="config.settings", **PRODUCTION)
    cookie, session = done.stdout.splitlines()[-2:]
    prefix = f"__Host-{policy.PROJECT_SLUG}"
    assert re.match(rf"Set-Cookie: {prefix}-csrftoken=\w", cookie), done.stderr
    parts = {part.partition("=")[0].strip() for part in cookie.split(";")[1:]}
    assert {"HttpOnly", "Path", "SameSite", "Secure"} <= parts
    assert "Domain" not in parts
    assert session == f"{prefix}-sessionid / None True True Lax"
    # Over plain http there is no prefix; two projects at two ports have one jar of cookies all the same.
    name = django_settings.SESSION_COOKIE_NAME
    assert django_settings.PRODUCTION or name == f"{policy.PROJECT_SLUG}-sessionid"


def test_a_middleware_that_believes_dead_sessions_is_refused(settings: Any) -> None:
    """REV-22: a list of the team's own that lacks ours, or has it first, keeps the project from starting."""
    refuse_unchecked_sessions()
    settings.MIDDLEWARE = [ASKS_THE_LIST, ASKS_DJANGO]
    with pytest.raises(env.Misconfigured, match="MIDDLEWARE"):
        refuse_unchecked_sessions()
    settings.MIDDLEWARE = [ASKS_DJANGO]
    with pytest.raises(env.Misconfigured, match="MIDDLEWARE"):
        refuse_unchecked_sessions()
    settings.MIDDLEWARE = []
    refuse_unchecked_sessions()


# --- A login --------------------------------------------------------------------------------


def test_a_login_from_a_new_place_is_mailed(root: Account, mailbox: list[Any]) -> None:
    """ADM-02: as one to the API is, also where the sessions before were of the API, or the other way round."""
    root.log_in()
    try_login(root, headers={"User-Agent": "one"}, REMOTE_ADDR="203.0.113.9")
    [told] = mailbox
    assert told.to == [root.user.email]
    assert "203.0.113.9" in told.body
    event = AuditEvent.objects.get(detail__new_device="yes")
    assert (event.event, event.detail["to"]) == ("authn_login_success", "admin")
    root.log_in(**{"User-Agent": "one"}, REMOTE_ADDR="203.0.113.9")
    assert len(mailbox) == 1


def test_a_login_after_wrong_passwords_is_mailed(root: Account, mailbox: list[Any]) -> None:
    """ADM-02: as one to the API is."""
    wrong = Account(root.user, "wrong")
    for _ in range(django_settings.LOGIN_FAILURES_NOTICED):
        try_login(wrong)
    assert is_in(try_login(root))
    [told] = mailbox
    assert f"{django_settings.LOGIN_FAILURES_NOTICED} wrong passwords" in told.body
    assert AuditEvent.objects.filter(event="authn_login_successafterfail").count() == 1


def not_today(session: AuthSession, request: HttpRequest) -> None:
    raise PermissionDenied("Not today.", code="not_today")


def test_a_gate_of_the_team_is_asked(root: Account, settings: Any) -> None:
    """ADM-02: who is refused gets no session, sees why, and is on the trail."""
    settings.SESSION_GATES = [*settings.SESSION_GATES, f"{__name__}.not_today"]
    browser = Client()
    form = {"username": name_of(root), "password": PASSWORD}
    answer = browser.post(reverse("admin:login"), form)
    assert answer.status_code == 200
    assert "Not today." in answer.content.decode()
    assert 'name="password"' in answer.content.decode()
    assert not is_in(browser)
    assert not AuthSession.objects.exists()
    assert not Session.objects.exists()
    event = AuditEvent.objects.get()
    assert (event.event, event.detail["reason"]) == ("authn_login_fail", "not_today")


def test_the_form_tells_nobody_from_somebody(
    make_account: Callable[..., Account], monkeypatch: pytest.MonkeyPatch
) -> None:
    """ENU-15: unknown, wrong password, no staff, deactivated: the same words, queries and hashes."""
    hashes: list[str] = []

    def encode(self: Any, password: str, salt: str) -> str:
        hashes.append(salt)
        return hash_of(self, password, salt)

    hash_of = MD5PasswordHasher.encode
    monkeypatch.setattr(MD5PasswordHasher, "encode", encode)
    accounts = [make_account(is_staff=True), make_account(is_staff=True), make_account()]
    inactive = make_account(is_staff=True)
    get_user_model().objects.filter(pk=inactive.user.pk).update(is_active=False)
    tries = [
        ("nobody@example.com" if policy.LOGIN_WITH == "email" else "nobody", PASSWORD),
        *((name_of(it), "wrong") for it in accounts),
        (name_of(inactive), PASSWORD),
        (name_of(inactive), "wrong"),
    ]
    seen = set()
    for name, password in tries:
        hashes.clear()
        with CaptureQueriesContext(connection) as captured:
            answer = Client().post(reverse("admin:login"), {"username": name, "password": password})
        shown = re.sub(r'csrfmiddlewaretoken" value="\w+"', "", answer.content.decode())
        seen.add((answer.status_code, shown.replace(name, ""), len(captured), len(hashes)))
    assert len(seen) == 1, [it[2:] for it in seen]
    # Nor the right password of somebody who is no staff.
    right = {"username": name_of(accounts[2]), "password": PASSWORD}
    answer = Client().post(reverse("admin:login"), right)
    shown = re.sub(r'csrfmiddlewaretoken" value="\w+"', "", answer.content.decode())
    assert shown.replace(name_of(accounts[2]), "") in {it[1] for it in seen}


# --- Passwords ------------------------------------------------------------------------------


def test_the_admin_has_no_page_for_the_own_password(root: Account, admin: Client) -> None:
    """ADM-01: the frontend has one; here a password can neither be guessed at nor changed."""
    page = reverse("admin:password_change")
    form = {"old_password": PASSWORD, **NEW_PASSWORD}
    for answer in (admin.get(page), post(admin, page, form)):
        assert answer.status_code == 302
        assert answer["Location"].startswith(django_settings.FRONTEND_URL)
    assert admin.get(reverse("admin:password_change_done")).status_code == 404
    root.user.refresh_from_db()
    assert root.user.check_password(PASSWORD)
    assert page in admin.get(reverse("admin:index")).content.decode()


def test_a_password_that_an_operator_sets_ends_all(
    make_account: Callable[..., Account], admin: Client
) -> None:
    """ADM-01: of a user without an address; that is a recovery, and ends what one ends."""
    account = make_account(email=None, username="ada")
    browser = Client()
    browser.force_login(account.user)
    session = AuthSession.objects.get(user=account.user)
    recovered = []
    account_recovered.connect(receiver := lambda user, **_: recovered.append(user))
    page = reverse("admin:auth_user_password_change", args=[account.user.pk])
    form = {"password1": OTHER_PASSWORD, "password2": OTHER_PASSWORD, "usable_password": "true"}
    assert post(admin, page, {**form, "password2": "other"}).status_code == 200
    assert not recovered
    assert post(admin, page, form).status_code == 302
    assert recovered == [account.user]
    account_recovered.disconnect(receiver)
    session.refresh_from_db()
    assert session.revoked_reason == "password"
    assert AuditEvent.objects.filter(event="authn_token_revoked", user_id=account.user.pk).exists()


# --- Rights ---------------------------------------------------------------------------------

CHANGES: list[dict[str, Any]] = [
    {"email": "mine@example.com"},
    {"username": "mine"},
    {"is_superuser": "on"},
    {"is_staff": "on"},
    {"is_active": ""},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_staff_is_a_superuser_s_business(
    change: dict[str, str], make_account: Any, root: Account, staff: Callable[..., Client]
) -> None:
    """ADM-04: who may change and delete users changes and deletes none of staff, in no field."""
    colleague = make_account(is_staff=True)
    browser = staff("view_user", "change_user", "delete_user", "add_user")
    users = get_user_model().objects
    for account in (root, colleague):
        before = users.filter(pk=account.user.pk).values().get()
        form = {"username": account.user.username or "", "email": account.user.email}
        assert post(browser, change_page(account), {**form, **change}).status_code == 403
        password = reverse("admin:auth_user_password_change", args=[account.user.pk])
        users.filter(pk=account.user.pk).update(email=None)
        new = {"password1": OTHER_PASSWORD, "password2": OTHER_PASSWORD}
        assert post(browser, password, new).status_code == 403
        users.filter(pk=account.user.pk).update(email=account.user.email)
        delete = reverse("admin:users_user_delete", args=[account.user.pk])
        assert post(browser, delete, {"post": "yes"}).status_code == 403
        chosen = {"action": "delete_selected", "_selected_action": [account.user.pk], "post": "yes"}
        post(browser, reverse("admin:users_user_changelist"), chosen)
        assert users.filter(pk=account.user.pk).values().get() == before


def test_a_list_that_is_edited_is_no_way_round(
    root: Account, account: Account, staff: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """ADM-04: where a team shows fields of users to be edited in their list, which asks for no row."""
    users = site.get_model_admin(get_user_model())
    monkeypatch.setattr(users, "list_editable", ("is_active",))
    browser = staff("view_user", "change_user")
    for each, stays in ((root, True), (account, False)):
        form = {"form-TOTAL_FORMS": 1, "form-INITIAL_FORMS": 1, "form-0-id": each.user.pk}
        form["initial-form-0-is_active"] = "True"
        page = f"{reverse('admin:users_user_changelist')}?q={each.user.email}"
        # Django 6.1 leaves out what may not be changed, and saves the rest.
        assert post(browser, page, {**form, "_save": "Save"}).status_code in {302, 403}
        each.user.refresh_from_db()
        assert each.user.is_active is stays


def test_nobody_but_a_superuser_gives_rights(
    account: Account, staff: Callable[..., Client], admin: Client
) -> None:
    """ADM-04: neither to others, nor to themselves, nor by a group; a superuser does."""
    group = Group.objects.create(name="all")
    right = Permission.objects.get(codename="delete_user")
    browser = staff("view_user", "change_user", "view_group", "change_group", "add_group")
    rights: dict[str, Any] = {"is_staff": "on", "is_superuser": "on", "groups": [group.pk]}
    rights["user_permissions"] = [right.pk]
    for by, given in ((browser, False), (admin, True)):
        form = {**form_of(by, change_page(account)), "first_name": "Ada", **rights}
        assert post(by, change_page(account), form).status_code == 302
        account.user.refresh_from_db()
        assert account.user.first_name == "Ada"
        assert (account.user.is_staff, account.user.is_superuser) == (given, given)
        assert list(account.user.groups.all()) == ([group] if given else [])
        assert list(account.user.user_permissions.all()) == ([right] if given else [])
    page = reverse("admin:auth_group_change", args=[group.pk])
    form = {"name": "all", "permissions": [right.pk]}
    assert post(browser, page, form).status_code == 403
    assert post(browser, reverse("admin:auth_group_add"), {"name": "x"}).status_code == 403
    assert not group.permissions.exists()
    assert post(admin, page, form).status_code == 302
    assert group.permissions.exists()


def test_what_staff_owns_is_a_superuser_s_business(
    root: Account, staff: Callable[..., Client]
) -> None:
    """ADM-04: nobody else deletes a row of a superuser; and nobody verifies an address by hand."""
    browser = staff("delete_authsession", "delete_emailaddress", "change_emailaddress")
    root.log_in()
    rows = AuthSession.objects.get(user=root.user), EmailAddress.objects.get(user=root.user)
    for row in rows:
        page = f"admin:{row._meta.app_label}_{row._meta.model_name}"
        assert browser.post(reverse(f"{page}_delete", args=[row.pk])).status_code == 403
    form = {"email": "x@example.com", "verified": "on", "user": root.user.pk}
    change = reverse("admin:account_emailaddress_change", args=[rows[1].pk])
    assert browser.post(change, form).status_code == 403
    form = {"action": "make_verified", "_selected_action": [rows[1].pk]}
    EmailAddress.objects.update(verified=False)
    browser.post(reverse("admin:account_emailaddress_changelist"), form)
    assert not EmailAddress.objects.filter(verified=True).exists()


# --- An address ------------------------------------------------------------------------------


def test_a_corrected_address_is_a_recovery(
    account: Account, admin: Client, mailbox: list[Any]
) -> None:
    """ACC-12: the former is verified for nothing, both are told, sessions end, no undo link works."""
    former, client = account.user.email, account.log_in()
    undo = by_a_changed_address(account, admin)
    account.user.refresh_from_db()
    client = account.log_in()
    assert client.post("email_change", {"email": "third@example.com"}).status == 200
    pending = link_secrets(mailbox[-1])
    recovered = []
    account_recovered.connect(receiver := lambda user, **_: recovered.append(user.email))
    mailbox.clear()
    corrected = "corrected@example.com"
    form = {**form_of(admin, change_page(account)), "email": corrected, "first_name": "Ada"}
    assert post(admin, change_page(account), form).status_code == 302
    account_recovered.disconnect(receiver)
    account.user.refresh_from_db()
    assert (account.user.email, account.user.first_name) == (corrected, "Ada")
    assert recovered == [corrected]
    assert not addresses.is_verified(account.user)
    assert not EmailAddress.objects.filter(email__in=[former, NEW]).exists()
    assert not client.is_alive
    told = sorted((it.to[0], "administrator" in it.body) for it in mailbox)
    verification = [(corrected, False)] if policy.EMAIL_VERIFICATION != "none" else []
    assert told == sorted([(NEW, True), (corrected, True), *verification])
    assert not EmailChange.objects.exists()
    for page, key in (("email_change_undo", undo), ("email_change_confirm", pending)):
        assert Api().post(page, key).code == "invalid_key"
    event = AuditEvent.objects.filter(event="user_email_changed").order_by("time").last()
    assert event is not None
    assert event.detail == {"reason": "admin"}
    assert event.actor_id != account.user.pk


def test_the_new_address_is_verified_by_its_mail(
    account: Account, admin: Client, mailbox: list[Any]
) -> None:
    """ACC-12: by the link, or by a reset; the former one's owner cannot reset the password."""
    former = account.user.email
    by_an_operator(account, admin)
    mailbox.clear()
    Api().post("rest_password_reset", {"email": former})
    assert not mailbox
    Api().post("rest_password_reset", {"email": NEW})
    body = {**link_secrets(mailbox[-1]), **NEW_PASSWORD}
    assert Api().post("rest_password_reset_confirm", body).status == 200
    account.user.refresh_from_db()
    assert addresses.is_verified(account.user)
    assert Account(account.user, OTHER_PASSWORD).log_in().is_alive


@registration_is_open
def test_the_former_address_is_free(account: Account, admin: Client, mailbox: list[Any]) -> None:
    """ACC-12: whose it is now registers it, and verifies it."""
    former = account.user.email
    by_an_operator(account, admin)
    mailbox.clear()
    assert Api().post("rest_register", registration(email=former)).status == 201
    if policy.EMAIL_VERIFICATION == "none":
        return
    [confirmation] = [it for it in mailbox if it.to == [former]]
    key = link_secrets(confirmation)["key"]
    assert Api().post("rest_verify_email", {"key": key}).status == 200
    owner = addresses.owner_of(former)
    assert owner is not None
    assert owner.pk != account.user.pk


def test_an_open_form_takes_no_new_address_back(account: Account, admin: Client) -> None:
    """ACC-12: what the operator left as it was is no correction."""
    page, former = change_page(account), account.user.email
    assert f'name="initial-email" value="{former}"' in admin.get(page).content.decode()
    form = {**form_of(admin, page), "first_name": "Ada"}
    by_a_changed_address(account, admin)
    assert post(admin, page, form).status_code == 302
    account.user.refresh_from_db()
    assert (account.user.email, account.user.first_name) == (NEW, "Ada")
    assert addresses.is_verified(account.user)


def test_an_address_is_taken_away_and_given(
    account: Account, admin: Client, mailbox: list[Any]
) -> None:
    """ACC-12: without one on either side, who has one is told."""
    former = account.user.email
    if not account.user.username:
        get_user_model().objects.filter(pk=account.user.pk).update(username="ada")
    for email, told in (("", former), (NEW, NEW)):
        mailbox.clear()
        form = {**form_of(admin, change_page(account)), "email": email}
        assert post(admin, change_page(account), form).status_code == 302
        assert {it.to[0] for it in mailbox} == {told}
        account.user.refresh_from_db()
        assert account.user.email == (email or None)
    assert post(admin, change_page(account), form).status_code == 302  # nothing changes
    assert AuditEvent.objects.filter(event="user_email_changed").count() == 2


def test_a_form_writes_what_it_changed_alone(account: Account, admin: Client, api: Api) -> None:
    """ADM-04: what happened while it was open stays: a deactivation, a new password, a link by mail."""
    page = change_page(account)
    form = {**form_of(admin, page), "first_name": "Ada"}
    user = get_user_model().objects.get(pk=account.user.pk)
    user.set_password(OTHER_PASSWORD)
    user.is_active, user.last_name = False, "King"
    user.save()
    assert post(admin, page, form).status_code == 302
    user.refresh_from_db()
    assert (user.first_name, user.is_active) == ("Ada", False)
    assert user.check_password(OTHER_PASSWORD)


@real_transactions
def test_saving_a_user_brings_no_former_password_back(
    account: Account, admin: Client, mailbox: list[Any]
) -> None:
    """ADM-04: a form that is saved while a reset link sets the password; the new one counts."""
    for number in range(4):
        password = f"a wholly new passphrase, number {number}"
        Api().post("rest_password_reset", {"email": account.user.email})
        secrets = link_secrets(mailbox[-1])
        body = {**secrets, "new_password1": password, "new_password2": password}
        form = {**form_of(admin, change_page(account)), "first_name": f"Ada {number}"}
        confirmed, saved = at_once(
            partial(Api().post, "rest_password_reset_confirm", body),
            partial(post, admin, change_page(account), form),
        )
        account.user.refresh_from_db()
        assert saved.status_code in {302, 503}
        assert account.user.check_password(password) is (confirmed.status == 200)


def test_an_open_form_keeps_a_mailed_link(
    account: Account, admin: Client, api: Api, mailbox: list[Any]
) -> None:
    """Times are nobody's to write: a link that was mailed is made of the last login."""
    account.log_in()
    api.post("rest_password_reset", {"email": account.user.email})
    form = {**form_of(admin, change_page(account)), "first_name": "Ada"}
    assert post(admin, change_page(account), form).status_code == 302
    passwords = dict.fromkeys(("new_password1", "new_password2"), OTHER_PASSWORD)
    body = {**link_secrets(mailbox[-1]), **passwords}
    assert api.post("rest_password_reset_confirm", body).status == 200


def act(browser: Client, model: str, action: str, *chosen: Any) -> int:
    form = {"action": action, "_selected_action": [str(pk) for pk in chosen]}
    return int(post(browser, reverse(f"admin:{model}_changelist"), form).status_code)


def test_actions_of_staff_leave_superusers_alone(
    root: Account, account: Account, staff: Callable[..., Client], mailbox: list[Any]
) -> None:
    """ADM-04: neither are their sessions ended, nor links mailed; those of others are."""
    owners = (root, account)
    sessions = [each.log_in() for each in owners]
    browser = staff("view_authsession", "delete_authsession", "view_user", "change_user")
    every = AuthSession.objects.filter(user__in=[it.user.pk for it in owners])
    act(browser, "auth_sessions_authsession", "end_sessions", *every.values_list("pk", flat=True))
    assert [it.is_alive for it in sessions] == [True, False]
    mailbox.clear()
    act(browser, "users_user", "send_password_reset", root.user.pk, account.user.pk)
    assert [mail.to for mail in mailbox] == [[account.user.email]]


def test_a_superuser_deletes_an_unclaimed_account(account: Account, admin: Client) -> None:
    """ADM-04: with its registration, which nobody deletes by itself: that would claim the account."""
    request = RequestFactory().post("/")
    request.user = account.user
    registration = registrations.note_unclaimed(account.user, request)
    alone = reverse("admin:auth_accounts_registration_delete", args=[registration.pk])
    assert post(admin, alone, {"post": "yes"}).status_code == 403
    page = reverse("admin:users_user_delete", args=[account.user.pk])
    assert post(admin, page, {"post": "yes"}).status_code == 302
    assert not get_user_model().objects.filter(pk=account.user.pk).exists()


def never(user: Any, request: Any) -> None:
    raise PermissionDenied("not any more")


def test_a_restriction_binds_a_session_that_lives(admin: Client, settings: Any) -> None:
    """ADM-02: of the team, or the duty of a second factor that began meanwhile."""
    page = reverse("admin:index")
    assert admin.get(page).status_code == 200
    settings.USER_RESTRICTIONS = [*settings.USER_RESTRICTIONS, f"{__name__}.never"]
    assert admin.get(page).status_code == 302


@pytest.mark.parametrize(
    ("model", "lookup"),
    [
        ("auth_accounts_registration", "password__startswith"),
        ("auth_sessions_authsession", "auth_hash__startswith"),
    ],
)
def test_nobody_filters_by_what_is_secret(admin: Client, model: str, lookup: str) -> None:
    """One character after the other a filter would tell a hash."""
    answer = admin.get(reverse(f"admin:{model}_changelist"), {lookup: "md5"})
    assert answer.status_code == 400
