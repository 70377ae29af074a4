"""AZ: who may call what, sees what, and changes what."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db import DatabaseError
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, path, reverse
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import BasePermission, IsAdminUser, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from auth_core import policy, urls
from auth_core.accounts.serializers import UserDetailsSerializer
from auth_core.audit.models import AuditEvent
from auth_core.contract.marks import admin_is_here
from auth_core.contract.permissions import explicit_permissions, rows
from auth_core.sessions.models import AuthSession
from auth_core.sessions.services import StepNeeded
from auth_core.testing import (
    OTHER_PASSWORD,
    PASSWORD,
    Account,
    Api,
    registration,
    stops_the_start,
)
from users.serializers import UserSerializer

pytestmark = pytest.mark.django_db

# Every endpoint that is served to anybody; whoever adds one adds it here.
PUBLIC = {
    "password_policy",
    "rest_login",
    "rest_logout",
    "token_refresh",
    "token_verify",
    "rest_password_reset",
    "rest_password_reset_confirm",
    "rest_verify_email",
    "rest_resend_email",
    "registration_reject",
    "email_change_confirm",
    "email_change_undo",
}
PUBLIC_HERE = {
    *PUBLIC,
    *(["rest_register"] if policy.REGISTRATION != "closed" else []),
    *(["csrf"] if policy.TOKEN_DELIVERY != "header" else []),
}
# No views of DRF: they read, and tell nothing that is not public.
PLAIN = {"health_live", "health_ready"} | (
    {"jwks"} if policy.SIGNING_ALGORITHM != "HS256" else set()
)
# Names of features that may be there.
SOCIAL = [f"social_{name}" for name in policy.SOCIAL_PROVIDERS.split(",")]
PUBLIC_FEATURES = {
    "tutorial_refresh",
    "mfa_verify",
    "mfa_undo",
    "login_code",
    "login_code_confirm",
    *(f"passkey_{name}_{step}" for name in ("login", "verify") for step in ("begin", "complete")),
    *(f"{name}_{step}" for name in SOCIAL for step in ("login", "login_begin")),
}
PLAIN_FEATURES = {
    *(
        f"page_{page}"
        for page in (
            *("account", "login", "register", "verify_email", "forgot_password"),
            *("reset_password", "change_email", "restore_email", "reject_registration"),
        )
    ),
    "account/accept-invitation",
    "account/undo-factor",
    *(f"account/social/{name}" for name in policy.SOCIAL_PROVIDERS.split(",")),
}
OTHER_FEATURES = {
    "api_key_list",
    "api_key",
    "invitation_list",
    "invitation",
    "invitation_resend",
    "mfa_status",
    "mfa_totp_activate",
    "mfa_totp_deactivate",
    "mfa_recovery_codes_regenerate",
    "passkey_list",
    "passkey",
    *(f"passkey_register_{step}" for step in ("begin", "complete")),
    *(f"passkey_reauthenticate_{step}" for step in ("begin", "complete")),
    "social_account_list",
    *(f"{name}_{step}" for name in SOCIAL for step in ("link", "link_begin")),
}
GRANT_RIGHTS = {"is_staff", "is_superuser", "is_active", "groups", "user_permissions"}
SECRET = {*GRANT_RIGHTS, "password", "last_login"}
ROLES = ("user", "staff", "superuser")


class StaffView(APIView):
    """Stands for an endpoint that the team adds for its staff."""

    permission_classes = (IsAdminUser,)

    def get(self, request: Request) -> Response:
        return Response({})


class CouponSerializer(serializers.Serializer):
    code = serializers.CharField(max_length=4)


class CouponView(APIView):
    """Stands for an endpoint with a field that is called as an error's own member is."""

    permission_classes = (IsAuthenticated,)

    def post(self, request: Request) -> Response:
        CouponSerializer(data=request.data).is_valid(raise_exception=True)
        return Response({})


class DefaultView(APIView):
    """Stands for an endpoint whose author forgot to say who may call it."""

    def get(self, request: Request) -> Response:
        return Response({})


# For tests that name this module as their URLconf.
class Broken:
    """The error that functions and classes of a team raise and nobody has thought of."""

    error: type[Exception] = RuntimeError


class BrokenPermission(BasePermission):
    def has_permission(self, request: Request, view: Any) -> bool:
        raise Broken.error


class Guarded(APIView):
    permission_classes = (BrokenPermission,)

    def get(self, request: Request) -> Response:
        return Response({})


urlpatterns = [
    path("for-staff/", StaffView.as_view(), name="for_staff"),
    path("coupons/", CouponView.as_view(), name="coupons"),
    path("forgotten/", DefaultView.as_view(), name="forgotten"),
    path("guarded/", Guarded.as_view(), name="guarded"),
    *urls.urlpatterns,
]


def views(patterns: Any) -> Iterator[tuple[str, Any]]:
    """Every URL's name, or else its path, and its view."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from views(pattern.url_patterns)
        else:
            callback = pattern.callback
            yield pattern.name or str(pattern.pattern), getattr(callback, "view_class", callback)


OWN = [
    (name, view)
    for name, view in views(p for p in urls.urlpatterns if isinstance(p, URLPattern))
    if name != django_settings.ADMIN_PATH
]


def is_api(view: Any) -> bool:
    return isinstance(view, type) and issubclass(view, APIView)


@pytest.fixture
def account_of(make_account: Callable[..., Account]) -> Callable[[str], Account]:
    def make(role: str) -> Account:
        rights = {"is_staff": role != "user", "is_superuser": role == "superuser"}
        return make_account(**rights)

    return make


@pytest.mark.parametrize(("name", "view"), [each for each in OWN if is_api(each[1])])
def test_a_view_says_who_may_call_it(name: str, view: type[APIView]) -> None:
    """AZ-01: every view of the kernel and its features names its permission, not the default."""
    assert explicit_permissions(view)


def test_what_anybody_may_call_is_listed() -> None:
    """AZ-01: the public endpoints are those of the list, no more and no fewer."""
    api = {name: explicit_permissions(view) for name, view in OWN if is_api(view)}
    public = {name for name, permissions in api.items() if permissions == ["AllowAny"]}
    assert public - PUBLIC_FEATURES == PUBLIC_HERE
    assert {name for name in api if name not in public} - OTHER_FEATURES == {
        "logout_all",
        "session_list",
        "session",
        "rest_user_details",
        "rest_password_change",
        "reauthenticate",
        "email_change",
        "user_export",
        "schema",
        "docs",
        "redoc",
    }
    assert {name for name, view in OWN if not is_api(view)} - PLAIN_FEATURES == PLAIN


@pytest.mark.inside
def test_nothing_is_public_for_want_of_a_permission(settings: Any) -> None:
    """AZ-01: the default asks for a login, and no view anywhere, the team's included, asks for nothing."""
    default = settings.REST_FRAMEWORK["DEFAULT_PERMISSION_CLASSES"]
    assert default == ["rest_framework.permissions.IsAuthenticated"]
    found = [view for _name, view in views(get_resolver().url_patterns) if is_api(view)]
    assert found
    assert [view for view in found if not view.permission_classes] == []


@pytest.mark.inside
@pytest.mark.urls(__name__)
def test_a_forgotten_permission_asks_for_a_login(api: Api, account: Account) -> None:
    """AZ-01: a view without a permission of its own is for users."""
    assert api.get("forgotten").status == 401
    assert account.log_in().get("forgotten").status == 200


@pytest.mark.inside
@pytest.mark.urls(__name__)
def test_a_field_may_be_called_code(account: Account) -> None:
    """AZ-01: the error's `code` stays one for programs, and `codes` names the field."""
    answer = account.log_in().post("coupons", {"code": "12345"})
    assert (answer.status, answer.code) == (400, "max_length")
    assert answer.body["codes"] == {"code": ["max_length"]}
    assert len(answer.body["non_field_errors"]) == 1


def refuse(session: AuthSession, request: Any) -> None:
    """Stands for a gate or a restriction of a feature or of the team."""
    raise PermissionDenied("Not today.", code="not_today")


def test_a_gate_leaves_nothing_of_a_session(account: Account, settings: Any, mailbox: Any) -> None:
    """AZ-01: whoever begins it, at login or registration: no row, no event, no last login, no account."""
    settings.SESSION_GATES = [f"{__name__}.refuse"]
    answer = Api().post("rest_login", account.credentials)
    assert (answer.status, answer.code) == (403, "not_today")
    assert not answer.cookies
    assert not AuthSession.objects.exists()
    assert not AuditEvent.objects.filter(event="authn_login_success").exists()
    account.user.refresh_from_db()
    assert account.user.last_login is None
    if policy.REGISTRATION == "open" and policy.EMAIL_VERIFICATION != "mandatory":
        assert Api().post("rest_register", registration()).code == "not_today"
        assert get_user_model().objects.count() == 1
        assert not mailbox


class Captcha(StepNeeded):
    """A step that a team might ask for."""

    default_code = "not_today"

    def begin(self, request: Any) -> dict[str, Any]:
        return {"captcha_required": True}


def ask(session: Any, request: Any) -> None:
    raise Captcha


def test_a_gate_may_ask_for_one_more_step(account: Account, settings: Any) -> None:
    """AZ-01: a login is answered with it, and no session begins; where nothing was a login it is 403."""
    settings.SESSION_GATES = [f"{__name__}.ask"]
    answer = Api().post("rest_login", account.credentials)
    assert (answer.status, answer.body) == (200, {"captcha_required": True})
    assert not answer.cookies
    assert not AuthSession.objects.exists()
    if policy.REGISTRATION == "open" and policy.EMAIL_VERIFICATION != "mandatory":
        assert Api().post("rest_register", registration()).status == 403


def test_a_restriction_meets_every_request(account: Account, settings: Any) -> None:
    """AZ-01: and token/verify, which speaks for other services; logging out stays possible."""
    client = account.log_in()
    settings.SESSION_RESTRICTIONS = [f"{__name__}.refuse"]
    for name in ("rest_user_details", "session_list", "user_export"):
        answer = client.get(name)
        assert (answer.status, answer.code) == (403, "not_today")
    if not client.by_cookie:
        assert Api().post("token_verify", {"token": client.access}).code == "not_today"
    assert client.post("rest_logout").status == 200
    settings.SESSION_RESTRICTIONS = []
    assert not client.is_alive


def broken(session_or_user: Any, request: Any) -> None:
    raise Broken.error


ERRORS = [RuntimeError, AttributeError, KeyError, TypeError, OSError, DatabaseError, StopIteration]


@pytest.mark.inside
@pytest.mark.urls(__name__)
@pytest.mark.parametrize("error", ERRORS)
def test_what_fails_lets_nobody_in(
    account: Account, settings: Any, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """AZ-09: a gate, a restriction or a permission that raises an unexpected error: 5xx, and no session."""
    monkeypatch.setattr(Broken, "error", error)
    client = account.log_in()
    failed = (500, 503)  # of the database: 503
    assert client.get("guarded").status in failed
    settings.SESSION_GATES = [f"{__name__}.broken"]
    login = Api().post("rest_login", account.credentials)
    assert login.status in failed
    assert not login.cookies
    assert AuthSession.objects.count() == 1
    settings.SESSION_RESTRICTIONS = [f"{__name__}.broken"]
    for answer in (
        client.get("rest_user_details"),
        client.patch("rest_user_details", {"first_name": "In"}),
        client.post("token_verify", {"token": client.access}),
        client.delete("session_list"),
    ):
        assert answer.status in (*failed, 401)
        assert answer.status != 401 or client.by_cookie  # no token of a cookie is good in a body
    account.user.refresh_from_db()
    assert account.user.first_name == ""


MISTYPED = [
    *(
        (name, [path])
        for name in ("SESSION_GATES", "SESSION_RESTRICTIONS", "USER_RESTRICTIONS", "USER_EXPORTERS")
        for path in ("shop.gates.ask", f"{__name__}.aks", "ask", f"{__name__}.ERRORS")
    ),
    ("SESSION_GATES", f"{__name__}.ask"),
    ("SESSION_STEP_ANSWERS", [f"{__name__}.Answre"]),
    ("AUTHENTICATION_BACKENDS", ["auth_core.accounts.backend.Backend"]),
    ("PURGES", {"orders": "shop.purge"}),
    ("TOKEN_DELIVERY", "auth_core.sessions.delivery.Delivery2"),
    ("ACCOUNT_ADAPTER", ""),
    ("REST_FRAMEWORK", {"DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsStaff"]}),
]


@pytest.mark.inside
@pytest.mark.parametrize(("name", "value"), MISTYPED)
def test_a_mistyped_path_stops_the_start(settings: Any, name: str, value: Any) -> None:
    """AZ-09: what names no function or class is found before the first request."""
    assert not stops_the_start("auth_http")
    setattr(settings, name, value)
    assert stops_the_start("auth_http")


# What each role gets: nobody, another user, one with every right if that differs, and the owner.
MATRIX: list[tuple[str, str, Any, dict[str, int]]] = [
    ("GET", "rest_user_details", None, {"anon": 401, "others": 200, "owner": 200}),
    (
        "PUT",
        "rest_user_details",
        {"username": "renamed", "last_name": "Changed"},
        {"anon": 401, "others": 200, "owner": 200},
    ),
    (
        "PATCH",
        "rest_user_details",
        {"last_name": "Changed"},
        {"anon": 401, "others": 200, "owner": 200},
    ),
    ("POST", "rest_user_details", {}, {"anon": 401, "others": 405, "owner": 405}),
    (
        "DELETE",
        "rest_user_details",
        None,
        {"anon": 401, "others": 204, "superuser": 403, "owner": 204},
    ),
    ("GET", "user_export", None, {"anon": 401, "others": 200, "owner": 200}),
    (
        "POST",
        "email_change",
        {"email": "new@example.com"},
        {"anon": 401, "others": 200, "owner": 200},
    ),
    ("POST", "reauthenticate", {"password": PASSWORD}, {"anon": 401, "others": 200, "owner": 200}),
    ("GET", "session_list", None, {"anon": 401, "others": 200, "owner": 200}),
    ("DELETE", "session_list", None, {"anon": 401, "others": 204, "owner": 204}),
    ("GET", "session", None, {"anon": 401, "others": 405, "owner": 405}),
    ("PATCH", "session", {}, {"anon": 401, "others": 405, "owner": 405}),
    ("DELETE", "session", None, {"anon": 401, "others": 404, "owner": 204}),
    ("POST", "logout_all", {}, {"anon": 401, "others": 200, "owner": 200}),
    ("POST", "rest_password_change", {}, {"anon": 401, "others": 400, "owner": 400}),
]


@pytest.mark.parametrize(
    ("method", "name", "body", "expected"), MATRIX, ids=[f"{m} {n}" for m, n, *_ in MATRIX]
)
@pytest.mark.parametrize("role", ["anon", "user", "superuser", "owner"])
def test_an_object_is_its_owners(
    account: Account,
    account_of: Callable[[str], Account],
    role: str,
    method: str,
    name: str,
    body: Any,
    expected: dict[str, int],
) -> None:
    """AZ-02: every endpoint by nobody, another user, another one of the staff, and the owner."""
    owner, spare = account.log_in(), account.log_in()
    session = next(each for each in spare.get("session_list").body if each["current"])
    client = {"anon": Api, "owner": lambda: owner}.get(role, lambda: account_of(role).log_in())()
    url = reverse(name, kwargs={"pk": session["id"]} if name == "session" else {})
    answer = client.request(method, url, body)
    assert answer.status == expected[role if role in expected else "others"], answer.body
    if role != "owner":
        # Whatever a stranger did, they did it to what is theirs.
        account.user.refresh_from_db()
        assert account.user.last_name == ""
        assert spare.is_alive
        assert owner.is_alive
        assert len(owner.get("session_list").body) == 2
    if answer.status == 200 and name == "session_list":
        assert session["id"] not in [each["id"] for each in answer.body] or role == "owner"
    if answer.status == 200 and name == "rest_user_details":
        assert (answer.body["email"] == account.user.email) == (role == "owner")
    if answer.status == 200 and name == "user_export":
        assert (account.user.email in str(answer.body)) == (role == "owner")


@pytest.mark.parametrize("role", ROLES)
def test_a_user_is_shown_by_the_listed_fields(
    account_of: Callable[[str], Account], role: str
) -> None:
    """AZ-03: user, login and registration show the serializer's fields to every role, and no secret."""
    fields = set(UserSerializer().fields)
    assert not fields & SECRET
    account = account_of(role)
    client = account.log_in()
    bodies = [
        client.get("rest_user_details").body,
        client.patch("rest_user_details", {}).body,
        Api().post("rest_login", account.credentials).body["user"],
    ]
    if policy.REGISTRATION == "open":
        registered = client.post("rest_register", registration())
        assert registered.status == 201
        bodies += [registered.body["user"]] if "user" in registered.body else []
    for body in bodies:
        assert set(body) == fields


def test_the_fields_of_the_kernel(account: Account) -> None:
    """AZ-03: what is shown where the team adds nothing: user, login, session."""
    names = {"username"} if policy.LOGIN_WITH != "email" else set()
    assert set(UserDetailsSerializer().fields) == {"pk", "email", "first_name", "last_name"} | names
    answer = Api().post("rest_login", account.credentials)
    client = Api().with_tokens_of(answer)
    tokens = {"csrf_token"} if client.by_cookie else {"access", "refresh"}
    expected = {"user", "access_expiration", "refresh_expiration", *tokens}
    assert set(answer.body) - {"token"} == expected  # the tutorial repeats the access token
    session, *_ = client.get("session_list").body
    assert set(session) == {
        "id",
        "created",
        "last_used",
        "expires",
        "ip",
        "user_agent",
        "amr",
        "current",
    }


def every_field_of_a_user() -> dict[str, Any]:
    """A value for every field of the model, its relations and their columns, and a few that are none."""
    group = Group.objects.create(name="admins")
    values: dict[str, Any] = {"pk": "00000000-0000-0000-0000-000000000001", "user": 1, "role": "x"}
    permission = Permission.objects.first()
    assert permission
    for each in get_user_model()._meta.get_fields():
        kind = each.get_internal_type() if each.concrete else "relation"
        value: Any = {
            "BooleanField": True,
            "DateTimeField": "2001-01-01T00:00:00Z",
            "EmailField": "evil@example.com",
            "UUIDField": "00000000-0000-0000-0000-000000000002",
            "IntegerField": 7,
            "ManyToManyField": [group.pk if each.name == "groups" else permission.pk],
            "relation": [],
        }.get(kind, "changed")
        for name in {each.name, getattr(each, "attname", each.name)}:
            values[name] = value
    return values


def state_of(user: Any) -> dict[str, Any]:
    """Everything the database holds of a user."""
    row = get_user_model().objects.filter(pk=user.pk).values().get()
    fresh = get_user_model().objects.get(pk=user.pk)
    many = {
        each.name: list(getattr(fresh, each.name).values_list("pk", flat=True))
        for each in get_user_model()._meta.many_to_many
    }
    emails = list(EmailAddress.objects.filter(user=user).values())
    return {**row, **many, "emails": emails}


def writable() -> set[str]:
    """What the team's serializer lets a user change, by the model's names."""
    return {str(field.source) for field in UserSerializer().fields.values() if not field.read_only}


def test_nothing_that_grants_rights_is_writable() -> None:
    """AZ-04: neither rights nor secrets nor what a user logs in with are theirs to set."""
    assert not writable() & {*SECRET, "id", "pk", "username", "email", "date_joined"}


@pytest.mark.inside
@pytest.mark.parametrize("one_by_one", [True, False])
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_user_changes_only_the_listed_fields(
    account: Account, method: str, one_by_one: bool
) -> None:
    """AZ-04: of all fields of the model, sent at once or one by one, only the listed ones change."""
    client = account.log_in()
    before = state_of(account.user)
    values = every_field_of_a_user()
    required = {"username": "changed"} if policy.LOGIN_WITH != "email" else {}
    bodies = [{name: value} for name, value in values.items()] if one_by_one else [values]
    for body in bodies:
        answer = client.request(method, "rest_user_details", {**required, **body})
        assert answer.status in (200, 400), answer.body
    after = state_of(account.user)
    changed = {name for name, value in after.items() if value != before[name]}
    assert changed <= writable()
    assert {"first_name", "last_name"} <= changed or not {"first_name", "last_name"} <= writable()
    assert client.is_alive


@pytest.mark.inside
def test_no_other_endpoint_takes_a_field_of_a_user(account: Account, mailbox: list[Any]) -> None:
    """AZ-04: login, password change and the rest ignore all fields but their own."""
    client = account.log_in()
    before = state_of(account.user)
    extra = every_field_of_a_user()
    new = {"new_password1": OTHER_PASSWORD, "new_password2": OTHER_PASSWORD}
    bodies: dict[str, dict[str, Any]] = {
        "rest_login": account.credentials,
        "rest_password_reset": {"email": account.user.email},
        "rest_resend_email": {"email": account.user.email},
        "rest_verify_email": {"key": "wrong"},
        "rest_password_reset_confirm": {"uid": "x", "token": "x", **new},
        "rest_password_change": {"old_password": PASSWORD, **new},
        "reauthenticate": {"password": PASSWORD},
        "email_change": {"email": "new@example.com"},
        "email_change_confirm": {"key": "wrong"},
        "email_change_undo": {"key": "wrong"},
        "token_refresh": {},
        "rest_logout": {},
    }
    for name, body in bodies.items():
        # The other identifier than the one of the credentials would be a login of somebody else.
        names = {"username", "email", "password", "token"} - set(body)
        ignored = {key: value for key, value in extra.items() if key not in names}
        assert client.post(name, {**ignored, **body}).status < 500
    after = state_of(account.user)
    changed = {name for name, value in after.items() if value != before[name]}
    assert changed <= {"password", "last_login"}


@pytest.mark.inside
@pytest.mark.skipif(policy.REGISTRATION != "open", reason="registration is not open")
def test_a_registration_sets_only_its_own_fields(api: Api) -> None:
    """AZ-04: registering with every field of the model gives an ordinary, unverified user."""
    body = registration()
    answer = api.post("rest_register", {**every_field_of_a_user(), **body, "verified": True})
    assert answer.status == 201, answer.body
    user = get_user_model().objects.get()
    is_pending = policy.EMAIL_VERIFICATION == "mandatory"
    assert user.check_password(body["password1"]) is not is_pending
    expected: dict[str, Any] = {
        "email": None if is_pending else body["email"],
        "is_staff": False,
        "is_superuser": False,
        "is_active": True,
        "groups": [],
        "user_permissions": [],
    }
    state = state_of(user)
    assert {name: state[name] for name in expected} == expected
    assert str(user.pk) not in (body.get("pk"), every_field_of_a_user.__name__)
    assert user.date_joined.year > 2001
    assert [email["verified"] for email in state["emails"]] in ([False], [])


@pytest.mark.parametrize("name", ["schema", "docs", "redoc"])
def test_api_documents_are_shown_by_a_setting(
    settings: Any, account_of: Callable[[str], Account], name: str
) -> None:
    """AZ-05: public in development; elsewhere for staff who logged in to the admin, and no others."""
    settings.API_DOCUMENTS_ARE_PUBLIC = True
    assert Client().get(reverse(name)).status_code == 200
    settings.API_DOCUMENTS_ARE_PUBLIC = False
    assert Api().get(name).status == 403
    for role, status in (("user", 403), ("staff", 200)):
        browser = Client()
        browser.force_login(account_of(role).user)
        answer = browser.get(reverse(name))
        assert answer.status_code == status, role
    assert b"/login/" not in Client().get(reverse(name)).content


@pytest.mark.inside
def test_api_documents_are_not_public_in_production(settings: Any) -> None:
    """AZ-05: the setting follows the environment: what is not development shows nothing."""
    assert settings.API_DOCUMENTS_ARE_PUBLIC is (settings.DJANGO_ENV == "dev")


def test_health_tells_nothing_of_the_inside(api: Api) -> None:
    """AZ-05: anybody may ask for health, and hears yes or no; there are no metrics."""
    assert set(api.get("health_live").body) == {"status"}
    assert set(api.get("health_ready").body) == {"status", "database"}
    for where in ("/metrics", "/metrics/", "/debug", "/server-status", "/.env", "/.git/config"):
        assert api.get(where).status == 404


@admin_is_here
@pytest.mark.inside
@pytest.mark.parametrize("page", ["admin:index", "admin:auth_sessions_authsession_changelist"])
def test_the_admin_is_for_staff_of_chosen_networks(
    settings: Any, account_of: Callable[[str], Account], page: str
) -> None:
    """AZ-05: the admin asks for staff, and is nowhere for addresses that were not chosen."""
    browser, user = Client(), Client()
    browser.force_login(account_of("superuser").user)
    user.force_login(account_of("user").user)
    settings.ADMIN_NETWORKS = []
    assert browser.get(reverse(page)).status_code == 200
    assert user.get(reverse(page)).status_code == 302
    assert Client().get(reverse("admin:login")).status_code == 200
    settings.ADMIN_NETWORKS = ["10.0.0.0/8", "fd00::/8"]
    near: Any = {"REMOTE_ADDR": "10.1.2.3"}
    assert browser.get(reverse(page), **near).status_code == 200
    assert browser.get(reverse(page)).status_code == 302
    assert browser.get(reverse(page), headers={"X-Forwarded-For": "10.1.2.3"}).status_code == 302
    assert browser.get(reverse("admin:login")).status_code == 404
    login = {"username": "x", "password": PASSWORD}
    assert Client().post(reverse("admin:login"), login).status_code == 404


@pytest.mark.inside
@pytest.mark.parametrize("where", ["", "backoffice/7f3a"])
def test_the_admin_is_where_it_was_put_or_nowhere(settings: Any, where: str) -> None:
    """AZ-05: ADMIN_PATH moves the admin; empty switches it off."""
    settings.ADMIN_PATH = where
    found = [str(pattern.pattern) for pattern in urls.admin_urls()]
    assert found == ([where, f"{where}/"] if where else [])


def test_of_a_name_given_twice_the_last_value_counts(api: Api, account: Account) -> None:
    """AZ-06: duplicate JSON names have one meaning, the last, in every place that reads the body."""
    ((name, value),) = [each for each in account.credentials.items() if each[0] != "password"]
    for first, last, status in ((account.password, "wrong", 400), ("wrong", account.password, 200)):
        twice = [(name, value), ("password", first), ("password", last)]
        body = "{" + ", ".join(f'"{each}": "{text}"' for each, text in twice) + "}"
        assert api.request("POST", "rest_login", body.encode()).status == status
    client = account.log_in()
    body = '{"last_name": "First", "last_name": "Last", "is_staff": false, "is_staff": true}'
    assert client.request("PATCH", "rest_user_details", body.encode()).body["last_name"] == "Last"
    assert client.get("rest_user_details").body["last_name"] == "Last"


def test_parameters_of_the_address_count_for_nothing(
    api: Api, account: Account, other_account: Account, mailbox: list[Any]
) -> None:
    """AZ-06: only the body is read: repeated or equal names in the address change nothing."""
    name = next(each for each in account.credentials if each != "password")
    stranger = other_account.credentials[name]
    query = f"?{name}={stranger}&{name}=x&password=wrong&last_name=Query&email={stranger}"
    login = api.post(reverse("rest_login") + query, account.credentials)
    assert login.body["user"]["email"] == account.user.email
    assert api.post(reverse("rest_login") + query, {}).status == 400
    client = api.with_tokens_of(login)
    details = reverse("rest_user_details")
    assert client.patch(f"{details}{query}", {"first_name": "A"}).body["last_name"] == ""
    reset = f"{reverse('rest_password_reset')}?email={other_account.user.email}&email=x@example.com"
    assert api.post(reset, {"email": account.user.email}).status == 200
    assert [message.to for message in mailbox] == [[account.user.email]]
    assert api.post(reset, {}).status == 400
    assert api.post(reset, {"email": [account.user.email, other_account.user.email]}).status == 400


@pytest.mark.inside
@pytest.mark.urls(__name__)
def test_a_right_that_was_taken_is_gone_at_once(account_of: Callable[[str], Account]) -> None:
    """AZ-07: without the staff flag the next request is 403, with the token of before."""
    account = account_of("staff")
    client = account.log_in()
    assert client.get("for_staff").status == 200
    get_user_model().objects.filter(pk=account.user.pk).update(is_staff=False)
    refused = client.get("for_staff")
    assert (refused.status, refused.code) == (403, "permission_denied")
    assert client.refreshed().get("for_staff").status == 403
    assert client.is_alive


@admin_is_here
@pytest.mark.inside
def test_the_admin_closes_at_once(settings: Any, account_of: Callable[[str], Account]) -> None:
    """AZ-07: the same in the admin."""
    settings.ADMIN_NETWORKS = []
    account, browser = account_of("superuser"), Client()
    browser.force_login(account.user)
    assert browser.get(reverse("admin:index")).status_code == 200
    get_user_model().objects.filter(pk=account.user.pk).update(is_staff=False)
    assert browser.get(reverse("admin:index")).status_code == 302


def documented() -> set[tuple[str, ...]]:
    text = (django_settings.BASE_DIR / "docs" / "permissions.md").read_text(encoding="utf-8")
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return {tuple(line) for line in lines if line[0] != "method"}


@pytest.mark.inside
def test_the_documented_permissions_are_those_of_the_code() -> None:
    """AZ-08: docs/permissions.md lists every endpoint, method by method, as the code has it."""
    assert [row for row in rows() if row[2] == "user"]
    without_admin = [{row for row in each if row[2] != "admin"} for each in (documented(), rows())]
    assert without_admin[0] == without_admin[1]
    admin = {row for row in rows() if row[2] == "admin"}
    assert admin <= documented() or django_settings.ADMIN_PATH != "admin"


@pytest.mark.inside
@pytest.mark.parametrize(
    "row",
    sorted({row for row in rows() if row[2] in ("anyone", "user", "recent user", "staff")}),
    ids=str,
)
def test_the_table_tells_the_truth(row: tuple[str, str, str]) -> None:
    """AZ-08: what the table says of nobody and of a user is what they get."""
    method, shown, who = row
    where = shown.strip("`").replace("<uuid:pk>", "00000000-0000-0000-0000-000000000000")
    answer = Api().request(method, where, None if method in ("GET", "DELETE") else {})
    refused = (answer.status, answer.code) == (401, "not_authenticated")
    assert refused == (who != "anyone"), answer.body
