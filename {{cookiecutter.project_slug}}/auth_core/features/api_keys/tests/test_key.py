"""KEY: what an API key is, how it is sent, what it opens, how it ends, and who hears of it."""

import base64
import io
import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import path, reverse
from drf_spectacular.generators import SchemaGenerator
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import AllowAny, IsAdminUser, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from auth_core import policy
from auth_core.audit.models import AuditEvent
from auth_core.contract import test_log_secrets
from auth_core.contract.marks import admin_is_here, real_transactions
from auth_core.contract.permissions import rows
from auth_core.contract.test_log import broken_trail, submit
from auth_core.features.api_keys import creation, keys, services
from auth_core.features.api_keys.models import ApiKey
from auth_core.features.api_keys.permissions import has_scope
from auth_core.sessions.models import AuthSession
from auth_core.testing import (
    OTHER_PASSWORD,
    PASSWORD,
    Account,
    Answer,
    Api,
    at_once,
    link_secrets,
)
from config.urls import urlpatterns as project_urlpatterns

pytestmark = [pytest.mark.django_db, pytest.mark.inside, pytest.mark.urls(__name__)]

everything_logged = test_log_secrets.everything_logged

DAY = 86_400
# Of a feature: mypy reads the kernel's.
SCOPES: list[str] = [*django_settings.API_KEY_SCOPES]  # type: ignore[misc]
MAX_DAYS: int = django_settings.API_KEY_MAX_DAYS  # type: ignore[misc]
LAST_USED_MINUTES: int = django_settings.API_KEY_LAST_USED_MINUTES  # type: ignore[misc]
READ, WRITE = SCOPES[0], SCOPES[-1]
there_are_two_scopes = pytest.mark.skipif(READ == WRITE, reason="API_KEY_SCOPES has one only")
MANY = 1000


class Orders(APIView):
    """Stands for a view of the team's that scripts may call, too."""

    permission_classes: Any = (has_scope(read=READ, write=WRITE),)

    def get(self, request: Request) -> Response:
        return Response({"user": request.user.pk, "key": isinstance(request.auth, ApiKey)})

    post = put = patch = delete = get


class Reports(Orders):
    """... that only read."""

    permission_classes = (has_scope(read=READ),)


class ByUser(Orders):
    """... whose permissions depend on whose request it is."""

    def get_permissions(self) -> Any:
        if self.request.user.is_staff:
            return [IsAuthenticated()]
        return super().get_permissions()


class Forgotten(Orders):
    """... whose author said nothing of keys."""

    permission_classes = (IsAuthenticated,)


class Public(Orders):
    permission_classes = (AllowAny,)


class Either(Orders):
    """... that would let in the key of an administrator, whatever its scopes."""

    permission_classes = (has_scope(read=READ) | IsAdminUser,)


VIEWS = {"orders": Orders, "reports": Reports, "by-user": ByUser}
CLOSED = {"forgotten": Forgotten, "public": Public, "either": Either}
# For these tests, which name this module as their URLconf.
own_urlpatterns = [
    path(f"{name}/", view.as_view(), name=name) for name, view in {**VIEWS, **CLOSED}.items()
]
urlpatterns = [*own_urlpatterns, *project_urlpatterns]


def body(**changes: Any) -> dict[str, Any]:
    return {"name": "nightly backup", "scopes": SCOPES, "days": 30, **changes}


def made(session: Api, **changes: Any) -> dict[str, Any]:
    """Make a key; return what the answer tells."""
    answer = session.post("api_key_list", body(**changes))
    assert answer.status == 201, answer.body
    return answer.body


def sender(authorization: str) -> Api:
    return Api(delivery="header", headers={"Authorization": authorization})


def holder(key: str) -> Api:
    """A script with a key."""
    return sender(f"Api-Key {key}")


def basic(name: str, password: str = "") -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


@pytest.fixture
def session(account: Account) -> Api:
    return account.log_in()


@pytest.fixture
def key(session: Api) -> str:
    return str(made(session)["key"])


def refusal(key: str) -> tuple[int, str | None]:
    answer = holder(key).get("orders")
    return answer.status, answer.code


def opens(key: str) -> bool:
    answer = holder(key).get("orders")
    assert (answer.status, answer.code) in [
        (200, None),
        (401, "key_revoked"),
        (401, "key_expired"),
        (401, "key_not_valid"),
    ]
    return answer.status == 200


def events(name: str) -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(event=name).order_by("time"))


# --- What it is ------------------------------------------------------------------------------


def test_a_key_is_shown_once_and_stored_as_a_hash(session: Api, account: Account) -> None:
    """KEY-01: the answer shows it; no list, row or later answer does; the row's hash opens nothing."""
    answer = made(session)
    text = answer.pop("key")
    secret = text.removeprefix(f"{answer['prefix']}_")
    assert session.get("api_key_list").body == [answer]
    row = ApiKey.objects.get()
    stored = json.dumps(list(ApiKey.objects.values()), default=str)
    assert text not in stored
    assert secret[:20] not in stored
    sent = keys.parse(text)
    assert sent == (row.pk, row.secret_hash)
    assert len(bytes.fromhex(row.secret_hash)) == 32
    forged = f"{row.prefix}_{row.secret_hash[:43]}"
    assert refusal(forged + keys._checksum(forged)) == (401, "key_not_valid")
    assert opens(text)


def test_a_key_holds_256_random_bits() -> None:
    """KEY-01: of the operating system's source; no two alike, each letter and digit occurs."""
    some_id = ApiKey().pk
    secrets = {keys.make(some_id)[0].rpartition("_")[2][:-8] for _ in range(MANY)}
    assert len(secrets) == MANY
    alphabet = set("".join(secrets))
    assert {len(secret) for secret in secrets} == {43}
    assert len(alphabet) ** 43 >= 2**256


def test_a_mistyped_key_is_known_without_the_database(
    key: str, django_assert_num_queries: Any
) -> None:
    """KEY-01: the checksum covers every sign, the prefix included."""
    for place, sign in enumerate(key):
        other = "b" if sign != "b" else "c"
        mistyped = key[:place] + other + key[place + 1 :]
        with django_assert_num_queries(0):
            assert keys.parse(mistyped) is None
    assert keys.parse(key)


@pytest.mark.parametrize("prefix", ["other_key", "x", "a_b_c1"])
def test_a_project_that_is_renamed_keeps_its_keys(key: str, settings: Any, prefix: str) -> None:
    """KEY-01: the prefix is for people and scanners."""
    settings.API_KEY_PREFIX = prefix
    assert opens(key)


def test_a_scanner_of_secrets_finds_a_key(key: str) -> None:
    """KEY-06: by the pattern that the document gives, alone and within a line of code."""
    document = (django_settings.BASE_DIR / "docs" / "contract.md").read_text(encoding="utf-8")
    patterns = re.findall(r"^ {4}(\S+_\[0-9a-f\]\S+)$", document, re.MULTILINE)
    (pattern,) = patterns
    for text in (key, f'TOKEN = "{key}"', f"curl -u {key}: https://api.example.com"):
        assert re.findall(pattern, text) == [key]


# --- How it is sent --------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["Api-Key", "api-key", "API-KEY"])
def test_a_key_is_sent_in_the_header(scheme: str, key: str, account: Account) -> None:
    """KEY-02: Authorization: Api-Key KEY; the request is its user's."""
    answer = sender(f"{scheme} {key}").get("orders")
    assert (answer.status, answer.body) == (200, {"user": str(account.user.pk), "key": True})


def test_a_key_is_a_user_name_without_a_password(key: str) -> None:
    """KEY-02: as `curl -u KEY:` sends it; with a password it is somebody else's user name."""
    assert sender(basic(key)).get("orders").body["key"] is True
    assert sender(basic(key).replace("Basic", "bAsIc")).get("orders").status == 200
    refused = sender(basic(key, "x")).get("orders")
    assert (refused.status, refused.code) == (401, "not_authenticated")


def broken(user: Any, request: Any) -> None:
    raise RuntimeError


def test_what_fails_lets_no_key_in(key: str, settings: Any) -> None:
    """A restriction that raises an unexpected error refuses the request of a key."""
    assert holder(key).get("orders").status == 200
    settings.USER_RESTRICTIONS = [f"{__name__}.broken"]
    assert holder(key).get("orders").status == 500
    assert holder(key).post("orders").status == 500


def test_a_key_elsewhere_is_none(key: str) -> None:
    """KEY-02: in the query, the body, a cookie or a header of another name it opens nothing."""
    stranger = Api(delivery="header")
    names = ("api_key", "api-key", "key", "access_token", "token", "Authorization")
    answers = [stranger.get(f"{reverse('orders')}?{name}={quote(key)}") for name in names]
    answers += [stranger.post("orders", {name: key}) for name in names]
    answers += [stranger.get("orders", Cookie=f"{name}={key}") for name in names]
    answers += [stranger.get("orders", **{"X-Api-Key": key, "X-Authorization": f"Api-Key {key}"})]
    assert {(answer.status, answer.code) for answer in answers} == {(401, "not_authenticated")}
    as_token = sender(f"{policy.AUTH_HEADER_TYPE} {key}").get("orders")
    assert (as_token.status, as_token.code) == (401, "token_not_valid")


@pytest.mark.parametrize("text", ["", " ", "x", "Ünïcödé", "a" * 5000, "=", "_" * 90, "a_b_c"])
def test_what_is_no_key_is_401(text: str) -> None:
    """KEY-02: whatever stands behind the scheme; and other Basic credentials are nobody's key."""
    answer = sender(f"Api-Key {text}").get("orders")
    assert (answer.status, answer.code) == (401, "key_not_valid")
    assert answer.headers["WWW-Authenticate"] == 'Api-Key realm="api"'
    for credentials in (
        basic(text),
        f"Basic {text}",
        basic("proxy", "secret"),
        "Basic /w==",
        "Basic",
    ):
        answer = sender(credentials).get("orders")
        assert (answer.status, answer.code) == (401, "not_authenticated"), credentials
        # Never Basic, for which browsers ask people.
        assert answer.headers["WWW-Authenticate"].startswith(policy.AUTH_HEADER_TYPE)


@pytest.mark.parametrize("change", ["x{}", "{}x", "{0} {0}", "{}\x00", "{}é", "cut off"])
def test_a_mistyped_key_is_told_so_either_way(change: str, key: str) -> None:
    """KEY-02: what begins like a key is taken for one, as a user name, too."""
    text = key[:-9] if change == "cut off" else change.format(key)
    for credentials in (f"Api-Key {text}", basic(text)):
        answer = sender(credentials).get("orders")
        assert (answer.status, answer.code) == (401, "key_not_valid")
        assert answer.headers["WWW-Authenticate"] == 'Api-Key realm="api"'


def test_a_proxys_credentials_do_not_stand_in_the_way(session: Api) -> None:
    """KEY-02: Basic of somebody else beside the cookies is not ours to judge."""
    if session.by_cookie:
        assert session.get("orders", Authorization=basic("proxy", "secret")).status == 200


def test_a_key_counts_alone_beside_cookies(
    account: Account, session: Api, other_account: Account, key: str
) -> None:
    """KEY-02: it was sent on purpose: no CSRF token is needed, dead cookies do no harm."""
    if session.by_cookie:
        jar = {"Cookie": other_account.log_in()._session_headers()["Cookie"]}
        for cookies in (jar, {"Cookie": "access=dead; refresh=dead"}):
            answer = holder(key).post("orders", **cookies)
            assert answer.body == {"user": str(account.user.pk), "key": True}
            refused = holder(f"{key}x").post("orders", **cookies)
            assert (refused.status, refused.cookies.output()) == (401, "")


# --- What it opens ---------------------------------------------------------------------------


@there_are_two_scopes
@pytest.mark.parametrize(
    ("scope", "methods"),
    [(READ, ["GET", "HEAD", "OPTIONS"]), (WRITE, ["POST", "PUT", "PATCH", "DELETE"])],
)
def test_a_key_does_what_its_scopes_say(scope: str, methods: list[str], session: Api) -> None:
    """KEY-03: safe methods with the one, the others with the other; 403 names the scope that lacks."""
    script = holder(made(session, scopes=[scope])["key"])
    for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"):
        answer = script.request(method, "orders")
        if method in methods:
            assert answer.status == 200, method
        elif method == "HEAD":
            assert answer.status == 403
        else:
            assert (answer.status, answer.code) == (403, "insufficient_scope")
            assert (WRITE if scope == READ else READ) in answer.body["detail"]


def test_without_a_scope_for_it_no_key_writes(key: str, session: Api) -> None:
    """KEY-03: a view that names a scope to read with is read by keys, and nothing else."""
    assert holder(key).get("reports").status == 200
    refused = holder(key).post("reports")
    assert (refused.status, refused.code) == (403, "insufficient_scope")
    assert refused.body["detail"] == "No API key may do this."
    assert session.post("reports").status == 200


def test_scopes_do_not_bind_sessions(session: Api) -> None:
    """KEY-03: who is logged in may do what the view's other permissions let them."""
    for name in (*VIEWS, *CLOSED):
        if name != "either":
            assert session.post(name).body["key"] is False
    assert Api(delivery="header").get("orders").code == "not_authenticated"


@pytest.mark.parametrize("name", CLOSED)
@pytest.mark.parametrize("staff", [False, True])
def test_a_view_that_says_nothing_of_keys_is_closed_to_them(
    name: str, staff: bool, make_account: Callable[..., Account]
) -> None:
    """KEY-03: the default asks for a login, and a key is none; neither does an `|` let it in."""
    script = holder(made(make_account(is_staff=staff).log_in())["key"])
    for method in ("GET", "POST"):
        answer = script.request(method, name)
        assert (answer.status, answer.code) == (403, "key_not_accepted")
    assert ApiKey.objects.get().last_used_at is None


def test_permissions_may_depend_on_the_keys_user(make_account: Callable[..., Account]) -> None:
    """KEY-03: get_permissions sees whose key it is, and what it returns counts."""
    for staff, status in ((False, 200), (True, 403)):
        script = holder(made(make_account(is_staff=staff).log_in())["key"])
        assert script.get("by-user").status == status


GUARDED = sorted({row for row in rows() if row[2] in ("user", "recent user", "staff")})
PUBLIC = sorted(
    {row for row in rows() if row[2] == "anyone" and row[0] != "GET"},
)


@pytest.mark.parametrize("row", GUARDED, ids=str)
def test_a_key_manages_nothing_of_the_account(
    row: tuple[str, str, str], make_account: Callable[..., Account], mailbox: list[Any]
) -> None:
    """KEY-03: no endpoint of the account takes one: no keys, password, address, session, export."""
    account = make_account(is_staff=True)
    session = account.log_in()
    created = made(session)
    mailbox.clear()
    method, shown, _who = row
    where = shown.strip("`").replace("<uuid:pk>", created["id"])
    new = {"new_password1": OTHER_PASSWORD, "new_password2": OTHER_PASSWORD}
    content = {
        **body(),
        **new,
        "old_password": PASSWORD,
        "password": PASSWORD,
        "email": "x@example.com",
    }
    for header in (f"Api-Key {created['key']}", basic(created["key"])):
        answer = sender(header).request(method, where, None if method == "GET" else content)
        assert (answer.status, answer.code) == (403, "key_not_accepted")
    assert session.is_alive
    assert [each["id"] for each in session.get("api_key_list").body] == [created["id"]]
    assert Api().post("rest_login", account.credentials).status == 200
    assert not mailbox


@pytest.mark.parametrize("row", PUBLIC, ids=str)
def test_public_endpoints_do_not_look_at_a_key(row: tuple[str, str, str], key: str) -> None:
    """KEY-03: they answer, with a good one and a bad one, as without any."""
    where, content = row[1].strip("`"), {"name": "x"}
    answers = [
        Api(delivery="header", headers=headers).request(row[0], where, content)
        for headers in ({}, {"Authorization": f"Api-Key {key}"}, {"Authorization": "Api-Key x"})
    ]
    assert len({(answer.status, answer.code) for answer in answers}) == 1


def test_a_key_is_named_and_says_when_it_was_used(session: Api, clock: Any) -> None:
    """KEY-03: name, scopes, expiry and last use, each where its owner looks."""
    created = made(session, name="  CI of the shop ", scopes=[READ, READ], days=MAX_DAYS)
    (listed,) = session.get("api_key_list").body
    assert set(listed) == {"id", "name", "prefix", "scopes", "created", "expires", "last_used"}
    assert (listed["name"], listed["scopes"]) == ("CI of the shop", [READ])
    assert listed["last_used"] is None
    assert created["key"].startswith(f"{listed['prefix']}_")
    clock.shift(5)
    assert opens(created["key"])
    (listed,) = session.get("api_key_list").body
    assert listed["created"] < listed["last_used"] < listed["expires"]


def statements(key: str) -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        assert holder(key).get("orders").status == 200
    return [query["sql"].split()[0] for query in queries]


def test_a_key_costs_one_query(key: str, clock: Any) -> None:
    """KEY-03: key and user are read together; the use is written once in ten minutes."""
    assert statements(key) == ["SELECT", "UPDATE"]
    assert statements(key) == ["SELECT"]
    clock.shift(LAST_USED_MINUTES * 60 - 5)
    assert statements(key) == ["SELECT"]
    clock.shift(10)
    assert statements(key) == ["SELECT", "UPDATE"]
    assert statements(key) == ["SELECT"]


def test_racing_requests_write_the_use_once(key: str, clock: Any) -> None:
    """KEY-03: whoever read the key before another one wrote it writes nothing."""
    read_before = ApiKey.objects.get()
    assert opens(key)
    (used,) = ApiKey.objects.values_list("last_used_at", flat=True)
    clock.shift(5)
    services.note_use(read_before)
    assert ApiKey.objects.get().last_used_at == used


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": " "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": None}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["admin:everything"]}, "scopes"),
        ({"scopes": [READ, "*"]}, "scopes"),
        ({"scopes": READ}, "scopes"),
        ({"scopes": [[READ]]}, "scopes"),
        ({"scopes": None}, "scopes"),
        ({"days": 0}, "days"),
        ({"days": -1}, "days"),
        ({"days": MAX_DAYS + 1}, "days"),
        ({"days": 1.5}, "days"),
        ({"days": None}, "days"),
    ],
    ids=str,
)
def test_a_bad_request_makes_no_key(changes: Any, field: str, session: Api) -> None:
    """KEY-03: an unknown scope, no scope, no end or one too far away: 400 that names the field."""
    answer = session.post("api_key_list", body(**changes))
    assert (answer.status, [*answer.body["codes"]]) == (400, [field])
    without = body()
    del without[field]
    assert session.post("api_key_list", without).body["codes"] == {field: ["required"]}
    assert not ApiKey.objects.exists()


def test_an_unknown_scope_is_answered_with_the_known_ones(session: Api) -> None:
    answer = session.post("api_key_list", body(scopes=["everything"]))
    (message,) = answer.body["scopes"]["0"]
    assert "everything" in message
    assert READ in message


def test_a_view_cannot_ask_for_a_scope_that_nobody_can_have() -> None:
    for wrong in ({"read": "raed"}, {"write": "*"}):
        with pytest.raises(ImproperlyConfigured, match="API_KEY_SCOPES"):
            has_scope(**wrong)


@pytest.mark.parametrize(
    ("name", "value", "fine"),
    [
        ("API_KEY_PREFIX", "shop_key", True),
        ("API_KEY_PREFIX", "", False),
        ("API_KEY_PREFIX", "Shop-Key", False),
        ("API_KEY_SCOPES", {"orders:read": "Read orders"}, True),
        ("API_KEY_SCOPES", {"read orders": "Read orders"}, False),
        ("API_KEY_SCOPES", {}, False),
    ],
)
def test_settings_that_cannot_work_are_errors(
    name: str, value: Any, fine: bool, settings: Any
) -> None:
    setattr(settings, name, value)
    assert ("auth_api_keys.E001" in {each.id for each in run_checks()}) != fine


def test_the_document_says_which_operations_take_a_key() -> None:
    """KEY-02: by which header, with which scopes; and which operations do not."""
    document = SchemaGenerator(patterns=own_urlpatterns).get_schema(request=None, public=True)
    kinds = {name: it["type"] for name, it in document["components"]["securitySchemes"].items()}
    assert (kinds["apiKey"], kinds["apiKeyAsUserName"]) == ("apiKey", "http")
    paths = document["paths"]
    for method, scope in (("get", READ), ("post", WRITE)):
        assert {"apiKey": [scope]} in paths["/orders/"][method]["security"]
        assert {"apiKeyAsUserName": [scope]} in paths["/orders/"][method]["security"]
    for name, method in (("reports", "post"), ("forgotten", "get"), ("either", "get")):
        assert "apiKey" not in str(paths[f"/{name}/"][method]["security"])


# --- How it ends -----------------------------------------------------------------------------


def test_a_revoked_key_is_dead_at_once(session: Api, key: str) -> None:
    """KEY-04: and stays so; the list no longer has it."""
    other = made(session)
    url = reverse("api_key", args=[other["id"]])
    assert opens(other["key"])
    assert session.delete(url).status == 204
    assert refusal(other["key"]) == (401, "key_revoked")
    assert session.delete(url).status == 404
    assert opens(key)
    assert len(session.get("api_key_list").body) == 1


def test_all_keys_are_revoked_together(session: Api, key: str) -> None:
    """KEY-04: what somebody may want after a change of the password (ASVS 7.4.3)."""
    other = made(session)["key"]
    assert session.delete("api_key_list").status == 204
    assert [opens(each) for each in (key, other)] == [False, False]
    assert session.get("api_key_list").body == []
    assert session.delete("api_key_list").status == 204


def test_an_expired_key_is_dead(account: Account, session: Api, clock: Any) -> None:
    """KEY-04: to the second; it stays in the list, so that its owner sees why."""
    text = made(session, days=1)["key"]
    clock.shift(DAY - 5)
    assert opens(text)
    clock.shift(10)
    assert refusal(text) == (401, "key_expired")
    assert len(account.log_in().get("api_key_list").body) == 1


def test_a_deactivated_users_keys_are_dead_for_good(account: Account, key: str) -> None:
    """KEY-04: at once, however that was done; after a save reactivation revives none."""
    users = get_user_model()._default_manager
    users.filter(pk=account.user.pk).update(is_active=False)
    assert refusal(key) == (401, "key_revoked")
    user = users.get(pk=account.user.pk)
    user.save()
    user.is_active = True
    user.save()
    assert refusal(key) == (401, "key_revoked")
    (event,) = events("authn_key_revoked")
    assert (event.user_id, event.detail["reason"]) == (user.pk, "deactivated")


def bulk_update(user: Any, is_active: bool) -> None:
    user.is_active = is_active
    get_user_model()._default_manager.bulk_update([user], ["is_active"])


def update(user: Any, is_active: bool) -> None:
    get_user_model()._default_manager.filter(pk=user.pk).update(is_active=is_active)


@pytest.mark.parametrize("write", [update, bulk_update])
def test_no_write_of_many_revives_a_key(
    write: Any, account: Account, other_account: Account, session: Api, key: str
) -> None:
    """KEY-07: deactivated and back, with the sessions; nobody else's ends."""
    other = made(other_account.log_in())["key"]
    write(account.user, is_active=False)
    assert refusal(key) == (401, "key_revoked")
    write(account.user, is_active=True)
    assert refusal(key) == (401, "key_revoked")
    assert not session.is_alive
    assert opens(other)
    (event,) = events("authn_key_revoked")
    assert (event.user_id, event.detail["reason"]) == (account.user.pk, "deactivated")


def test_a_password_changed_past_the_project_ends_no_key(account: Account, key: str) -> None:
    """Scripts go on; `resetpasswords` ends them, as a recovery does."""
    get_user_model()._base_manager.filter(pk=account.user.pk).update(password="x")
    assert opens(key)
    call_command("resetpasswords", user=str(account.user.pk), stdout=io.StringIO())
    assert refusal(key) == (401, "key_revoked")


def test_a_deleted_users_keys_are_gone(session: Api, key: str) -> None:
    """KEY-04: with their rows."""
    assert session.delete("rest_user_details").status == 204
    assert refusal(key) == (401, "key_not_valid")
    assert not ApiKey.objects.exists()


def reset_the_password(account: Account, session: Api, mailbox: list[Any]) -> None:
    Api().post("rest_password_reset", {"email": account.user.email})
    new = {"new_password1": OTHER_PASSWORD, "new_password2": OTHER_PASSWORD}
    link = link_secrets(mailbox[-1])
    assert Api().post("rest_password_reset_confirm", {**link, **new}).status == 200


def take_a_change_back(account: Account, session: Api, mailbox: list[Any]) -> None:
    change_the_address(account, session, mailbox)
    undo = link_secrets(mailbox[-1])
    assert Api().post("email_change_undo", undo).status == 200


def change_the_address(account: Account, session: Api, mailbox: list[Any]) -> None:
    session.post("email_change", {"email": "new@example.com"})
    assert Api().post("email_change_confirm", link_secrets(mailbox[-1])).status == 200


def change_the_password(account: Account, session: Api, mailbox: list[Any]) -> None:
    new = {"new_password1": OTHER_PASSWORD, "new_password2": OTHER_PASSWORD}
    answer = session.post("rest_password_change", {"old_password": PASSWORD, **new})
    assert answer.status == 200


def log_out_everywhere(account: Account, session: Api, mailbox: list[Any]) -> None:
    assert session.post("logout_all").status == 200


@pytest.mark.parametrize(
    ("act", "survives"),
    [
        (reset_the_password, False),
        (take_a_change_back, False),
        (change_the_address, True),
        (change_the_password, True),
        (log_out_everywhere, True),
    ],
)
def test_who_takes_the_account_back_ends_its_keys(
    act: Any, survives: bool, account: Account, session: Api, key: str, mailbox: list[Any]
) -> None:
    """KEY-04: a thief may have made one; what an owner does who is logged in stops no script."""
    act(account, session, mailbox)
    assert opens(key) == survives
    assert len(events("authn_key_revoked")) == (not survives)


def test_keys_are_their_owners(
    session: Api, key: str, make_account: Callable[..., Account]
) -> None:
    """KEY-04: nobody else lists or revokes them, no administrator either; 404 as for none."""
    (listed,) = session.get("api_key_list").body
    for rights in ({}, {"is_staff": True, "is_superuser": True}):
        stranger = make_account(**rights).log_in()
        assert stranger.get("api_key_list").body == []
        url = reverse("api_key", args=[listed["id"]])
        assert stranger.delete(url).status == 404
        assert stranger.delete("api_key_list").status == 204
    assert Api(delivery="header").get("api_key_list").code == "not_authenticated"
    assert opens(key)


@admin_is_here
def test_an_operator_s_new_address_ends_keys(
    account: Account, make_account: Callable[..., Account], key: str
) -> None:
    """A thief may have made one, whose address the operator replaces."""
    browser = Client()
    browser.force_login(make_account(is_staff=True, is_superuser=True).user)
    page = reverse("admin:users_user_change", args=[account.user.pk])
    form = {"username": account.user.username or "", "email": "corrected@example.com"}
    joined = {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    assert submit(browser, page, {**form, **joined, "is_active": "on"}).status_code == 302
    assert not ApiKey.objects.unrevoked().exists()


@admin_is_here
def test_an_administrator_revokes(make_account: Callable[..., Account], key: str) -> None:
    """KEY-04: in the admin, where a key is seen without its secret and cannot be made or changed."""
    root = make_account(is_staff=True, is_superuser=True)
    browser = Client()
    browser.force_login(root.user)
    pages, row = "admin:auth_api_keys_apikey", ApiKey.objects.get()
    for term, found in ((key, True), (row.prefix, True), ("nightly", True), ("0" * 32, False)):
        listed = browser.get(reverse(f"{pages}_changelist"), {"q": term}).content.decode()
        assert (f"{row.prefix}</a>" in listed) == found, term
    shown = browser.get(reverse(f"{pages}_change", args=[row.pk])).content.decode()
    assert "nightly backup" in shown
    assert row.secret_hash not in shown
    assert browser.get(reverse(f"{pages}_add")).status_code == 403
    chosen = {"action": "revoke", "_selected_action": [row.pk]}
    submit(browser, reverse(f"{pages}_changelist"), chosen)
    assert refusal(key) == (401, "key_revoked")
    (event,) = events("authn_key_revoked")
    assert (event.user_id, event.actor_id, event.detail["reason"]) == (
        row.user_id,
        root.user.pk,
        "admin",
    )


def test_keys_that_ended_long_ago_are_purged(session: Api, clock: Any) -> None:
    """A week after they were revoked or expired; those that live stay."""
    revoked, expired, living = (made(session, days=days) for days in (30, 1, 30))
    session.delete(reverse("api_key", args=[revoked["id"]]))
    clock.shift(7 * DAY - 5)
    call_command("purge", stdout=io.StringIO())
    assert ApiKey.objects.count() == 3
    clock.shift(DAY + 10)
    call_command("purge", stdout=io.StringIO())
    assert [str(key.pk) for key in ApiKey.objects.all()] == [living["id"]]
    assert refusal(revoked["key"]) == refusal(expired["key"]) == (401, "key_not_valid")


def test_an_export_lists_keys_without_secrets(session: Api, key: str) -> None:
    other = made(session)
    session.delete(reverse("api_key", args=[other["id"]]))
    exported = session.get("user_export").body
    assert [each["revoked"] is None for each in exported["other"]["api_keys"]] == [False, True]
    hashes = ApiKey.objects.values_list("secret_hash", flat=True)
    for secret in (key, other["key"], *hashes):
        assert secret not in json.dumps(exported)


# --- Making one ------------------------------------------------------------------------------


def test_a_key_is_made_right_after_a_login(
    account: Account, session: Api, clock: Any, mailbox: list[Any]
) -> None:
    """KEY-05: or after reauthenticate/; listing and revoking need no more than the session."""
    clock.shift(policy.REAUTHENTICATION_MINUTES * 60 + 1)
    session = session.refreshed()
    refused = session.post("api_key_list", body())
    assert (refused.status, refused.code) == (403, "reauthentication_required")
    assert not ApiKey.objects.exists()
    assert session.get("api_key_list").status == 200
    session.post("reauthenticate", {"password": PASSWORD})
    url = reverse("api_key", args=[made(session)["id"]])
    clock.shift(policy.REAUTHENTICATION_MINUTES * 60 + 1)
    assert session.refreshed().delete(url).status == 204


def test_the_user_is_told_of_a_new_key(account: Account, session: Api, mailbox: list[Any]) -> None:
    """KEY-05: with how it begins and what it may do, not the key, nor what a thief would call it."""
    mailbox.clear()
    created = made(session, name="http://evil.example")
    (message,) = mailbox
    assert message.to == [account.user.email]
    assert message.subject.endswith("An API key was made")
    assert created["prefix"] in message.body
    assert READ in message.body
    assert "127.0.0.1" in message.body
    assert created["key"] not in message.body
    assert "evil.example" not in message.body


def test_making_and_revoking_are_on_the_trail(session: Api, account: Account) -> None:
    """KEY-05: who, which key, what it may do; never the key."""
    client = replace(session, headers={"X-Request-ID": "one-request", "User-Agent": "agent"})
    created = made(client, days=7)
    client.delete(reverse("api_key", args=[created["id"]]))
    (making,), (revoking,) = events("authn_key_created"), events("authn_key_revoked")
    for event in (making, revoking):
        assert (event.outcome, event.user_id, event.actor_id) == (
            "success",
            account.user.pk,
            account.user.pk,
        )
        assert (event.ip, event.user_agent, event.request_id) == (
            "127.0.0.1",
            "agent",
            "one-request",
        )
        assert event.detail["api_key"] == created["id"]
    assert (making.detail["days"], making.detail["scopes"]) == (7, " ".join(sorted(SCOPES)))
    assert revoking.detail["reason"] == "revoked"
    assert session.get("session_list").body[0]["id"] == str(making.session_id)


@real_transactions
def test_what_cannot_be_recorded_does_not_happen(session: Api, mailbox: list[Any]) -> None:
    """KEY-05: without the trail no key is made or revoked."""
    created = made(session)
    mailbox.clear()
    with broken_trail():
        answers = [
            session.post("api_key_list", body()),
            session.delete(reverse("api_key", args=[created["id"]])),
        ]
    assert [answer.status for answer in answers] == [503, 503]
    assert ApiKey.objects.live().count() == 1
    assert not mailbox


def test_a_user_has_so_many_keys(
    session: Api, monkeypatch: pytest.MonkeyPatch, other_account: Account
) -> None:
    """KEY-05: one more is 400; revoking one makes room; others have their own."""
    monkeypatch.setattr(creation, "MAX_KEYS", 2)
    first = made(session)
    made(session)
    refused = session.post("api_key_list", body())
    assert (refused.status, refused.code) == (400, "too_many_keys")
    assert "2" in refused.body["non_field_errors"][0]
    made(other_account.log_in())
    session.delete(reverse("api_key", args=[first["id"]]))
    made(session)


@real_transactions
def test_racing_requests_make_no_more(session: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """KEY-05: the limit holds whoever races."""
    monkeypatch.setattr(creation, "MAX_KEYS", 3)
    answers = at_once(*[partial(session.post, "api_key_list", body())] * 6)
    assert sorted(answer.status for answer in answers) == [201] * 3 + [400] * 3
    assert ApiKey.objects.count() == 3


def test_keys_are_not_made_without_end(session: Api, settings: Any) -> None:
    """KEY-05: each is a mail and a row: 429 beyond the limit."""
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "api_keys": "2/h/user"}
    statuses = [session.post("api_key_list", body()).status for _ in range(3)]
    assert statuses == [201, 201, 429]


def test_a_session_that_ended_meanwhile_makes_no_key(session: Api, account: Account) -> None:
    """KEY-05: a reset that commits between the two looks at the session lets no key slip through."""
    row = AuthSession.objects.get()
    request = APIRequestFactory().post("/")
    arguments: Any = {"name": "x", "scopes": SCOPES, "days": 1, "request": request}
    user = get_user_model()._default_manager.get(pk=account.user.pk)
    for change in ({"password": "changed"}, {"is_active": False}):
        before = {name: getattr(user, name) for name in change}
        get_user_model()._default_manager.filter(pk=user.pk).update(**change)
        with pytest.raises(AuthenticationFailed):
            creation.create(row, **arguments)
        get_user_model()._default_manager.filter(pk=user.pk).update(**before)
    AuthSession.objects.update(revoked_at=row.created_at)
    with pytest.raises(AuthenticationFailed):
        creation.create(row, **arguments)
    assert not ApiKey.objects.exists()


# --- Bad ones --------------------------------------------------------------------------------


def attempts(number: int, key: str, **headers: str) -> list[Answer]:
    return [holder(key).get("orders", **headers) for _ in range(number)]


def test_bad_keys_are_throttled(key: str, clock: Any, settings: Any) -> None:
    """KEY-05: by network, as wrong passwords are; a good key beside them is never refused."""
    document = (django_settings.BASE_DIR / "docs" / "security.md").read_text(encoding="utf-8")
    assert f"`api_key_failed` (`{settings.RATE_LIMITS['api_key_failed']}`)" in document
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "api_key_failed": "3/m/ip"}
    clock.move_to((time.time() // DAY + 1) * DAY, tick=False)
    bad = f"{key[:-1]}{'0' if key[-1] != '0' else '1'}"
    answers = attempts(5, bad)
    assert [answer.status for answer in answers] == [401, 401, 401, 429, 429]
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert answers[-1].code == "throttled"
    assert refusal(f"{bad}0") == (429, "throttled")
    assert opens(key)
    assert attempts(1, bad, REMOTE_ADDR="198.51.100.1")[0].status == 401
    (refused,) = events("excess_rate_limit_exceeded")
    assert "api_key_failed" in refused.detail["limit"]
    clock.shift(60)
    assert refusal(bad) == (401, "key_not_valid")


def test_bad_keys_are_on_the_trail(account: Account, session: Api, clock: Any) -> None:
    """KEY-05: with the reason and, where the secret was right, whose it is."""
    revoked, expired = made(session), made(session, days=1)
    session.delete(reverse("api_key", args=[revoked["id"]]))
    clock.shift(DAY + 1)
    unknown = f"{keys.prefix_of(ApiKey().pk)}_{'a' * 43}"
    for text in (revoked["key"], expired["key"], unknown + keys._checksum(unknown), "x"):
        assert not opens(text)
        clock.shift(1)  # events of one moment have no order
    assert [
        (event.outcome, event.detail["reason"], event.user_id, event.detail.get("api_key"))
        for event in events("authn_login_fail")
    ] == [
        ("failure", "key_revoked", account.user.pk, revoked["id"]),
        ("failure", "key_expired", account.user.pk, expired["id"]),
        ("failure", "key_not_valid", None, None),
        ("failure", "key_not_valid", None, None),
    ]


def test_the_hashes_are_compared_in_constant_time(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KEY-05: and nothing but that comparison decides."""
    compared: list[Any] = []

    def refuse(*values: str) -> bool:
        compared.append(values)
        return False

    monkeypatch.setattr(services, "constant_time_compare", refuse)
    assert refusal(key) == (401, "key_not_valid")
    stored = ApiKey.objects.get().secret_hash
    assert compared == [(stored, stored)]


def test_a_key_is_found_in_no_log(
    key: str, session: Api, everything_logged: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KEY-01: neither sent well nor badly, nor where it is made, revoked or refused, nor in a report."""
    created = made(session)
    texts = [key, created["key"], f"{key}x"]
    for text in texts:
        for header in (f"Api-Key {text}", basic(text), basic(text, "x")):
            for name in ("orders", "forgotten", "rest_user_details", "rest_logout"):
                sender(header).post(name)
    session.delete(reverse("api_key", args=[created["id"]]))
    opens(created["key"])
    secrets = {text.rpartition("_")[2][:43] for text in texts}
    secrets |= {basic(text).partition(" ")[2][:80] for text in texts}
    lines = everything_logged.getvalue()
    assert "/orders/" in lines
    assert [secret for secret in secrets if secret in lines] == []
    trail = json.dumps(list(AuditEvent.objects.values()), default=str)
    assert [secret for secret in secrets if secret in trail] == []
