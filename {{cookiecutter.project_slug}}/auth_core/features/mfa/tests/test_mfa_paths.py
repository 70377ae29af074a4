"""MFA: no path leads round the second factor, and who must have one gets no further without."""

import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.conf import settings as django_settings
from django.contrib.auth.models import Permission
from django.contrib.sessions.models import Session
from django.core.checks import run_checks
from django.core.exceptions import PermissionDenied
from django.core.management import call_command
from django.test import Client, TestCase
from django.urls import URLPattern, URLResolver, path, reverse
from rest_framework.permissions import AllowAny, BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from auth_core import policy
from auth_core.accounts.views import LoginAnswer
from auth_core.contract.marks import admin_is_here
from auth_core.contract.test_ref import outcome
from auth_core.features.mfa.permissions import SecondFactor
from auth_core.sessions.models import AuthSession
from auth_core.sessions.permissions import RecentlyAuthenticated
from auth_core.sessions.services import start_session
from auth_core.testing import Account, Api
from config.urls import urlpatterns as project_urlpatterns

from .testing import PERIOD, App, Enrolled, all_that_one_factor_has, enrol, try_every_path, verify

pytestmark = [pytest.mark.django_db, pytest.mark.inside]


class Guarded(APIView):
    """Stands for what a team protects by a second factor."""

    permission_classes: tuple[type[BasePermission], ...] = (SecondFactor,)

    def get(self, request: Request) -> Response:
        return Response({})


class Fresh(Guarded):
    permission_classes = (SecondFactor, RecentlyAuthenticated)


class OfUsers(Guarded):
    """Stands for any other endpoint of a team."""

    permission_classes = (IsAuthenticated,)


class OtherLogin(APIView):
    """Stands for a login that a team makes itself."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def post(self, request: Request) -> Response:
        data: Any = request.data
        user = EmailAddress.objects.get(email=data["email"]).user
        pair = start_session(user, request._request)
        return Response({"access": str(pair.access)})


# For tests that name this module as their URLconf.
urlpatterns: list[URLPattern | URLResolver] = [
    path("guarded/", Guarded.as_view()),
    path("fresh/", Fresh.as_view()),
    path("of-users/", OfUsers.as_view()),
    path("other-login/", OtherLogin.as_view()),
    *project_urlpatterns,
]


# --- No way round --------------------------------------------------------------------------


def test_no_path_gives_a_token_for_the_password_alone(
    enrolled: Enrolled, mailbox: list[Any], clock: Any
) -> None:
    """MFA-01: each path of the project, with and without its slash, by each method, given all that one factor has."""
    clock.shift(PERIOD)
    body = all_that_one_factor_has(enrolled.account, mailbox)
    try_every_path(enrolled.user, {**body, "code": enrolled.app.wrong_code()})
    assert enrolled.pending()


@pytest.mark.urls(__name__)
def test_a_login_of_the_team_s_own_ends_at_the_same_gate(
    enrolled: Enrolled, account: Account
) -> None:
    """MFA-01: whoever starts a session is refused with 403 where nobody asks for the code."""
    AuthSession.objects.all().delete()
    answer = Api(delivery="header").post("/other-login/", {"email": enrolled.user.email})
    assert outcome(answer) == (403, "mfa_required")
    assert not AuthSession.objects.exists()


def admin_login(enrolled: Enrolled, **fields: str) -> Client:
    """Send the admin's form; return the browser."""
    browser = Client()
    name = enrolled.user.email if policy.LOGIN_WITH == "email" else enrolled.user.username
    form = {"username": name, "password": enrolled.account.password, **fields}
    browser.post(reverse("admin:login"), form)
    return browser


def is_in(browser: Client) -> bool:
    return browser.get(reverse("admin:index")).status_code == 200


@admin_is_here
def test_the_admin_asks_for_the_code(make_enrolled: Callable[..., Enrolled], clock: Any) -> None:
    """MFA-01: with the password; codes work once and wrong ones make wait here, too."""
    enrolled = make_enrolled(is_staff=True, is_superuser=True)
    assert b'name="code"' in Client().get(reverse("admin:login")).content
    used = enrolled.app.code()
    for fields in ({}, {"code": ""}, {"code": enrolled.app.wrong_code()}, {"code": used}):
        assert not is_in(admin_login(enrolled, **fields))
    assert not Session.objects.exists()
    clock.shift(PERIOD)
    code = enrolled.app.code()
    assert is_in(admin_login(enrolled, code=code))
    assert not is_in(admin_login(enrolled, code=code))
    assert is_in(admin_login(enrolled, code=enrolled.recovery_codes[0]))
    for _ in range(10):
        admin_login(enrolled, code=enrolled.app.wrong_code())
    assert not is_in(admin_login(enrolled, code=enrolled.recovery_codes[1]))


@admin_is_here
@pytest.mark.parametrize(("required", "gets_in"), [("optional", True), ("staff", False)])
def test_staff_without_a_factor(
    required: str, gets_in: bool, make_account: Callable[..., Account], settings: Any
) -> None:
    """MFA-14: get into the admin unless they must have one."""
    settings.MFA_REQUIRED = required
    account = make_account(is_staff=True)
    assert is_in(admin_login(Enrolled(account, Api(), App(""), []))) is gets_in


@admin_is_here
def test_the_admin_tells_of_right_passwords_with_wrong_codes(
    make_enrolled: Callable[..., Enrolled], mailbox: list[Any]
) -> None:
    """As a login to the API does."""
    enrolled = make_enrolled(is_staff=True)
    mailbox.clear()
    for _ in range(django_settings.LOGIN_FAILURES_NOTICED):
        with TestCase.captureOnCommitCallbacks(execute=True):
            admin_login(enrolled, code=enrolled.app.wrong_code())
    [told] = mailbox
    assert told.to == [enrolled.user.email]
    assert "knows your password" in told.subject


@admin_is_here
def test_a_session_of_the_admin_is_of_two_factors(
    make_enrolled: Callable[..., Enrolled], clock: Any
) -> None:
    """Listed as such; a reset of the factor ends it."""
    enrolled = make_enrolled(is_staff=True)
    clock.shift(PERIOD)
    browser = admin_login(enrolled, code=enrolled.app.code())
    found = {tuple(it["amr"]) for it in enrolled.client.get("session_list").body}
    assert ("pwd", "otp", "mfa") in found
    assert is_in(browser)
    call_command("resetmfa", "--user", enrolled.user.email, stdout=io.StringIO())
    assert not is_in(browser)


def test_a_login_by_a_page_of_the_team_ends_at_the_same_gate(
    enrolled: Enrolled, make_account: Callable[..., Account], settings: Any
) -> None:
    """MFA-01, MFA-14: the password alone begins no Django session for whom a second factor is asked of."""
    AuthSession.objects.all().delete()
    staff = make_account(is_staff=True)
    settings.MFA_REQUIRED = "staff"
    for user in (enrolled.user, staff.user):
        browser = Client()
        with pytest.raises(PermissionDenied):
            browser.force_login(user)
        assert not AuthSession.objects.exists()
        assert not is_in(browser)


@admin_is_here
def test_staff_resets_no_factor_of_a_superuser(
    make_enrolled: Callable[..., Enrolled], make_account: Callable[..., Account]
) -> None:
    """A superuser without a second factor is easier to become."""
    enrolled = make_enrolled(is_staff=True, is_superuser=True)
    staff = make_account(is_staff=True)
    codenames = ["view_authenticator", "delete_authenticator"]
    staff.user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    browser = admin_login(Enrolled(staff, Api(), App(""), []))
    assert is_in(browser)
    rows = Authenticator.objects.filter(user=enrolled.user)
    url = reverse("admin:mfa_authenticator_delete", args=[rows[0].pk])
    assert browser.post(url, {"post": "yes"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [it.pk for it in rows]}
    browser.post(reverse("admin:mfa_authenticator_changelist"), {**chosen, "post": "yes"})
    assert rows.count() == 2


@admin_is_here
def test_the_admin_shows_no_secret_and_resets(
    enrolled: Enrolled, make_account: Callable[..., Account], mailbox: list[Any]
) -> None:
    """MFA-08, MFA-10: neither the secret nor its encryption; a deletion ends the sessions and is mailed."""
    admin = make_account(is_staff=True, is_superuser=True)
    browser = admin_login(Enrolled(admin, Api(), App(""), []))
    mailbox.clear()
    listing = browser.get(reverse("admin:mfa_authenticator_changelist"))
    assert listing.status_code == 200
    (row, *_rest) = listing.context["cl"].result_list
    page = browser.get(reverse("admin:mfa_authenticator_change", args=[row.pk]))
    assert b"TOTP" in page.content or b"Recovery" in page.content
    for text in (enrolled.app.secret, "secret", "digests", row.data.get("secret", "digests")):
        assert text.encode() not in page.content
        assert text.encode() not in listing.content
    url = reverse("admin:mfa_authenticator_delete", args=[row.pk])
    with TestCase.captureOnCommitCallbacks(execute=True):
        assert browser.post(url, {"post": "yes"}).status_code == 302
    assert not enrolled.client.is_alive
    assert enrolled.account.log_in().is_alive
    assert [mail.to for mail in mailbox if "administrator" in mail.body] == [[enrolled.user.email]]


# --- Step-up -------------------------------------------------------------------------------


@pytest.mark.urls(__name__)
def test_a_view_can_ask_for_the_second_factor(account: Account, clock: Any) -> None:
    """MFA-11: 403 `mfa_required` for a session of the password alone; its enrolment opens it at once."""
    client = account.log_in()
    assert Api().get("/guarded/").status == 401
    assert outcome(client.get("/guarded/")) == (403, "mfa_required")
    enrolled = enrol(account, client)
    assert client.get("/guarded/").status == 200
    assert enrolled.log_in(clock).get("/guarded/").status == 200
    assert client.refreshed().get("/guarded/").status == 200


@pytest.mark.urls(__name__)
def test_a_view_can_ask_for_a_recent_second_factor(enrolled: Enrolled, clock: Any) -> None:
    """MFA-11: confirmed by both factors, for some minutes."""
    client = enrolled.log_in(clock)
    assert client.get("/fresh/").status == 200
    clock.shift(policy.REAUTHENTICATION_MINUTES * 60 + 1)
    client = client.refreshed()
    assert outcome(client.get("/fresh/")) == (403, "reauthentication_required")
    body = {"password": enrolled.account.password, "code": enrolled.app.code()}
    assert client.post("reauthenticate", body).status == 200
    assert client.get("/fresh/").status == 200


@pytest.mark.urls(__name__)
def test_a_session_is_raised_by_a_code_alone(enrolled: Enrolled, clock: Any) -> None:
    """MFA-11: one that does not have the factor yet, as after an import, gets it by a full confirmation."""
    AuthSession.objects.update(amr=["pwd"])
    client = enrolled.client
    assert outcome(client.get("/guarded/")) == (403, "mfa_required")
    assert outcome(client.post("mfa_recovery_codes_regenerate")) == (403, "mfa_required")
    clock.shift(PERIOD)
    body = {"password": enrolled.account.password, "code": enrolled.app.code()}
    assert client.post("reauthenticate", body).status == 200
    assert client.get("/guarded/").status == 200


# --- Required ------------------------------------------------------------------------------

ENROLMENT = {"mfa_status": 200, "mfa_totp_activate": 200}


@pytest.mark.urls(__name__)
def test_who_must_enrol_can_do_nothing_else(account: Account, settings: Any, clock: Any) -> None:
    """MFA-14: only set up the factor, confirm the password, refresh and log out; then everything."""
    settings.MFA_REQUIRED = "all"
    client = account.log_in()
    for name in ("rest_user_details", "session_list", "user_export", "/of-users/", "/guarded/"):
        assert outcome(client.get(name)) == (403, "mfa_enrolment_required")
    for name in ("logout_all", "rest_password_change", "email_change"):
        assert outcome(client.post(name)) == (403, "mfa_enrolment_required")
    assert outcome(client.delete("rest_user_details")) == (403, "mfa_enrolment_required")
    if not client.by_cookie:
        answer = Api().post("token_verify", {"token": client.access})
        assert outcome(answer) == (403, "mfa_enrolment_required")
    for name, status in ENROLMENT.items():
        assert client.get(name).status == status
    assert client.get("mfa_status").body["mfa_required"] is True
    client = client.refreshed()
    assert client.get("rest_user_details").status == 403
    assert client.post("reauthenticate", {"password": account.password}).status == 200
    enrolled = enrol(account, client)
    assert client.get("/of-users/").status == 200
    assert enrolled.log_in(clock).get("rest_user_details").status == 200
    # Who gives it up is where they were.
    clock.shift(PERIOD)
    assert client.post("mfa_totp_deactivate", {"code": enrolled.app.code()}).status == 200
    assert outcome(client.get("rest_user_details")) == (403, "mfa_enrolment_required")
    assert client.post("rest_logout").status == 200


@pytest.mark.parametrize("required", ["optional", "staff", "all"])
@pytest.mark.parametrize("rights", [{}, {"is_staff": True}, {"is_superuser": True}], ids=str)
def test_of_whom_it_is_required(
    required: str, rights: dict[str, bool], make_account: Callable[..., Account], settings: Any
) -> None:
    """MFA-14: of nobody, of staff and superusers, of all; from the next request on."""
    client = make_account(**rights).log_in()
    assert client.is_alive
    settings.MFA_REQUIRED = required
    expected = 403 if required == "all" or (required == "staff" and rights) else 200
    assert client.get("rest_user_details").status == expected
    assert client.get("mfa_status").body["mfa_required"] is (expected == 403)


def test_a_mistyped_requirement_is_an_error(settings: Any) -> None:
    """MFA-14: it would require a factor of nobody."""
    assert "auth_mfa.E001" not in [error.id for error in run_checks()]
    settings.MFA_REQUIRED = "everybody"
    assert "auth_mfa.E001" in [error.id for error in run_checks()]


def test_the_second_factor_is_no_secret_from_who_knows_the_password_only(
    enrolled: Enrolled,
) -> None:
    """MFA-01: whether there is one is told behind the right password, to nobody else."""
    wrong = {**enrolled.account.credentials, "password": "not the password at all"}
    answer = Api().post("rest_login", wrong)
    assert outcome(answer) == (400, "invalid_credentials")
    assert outcome(verify("x", enrolled.app.code())) == (400, "invalid_login")


def test_the_schema_names_the_step_wherever_a_login_ends() -> None:
    """MFA-01: clients are told that any login, of a feature too, may want a code before its session."""
    document = Client().get(reverse("schema"), {"format": "json"}).json()
    schemas = document["components"]["schemas"]
    answers = {
        operation["operationId"]: next(iter(response["content"].values()))["schema"].get("$ref", "")
        for operations in document["paths"].values()
        for operation in operations.values()
        for status, response in operation["responses"].items()
        if status in {"200", "201"} and "content" in response
    }
    steps = {name for name, ref in answers.items() if ref.endswith("/LoginOrStep")}
    assert "login" in steps
    assert {*re.findall(r"schemas/(\w+)", str(schemas["LoginOrStep"]))} == {
        LoginAnswer.__name__,
        "PendingLoginAnswer",
    }
    ends = {name for name, ref in answers.items() if ref.endswith(f"/{LoginAnswer.__name__}")}
    # Those that bring the second factor, and somebody new, who has none.
    passkeys = {"passkey_login_complete", "passkey_verify_complete"}
    assert ends <= {"mfa_verify", "register"} | passkeys
