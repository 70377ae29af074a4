"""CKE: what travels by itself must not be abused: cookies and cross-site requests."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth import get_user_model
from django.test import Client, override_settings
from django.urls import URLPattern, reverse
from django.utils.crypto import salted_hmac

from auth_core import policy, urls
from auth_core.audit.models import AuditEvent
from auth_core.http.views import PublicEndpoint
from auth_core.sessions.keys import Key
from auth_core.sessions.models import AuthSession
from auth_core.sessions.tokens import AccessToken, RefreshToken
from auth_core.testing import (
    BASE_URL,
    OTHER_PASSWORD,
    Account,
    Answer,
    Api,
    claims_of,
    cookie_name,
    link_secrets,
    registration,
    stops_the_start,
)

pytestmark = pytest.mark.django_db

NO_PROOF = {"X-CSRF-Token": ""}
OWN_ORIGIN = BASE_URL or "http://testserver"
KINDS = ("access", "refresh")
# Every endpoint that takes no login: it proves identity itself, and may hand out cookies.
PATTERNS = [each for each in urls.urlpatterns if isinstance(each, URLPattern) and each.name]
VIEWS = {str(each.name): getattr(each.callback, "view_class", object) for each in PATTERNS}
PUBLIC = [
    name
    for name, view in VIEWS.items()
    if issubclass(view, PublicEndpoint) and hasattr(view, "post")
]
# One endpoint of each unsafe method that needs a login, and a body that it accepts.
UNSAFE = [
    ("POST", "logout_all", {}),
    ("PUT", "rest_user_details", {"username": "changed", "last_name": "Changed"}),
    ("PATCH", "rest_user_details", {"last_name": "Changed"}),
    ("DELETE", "session_list", None),
]
by_header_too = pytest.mark.skipif(
    policy.TOKEN_DELIVERY == "cookie", reason="no token travels in a header by the policy"
)
registration_gives_tokens = pytest.mark.skipif(
    policy.REGISTRATION != "open" or policy.EMAIL_VERIFICATION == "mandatory",
    reason="registration gives no token by the policy",
)


@pytest.fixture(autouse=True)
def _delivery() -> Iterator[None]:
    """Instead of every delivery of the policy: cookies."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Api, "default_delivery", "cookie")
        yield


@pytest.fixture
def production(settings: Any) -> Api:
    """A client, over https, of this project in production."""
    settings.PRODUCTION = True
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    return Api(headers={"X-Forwarded-Proto": "https"})


def attributes(answer: Answer) -> dict[str, dict[str, Any]]:
    """What the cookies of an answer are sent with, their lifetimes apart."""
    changing = ("max-age", "expires")
    return {
        name: {key: value for key, value in morsel.items() if key not in changing}
        for name, morsel in answer.cookies.items()
    }


def cleared(answer: Answer) -> set[str]:
    """The cookies that an answer deletes."""
    return {
        name.rpartition("-")[2]
        for name, morsel in answer.cookies.items()
        if morsel.value == "" and int(morsel["max-age"]) == 0
    }


def cookies_of(client: Api) -> dict[str, str]:
    return {"Cookie": client._session_headers()["Cookie"]}


def holder(access: str | None, refresh: str | None) -> Api:
    """A browser with these cookies and no CSRF token yet."""
    return Api(access=access, refresh=refresh)


def test_cookies_are_bound_to_host_and_https(production: Api, account: Account) -> None:
    """CKE-01: in production `__Host-`, Secure, HttpOnly, SameSite, Path=/ and no Domain."""
    login = production.post("rest_login", account.credentials)
    refresh = production.with_tokens_of(login).send_refresh()
    for answer in (login, refresh):
        assert answer.status == 200
        assert set(answer.cookies) == {f"__Host-{policy.PROJECT_SLUG}-{kind}" for kind in KINDS}
        for morsel in attributes(answer).values():
            assert morsel["secure"] is True
            assert morsel["httponly"] is True
            assert morsel["path"] == "/"
            assert morsel["domain"] == ""
            assert morsel["samesite"] in ("Lax", "Strict")
    assert production.with_tokens_of(refresh).is_alive


@registration_gives_tokens
def test_cookies_of_a_registration_are_bound_alike(production: Api, account: Account) -> None:
    """CKE-01, CKE-03: registration sends the same cookies as a login, and no token in its body."""
    login = production.post("rest_login", account.credentials)
    answer = production.post("rest_register", registration())
    assert answer.status == 201
    assert attributes(answer) == attributes(login)
    assert not {"access", "refresh"} & set(answer.body)


def test_cookies_die_with_their_tokens(api: Api, account: Account) -> None:
    """CKE-01: the lifetime of a cookie is that of its token, in development as in production."""
    answer = api.post("rest_login", account.credentials)
    lifetimes = {
        name.rpartition("-")[2]: int(morsel["max-age"]) for name, morsel in answer.cookies.items()
    }
    minutes, days = policy.ACCESS_TOKEN_MINUTES * 60, policy.REFRESH_TOKEN_DAYS * 86400
    assert lifetimes == {
        "access": pytest.approx(minutes, abs=5),
        "refresh": pytest.approx(days, abs=5),
    }
    assert all(morsel["httponly"] for morsel in attributes(answer).values())


@pytest.mark.inside
@pytest.mark.parametrize(
    ("samesite", "origins", "refused"),
    [
        ("Lax", [], False),
        ("Strict", [], False),
        ("None", [], True),
        ("None", ["https://app.example.com"], False),
        ("none", ["https://app.example.com"], True),
        (None, ["https://app.example.com"], True),
    ],
)
def test_samesite_none_needs_a_list_of_frontends(
    settings: Any, samesite: str | None, origins: list[str], refused: bool
) -> None:
    """CKE-02: SameSite=None is refused without an allow-list; anything unknown is refused."""
    settings.TOKEN_COOKIE_SAMESITE = samesite
    settings.CORS_ALLOWED_ORIGINS = origins
    assert stops_the_start("auth_cookies") == refused


@pytest.mark.inside
def test_samesite_none_needs_the_csrf_proof(settings: Any) -> None:
    """CKE-02: SameSite=None is refused where an authentication without the proof is in place."""
    settings.TOKEN_COOKIE_SAMESITE = "None"
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example.com"]
    settings.REST_FRAMEWORK = {
        **settings.REST_FRAMEWORK,
        "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.BasicAuthentication"],
    }
    assert stops_the_start("auth_cookies")


def test_no_token_is_told_but_in_a_cookie(api: Api, account: Account) -> None:
    """CKE-03: no body and no other header carries a token, whichever endpoint answers."""
    login = api.post("rest_login", account.credentials)
    client = api.with_tokens_of(login)
    refreshed = client.send_refresh()
    following = client.with_tokens_of(refreshed)
    answers = [
        login,
        refreshed,
        following.get("csrf"),
        following.get("rest_user_details"),
        following.get("session_list"),
        following.post("rest_login", {**account.credentials, "password": "wrong"}),
        following.post("token_refresh", {"refresh": [following.refresh]}),
        following.post("rest_logout"),
    ]
    tokens = [client.access, client.refresh, following.access, following.refresh]
    for answer in answers:
        headers = {k: v for k, v in answer.headers.items() if k.lower() != "set-cookie"}
        told = f"{answer.body!r}{headers}"
        # The signature alone would do, and every one of our tokens begins so.
        assert not any(token.rpartition(".")[2] in told for token in tokens if token)
        assert "eyJ" not in told


def test_cookies_fit_into_a_browser(api: Api, account: Account, monkeypatch: Any) -> None:
    """CKE-04: name and value stay below 4096 bytes, with claims of 200 characters, too."""
    for token_class in (AccessToken, RefreshToken):
        for claim in ("issuer", "audience"):
            monkeypatch.setattr(token_class.backend, claim, "x" * 200)
    answer = api.post("rest_login", account.credentials)
    for name, morsel in answer.cookies.items():
        assert len("x" * 400) < len(f"__Host-{name}{morsel.value}") < 4096
    assert api.with_tokens_of(answer).is_alive


@pytest.mark.parametrize("name", ["rest_logout", "logout_all"])
def test_logout_takes_everything_away(api: Api, account: Account, name: str) -> None:
    """CKE-05: logout expires the cookies as they were set, and has the browser empty its storage alone."""
    login = api.post("rest_login", account.credentials)
    logout = api.with_tokens_of(login).post(name)
    assert logout.status == 200
    assert cleared(logout) == set(KINDS)
    assert attributes(logout) == attributes(login)
    assert logout.headers["Clear-Site-Data"] == '"storage"'


def test_logout_takes_everything_away_in_production(production: Api, account: Account) -> None:
    """CKE-05: the same with the attributes of production."""
    login = production.post("rest_login", account.credentials)
    logout = production.with_tokens_of(login).post("rest_logout")
    assert set(logout.cookies) == set(map(cookie_name, KINDS))
    assert attributes(logout) == attributes(login)


@pytest.mark.parametrize(("method", "name", "body"), UNSAFE)
def test_an_unsafe_request_needs_a_proof(
    account: Account, method: str, name: str, body: Any
) -> None:
    """CKE-06: POST, PUT, PATCH and DELETE by cookie: 403 without the proof, and nothing changes."""
    client, other = account.log_in(), account.log_in()
    before = client.get("rest_user_details").body
    forged = ["", "x", ".", "x.y", Api(delivery="header").fetch_csrf(), f"{client.csrf}0"]
    for token in forged:
        refused = client.request(method, name, body, **{"X-CSRF-Token": token})
        assert (refused.status, refused.code) == (403, "csrf_failed"), token
        assert not refused.cookies
    assert client.get("rest_user_details").body == before
    assert other.is_alive
    assert client.request(method, name, body).status in (200, 204)


@by_header_too
@pytest.mark.parametrize(("method", "name", "body"), UNSAFE)
def test_a_header_needs_no_proof(account: Account, method: str, name: str, body: Any) -> None:
    """CKE-06: what travels in a header was sent on purpose."""
    client = account.log_in("header")
    assert client.request(method, name, body, Origin="https://evil.example").status in (200, 204)


@pytest.mark.parametrize("name", ["token_refresh", "rest_logout"])
def test_refresh_and_logout_need_a_proof(account: Account, name: str) -> None:
    """CKE-07: cookies alone neither refresh nor log out."""
    client = account.log_in()
    of_nobody = Api(delivery="header").fetch_csrf()
    for token in ("", "x.y", of_nobody):
        refused = client.post(name, **{"X-CSRF-Token": token})
        assert (refused.status, refused.code) == (403, "csrf_failed")
        assert not refused.cookies
    assert client.is_alive
    second = client.refreshed()
    assert claims_of(second.refresh)["gen"] == claims_of(client.refresh)["gen"] + 1


@pytest.mark.skipif(policy.TOKEN_DELIVERY != "both", reason="cookies are not asked for by request")
@pytest.mark.parametrize(("name", "status"), [("token_refresh", 400), ("rest_logout", 200)])
def test_cookies_that_were_not_asked_for_do_not_count(
    account: Account, name: str, status: int
) -> None:
    """CKE-07: a forger who leaves out X-Token-Delivery reaches neither session nor cookies."""
    client = account.log_in()
    answer = client.post(name, **{"X-Token-Delivery": "", **NO_PROOF})
    assert answer.status in (status, 401)
    assert not answer.cookies
    assert "Clear-Site-Data" not in answer.headers
    assert client.is_alive


STRANGERS = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": f"{OWN_ORIGIN}.evil.example"},
    {"Origin": f"{OWN_ORIGIN}:8443"},
    {"Origin": OWN_ORIGIN.replace("://", "://sub.")},
    {"Origin": "ftp" + OWN_ORIGIN[OWN_ORIGIN.index(":") :]},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


@pytest.mark.parametrize("name", PUBLIC)
def test_a_request_of_another_site_is_refused(api: Api, account: Account, name: str) -> None:
    """CKE-08: login, registration, reset and the like: a foreign Origin or Sec-Fetch-Site is 403."""
    body = account.credentials if name == "rest_login" else {}
    for headers in STRANGERS:
        refused = api.post(name, body, **headers)
        assert (refused.status, refused.code) == (403, "csrf_failed"), headers
        assert not refused.cookies


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_request_needs_a_proof(api: Api, name: str) -> None:
    """CKE-08: nor is any of them answered without a CSRF token (login CSRF)."""
    assert api.post(name, **NO_PROOF).code == "csrf_failed"
    assert api.post(name, **{"X-CSRF-Token": "x.y"}).code == "csrf_failed"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": OWN_ORIGIN},
        {"Origin": OWN_ORIGIN, "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {},
    ],
    ids=str,
)
def test_a_request_of_our_own_is_accepted(
    api: Api, account: Account, headers: dict[str, str]
) -> None:
    """CKE-08: the own origin is no stranger."""
    login = api.post("rest_login", account.credentials, **headers)
    assert login.status == 200
    assert api.with_tokens_of(login).patch("rest_user_details", {}, **headers).status == 200


def test_a_request_of_a_listed_frontend_is_accepted(
    api: Api, account: Account, settings: Any
) -> None:
    """CKE-08: nor is the frontend, nor a listed origin; their look-alikes are."""
    settings.FRONTEND_URL = "https://app.example.com"
    settings.CORS_ALLOWED_ORIGINS = ["https://partner.example.com"]
    for origin, status in [
        ("https://app.example.com", 200),
        ("https://partner.example.com", 200),
        ("http://app.example.com", 403),
        ("https://app.example.com.evil.example", 403),
        ("https://evilapp.example.com", 403),
    ]:
        assert api.post("rest_login", account.credentials, Origin=origin).status == status, origin


OURS = {
    "https://app.example.com": "as it is listed",
    "https://front.example.com:8443": "of FRONTEND_URL",
    "https://shop-git-x1-acme.example": "by a pattern",
    "https://shop-git-x2-acme.example": "by a pattern without an end",
}
THEIRS = [
    "https://app.example.com:8443",
    "https://front.example.com",
    "https://FRONT.example.com:8443",
    "https://app.example.com/",
    "https://shop-git-x1-acme.example.evil.example",
    "https://shop-git-x2-acme.example.evil.example",
    "https://shop-git-x2-acme.example:8443",
    "https://evil.example/https://shop-git-x1-acme.example",
    "http://shop-git-x1-acme.example",
]


@pytest.mark.inside
@pytest.mark.parametrize("origin", [*OURS, *THEIRS])
def test_an_origin_is_ours_for_both_or_for_neither(
    api: Api, account: Account, settings: Any, origin: str
) -> None:
    """CKE-21: CORS and the CSRF proof accept the same: lists, whole matches of patterns, FRONTEND_URL."""
    settings.FRONTEND_URL = "https://Front.example.com:8443/app"
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example.com"]
    settings.CORS_ALLOWED_ORIGIN_REGEXES = [
        r"^https://shop-git-x1-acme\.example$",
        re.compile(r"https://shop-git-x2-acme\.example"),
    ]
    assert not stops_the_start("auth_http")
    login = api.post("rest_login", account.credentials, Origin=origin)
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    preflight = api.request("OPTIONS", "rest_login", **asked)
    is_ours = origin in OURS
    assert login.status == (200 if is_ours else 403)
    for answer in (login, preflight):
        allowed = answer.headers.get("access-control-allow-origin")
        assert allowed == (origin if is_ours else None)
        assert ("access-control-allow-credentials" in answer.headers) == is_ours


FORMS = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x")


@pytest.mark.parametrize("name", [*PUBLIC, "rest_password_change", "logout_all"])
def test_only_json_is_read(account: Account, name: str) -> None:
    """CKE-09: what a form can send is 415 at every endpoint, also where no body is needed."""
    client = account.log_in()
    for content_type in FORMS:
        refused = client.post(name, b'{"a": "="}', content_type=content_type)
        assert (refused.status, refused.code) == (415, "unsupported_media_type"), content_type
    assert client.is_alive


@pytest.mark.inside
@pytest.mark.parametrize("name", ["rest_logout", "logout_all", "token_refresh"])
def test_an_empty_form_is_refused(account: Account, name: str) -> None:
    """CKE-09: a form without a field is a form."""
    client = account.log_in()
    refused = client.post(name, b"", **{"Content-Type": "text/plain"})
    assert refused.status == 415
    assert client.is_alive


def test_a_proof_is_of_one_session(account: Account, other_account: Account) -> None:
    """CKE-10: the CSRF token of another session, own or foreign, proves nothing."""
    client, second, stranger = account.log_in(), account.log_in(), other_account.log_in()
    for csrf in (second.csrf, stranger.csrf):
        forger = replace(client, csrf=csrf)
        assert forger.patch("rest_user_details", {"last_name": "Forged"}).code == "csrf_failed"
        assert forger.post("token_refresh").code == "csrf_failed"
        assert forger.post("rest_logout").code == "csrf_failed"
    assert client.get("rest_user_details").body["last_name"] == ""
    assert client.patch("rest_user_details", {}).status == 200


def test_a_proof_survives_the_refresh_of_its_session(account: Account) -> None:
    """CKE-10: refreshing gives a new one, and the one before still belongs to the session."""
    client = account.log_in()
    following = client.refreshed()
    assert following.csrf != client.csrf
    assert replace(following, csrf=client.csrf).patch("rest_user_details", {}).status == 200


def test_a_forged_pair_proves_nothing(account: Account) -> None:
    """CKE-10: a token that equals a cookie which the forger planted, too, is forged."""
    client = account.log_in()
    sid = claims_of(client.access)["sid"]
    wrong_key = salted_hmac("x", f"{sid}:n", secret="not the key", algorithm="sha256").hexdigest()
    for forged in ("same", "n.same", f"n.{wrong_key}", f"{sid}.{sid}"):
        cookies = cookies_of(client)["Cookie"]
        planted = f"{cookies}; csrf={forged}; csrftoken={forged}; XSRF-TOKEN={forged}"
        headers = {"Cookie": planted, "X-CSRF-Token": forged}
        assert client.patch("rest_user_details", {}, **headers).code == "csrf_failed"
        assert client.post("token_refresh", **headers).code == "csrf_failed"


def test_cookies_of_two_sessions_are_not_mixed(account: Account, other_account: Account) -> None:
    """CKE-10, CKE-13: an access cookie acts with the proof of its own session only."""
    client, stranger = account.log_in(), other_account.log_in()
    mixed = replace(client, refresh=stranger.refresh, csrf=stranger.csrf)
    assert mixed.patch("rest_user_details", {"last_name": "Mixed"}).code == "csrf_failed"
    assert replace(mixed, csrf=client.csrf).post("token_refresh").code == "csrf_failed"


OVERRIDES = {"X-HTTP-Method-Override": "POST", "X-HTTP-Method": "DELETE"}


def everything() -> list[Any]:
    # That an export was read is on the trail.
    trail = AuditEvent.objects.exclude(event="sensitive_read")
    models: list[Any] = [AuthSession.objects, get_user_model().objects, EmailAddress.objects, trail]
    return [list(rows.order_by("pk").values()) for rows in models]


@pytest.mark.inside
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.name)
def test_a_safe_method_changes_nothing(
    make_account: Callable[..., Account], mailbox: list[Any], method: str, pattern: Any
) -> None:
    """CKE-11: no GET, HEAD or OPTIONS of any endpoint changes state; what only writes is 405."""
    waiting = make_account(verified=False)
    Api().post("rest_resend_email", {"email": waiting.user.email})
    account = make_account()
    client = account.log_in()
    session = AuthSession.objects.get()
    arguments = {"pk": session.pk} if "pk" in pattern.pattern.converters else {}
    url = reverse(pattern.name, kwargs=arguments)
    key = link_secrets(mailbox[-1])["key"]
    before = everything()
    answer = client.request(method, f"{url}?key={key}&_method=POST&confirm=1", **OVERRIDES)
    view = VIEWS[pattern.name]
    if method != "OPTIONS" and issubclass(view, PublicEndpoint):
        assert answer.status == (200 if hasattr(view, "get") else 405)
    assert answer.status in (200, 204, 401, 403, 404, 405)
    assert everything() == before
    assert client.is_alive


def garbage(account: Account, clock: Any) -> Api:
    return holder("garbage", "\N{PILE OF POO}".encode().decode("latin-1"))


def empty(account: Account, clock: Any) -> Api:
    return holder('""', '""')


def expired(account: Account, clock: Any) -> Api:
    client = account.log_in()
    clock.shift(policy.SESSION_ABSOLUTE_DAYS * 86400 + 60)
    return replace(client, csrf=None)


def revoked(account: Account, clock: Any) -> Api:
    client = account.log_in()
    client.post("logout_all")
    return replace(client, csrf=None)


def of_a_deleted_user(account: Account, clock: Any) -> Api:
    client = account.log_in()
    AuthSession.objects.all().delete()
    return replace(client, csrf=None)


DEAD = [garbage, empty, expired, revoked, of_a_deleted_user]


@pytest.mark.parametrize("die", DEAD)
def test_a_dead_cookie_blocks_nothing(
    account: Account, mailbox: list[Any], clock: Any, die: Callable[..., Api]
) -> None:
    """CKE-12: with dead cookies one logs in, registers, resets, verifies and logs out all the same."""
    dead = die(account, clock)
    if policy.REGISTRATION == "open":
        assert dead.post("rest_register", registration()).status == 201
    assert dead.post("rest_resend_email", {"email": account.user.email}).status == 200
    assert dead.post("rest_password_reset", {"email": account.user.email}).status == 200
    new = {"new_password1": OTHER_PASSWORD, "new_password2": OTHER_PASSWORD}
    body = {**link_secrets(mailbox[-1]), **new}
    assert dead.post("rest_password_reset_confirm", body).status == 200
    assert dead.post("rest_verify_email", {"key": "wrong"}).code == "invalid_key"
    logout = dead.post("rest_logout")
    assert logout.status == 200
    assert cleared(logout) == set(KINDS)
    login = dead.post("rest_login", Account(account.user, OTHER_PASSWORD).credentials)
    assert login.status == 200
    assert dead.with_tokens_of(login).is_alive


@pytest.mark.parametrize("die", DEAD)
def test_a_dead_access_cookie_does_not_block_a_refresh(
    account: Account, clock: Any, die: Callable[..., Api]
) -> None:
    """CKE-12: a live refresh cookie refreshes, whatever the access cookie is."""
    dead = die(account, clock)
    live = account.log_in()
    client = replace(live, access=dead.access)
    assert not client.is_alive
    assert client.refreshed().is_alive


@pytest.mark.parametrize("die", DEAD)
def test_dead_cookies_are_cleared(account: Account, clock: Any, die: Callable[..., Api]) -> None:
    """CKE-12: a 401 takes away the cookies that it is about."""
    dead = die(account, clock)
    answer = dead.get("rest_user_details")
    assert answer.status == 401
    assert "access" in cleared(answer)
    refresh = dead.post("token_refresh")
    assert refresh.status == 401
    assert cleared(refresh) == set(KINDS)
    assert "Clear-Site-Data" not in refresh.headers


def test_a_live_refresh_cookie_outlives_its_access_cookie(account: Account, clock: Any) -> None:
    """CKE-12: an expired or missing access cookie does not cost the session."""
    client = account.log_in()
    clock.shift(policy.ACCESS_TOKEN_MINUTES * 60 + policy.CLOCK_SKEW_SECONDS + 2)
    expired = client.get("rest_user_details")
    assert (expired.status, expired.code) == (401, "token_expired")
    assert cleared(expired) == {"access"}
    missing = replace(client, access=None).get("rest_user_details")
    assert (missing.status, missing.code) == (401, "not_authenticated")
    assert not missing.cookies
    assert replace(client, access=None).refreshed().is_alive


def test_a_reuse_clears_the_cookies_of_the_session(account: Account, clock: Any) -> None:
    """CKE-12: nothing of a session that was ended for a replay stays in the browser."""
    client = account.log_in()
    client.refreshed()
    clock.shift(policy.REFRESH_GRACE_SECONDS + 1)
    replay = client.post("token_refresh")
    assert (replay.status, replay.code) == (401, "refresh_reused")
    assert cleared(replay) == set(KINDS)


@dataclass
class Jar:
    """A browser's cookies of one host, whatever the port (RFC 6265, 8.5)."""

    cookies: dict[str, str] = field(default_factory=dict)
    client: Api = field(
        default_factory=lambda: Api(delivery="header", headers={"X-Forwarded-Proto": "https"})
    )

    def keep(self, answer: Answer) -> Answer:
        """Take the cookies of an answer, and drop those that it expires."""
        for name, morsel in answer.cookies.items():
            self.cookies[name] = morsel.value
            if int(morsel["max-age"]) == 0:
                del self.cookies[name]
        return answer

    def get(self, name: str = "rest_user_details") -> Answer:
        return self.send("GET", name)

    def send(self, method: str, name: str, body: Any = None) -> Answer:
        line = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        proof = self.client.fetch_csrf(line)
        sent = {"Cookie": line, "X-CSRF-Token": proof, "X-Token-Delivery": "cookie"}
        return self.keep(self.client.request(method, name, body, **sent))


KEYS_OF_A_SISTER = [str(Key.generate(policy.SIGNING_ALGORITHM))]


@contextmanager
def sister() -> Iterator[None]:
    """Be another project of this template, with keys of its own, on another port of this host."""
    keys = override_settings(AUTH_SIGNING_KEYS=KEYS_OF_A_SISTER)
    with pytest.MonkeyPatch.context() as patch, keys:
        patch.setattr(policy, "PROJECT_SLUG", f"{policy.PROJECT_SLUG}-2")
        yield


@pytest.mark.inside
@pytest.mark.parametrize("is_production", [False, True])
def test_two_projects_share_a_host(
    account: Account, other_account: Account, settings: Any, is_production: bool
) -> None:
    """CKE-20: in one browser, a login, a 401, a refresh and a logout at one project leave the other's alone."""
    settings.PRODUCTION = is_production
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    jar = Jar()
    assert jar.send("POST", "rest_login", account.credentials).status == 200
    with sister():
        assert jar.get().status == 401
        assert jar.send("POST", "token_refresh", {}).status == 401
        assert jar.send("POST", "rest_login", other_account.credentials).status == 200
    assert jar.get().body["email"] == account.user.email
    assert jar.send("POST", "token_refresh", {}).status == 200
    with sister():
        assert jar.get().body["email"] == other_account.user.email
        assert jar.send("POST", "rest_logout", {}).status == 200
        assert jar.get().status == 401
    assert jar.get().body["email"] == account.user.email


def test_logout_leaves_the_cookies_of_others(account: Account) -> None:
    """CKE-19: no answer names a cookie that is not ours, whatever a host or port beside sent along."""
    names = ("sessionid", "csrftoken", "access", "refresh", "__Host-access", "__Host-refresh", "x")
    theirs = dict.fromkeys(names, "s" * 32)
    jar = Jar(theirs.copy())
    assert jar.get().status == 401
    assert jar.send("POST", "token_refresh", {}).status == 401
    assert jar.send("POST", "rest_logout", {}).status == 200
    assert jar.send("POST", "rest_login", account.credentials).status == 200
    assert jar.cookies.keys() - theirs.keys() == set(map(cookie_name, KINDS))
    logout = jar.send("POST", "rest_logout", {})
    assert logout.status == 200
    assert "cookies" not in logout.headers["Clear-Site-Data"]
    assert jar.cookies == theirs


def former(client: Api) -> Jar:
    """The browser of a session that began with a former version."""
    prefix = cookie_name("").removesuffix(f"{policy.PROJECT_SLUG}-")
    return Jar({f"{prefix}access": str(client.access), f"{prefix}refresh": str(client.refresh)})


@pytest.mark.parametrize("has_access", [True, False])
def test_a_session_moves_from_the_former_names(account: Account, has_access: bool) -> None:
    """CKE-20: cookies by the former names go on, and move to the new names at their refresh."""
    jar = former(account.log_in())
    old = set(jar.cookies)
    if has_access:
        assert jar.send("PATCH", "rest_user_details", {"last_name": "Former"}).status == 200
        assert set(jar.cookies) == old
    else:
        del jar.cookies[min(old)]
    assert jar.send("POST", "token_refresh", {}).status == 200
    assert set(jar.cookies) == set(map(cookie_name, KINDS))
    assert jar.get().status == 200


@pytest.mark.parametrize("name", ["rest_logout", "logout_all"])
def test_a_former_session_ends_for_good(account: Account, name: str) -> None:
    """CKE-20, CKE-05: logging out takes the former cookies along, and a login over them replaces them."""
    jar = former(account.log_in())
    assert jar.send("POST", name, {}).status == 200
    assert jar.cookies == {}
    jar = former(account.log_in())
    assert jar.send("POST", "rest_login", account.credentials).status == 200
    assert set(jar.cookies) == set(map(cookie_name, KINDS))


@pytest.mark.inside
def test_former_names_of_another_project_are_left_alone(account: Account) -> None:
    """CKE-20: what carries no token of ours is neither read nor expired, dead or alive."""
    with sister():
        theirs = former(account.log_in()).cookies
    jar = Jar(theirs.copy())
    refused = jar.get()
    assert (refused.status, refused.code) == (401, "not_authenticated")
    assert jar.send("POST", "token_refresh", {}).status == 401
    assert jar.send("POST", "rest_login", account.credentials).status == 200
    assert jar.send("POST", "token_refresh", {}).status == 200
    assert jar.send("POST", "rest_logout", {}).status == 200
    assert jar.cookies == theirs


def test_the_new_names_win(account: Account, other_account: Account) -> None:
    """CKE-20: beside a cookie by its new name no former one counts."""
    jar = former(other_account.log_in())
    jar.cookies |= {cookie_name("access"): str(account.log_in().access)}
    assert jar.get().body["email"] == account.user.email
    assert jar.send("POST", "token_refresh", {}).status == 401


@by_header_too
def test_the_header_wins_over_the_cookie(account: Account, other_account: Account) -> None:
    """CKE-13: with a header and a cookie of two users the header's is meant, and no other."""
    sent, ambient = account.log_in("header"), other_account.log_in("cookie")
    cookies = cookies_of(ambient)
    email = account.user.email
    assert sent.get("rest_user_details", **cookies).body["email"] == email
    for asked in ({}, {"X-Token-Delivery": "cookie", "X-CSRF-Token": ambient.csrf or ""}):
        headers = {**cookies, **asked}
        changed = sent.patch("rest_user_details", {"last_name": "Header"}, **headers)
        assert changed.body["email"] == email
        assert ambient.get("rest_user_details").body["last_name"] == ""
    logout = sent.post("rest_logout", **cookies)
    assert logout.status == 200
    assert not logout.cookies
    assert not sent.is_alive
    assert ambient.is_alive


def test_a_bad_header_is_not_made_good_by_a_cookie(account: Account) -> None:
    """CKE-13: a dead token in the header is refused beside a live cookie, which is left alone."""
    client = account.log_in()
    for token in ("dead.dead.dead", client.access, client.refresh):
        headers = {"Authorization": f"{policy.AUTH_HEADER_TYPE} {token}"}
        refused = client.get("rest_user_details", **headers)
        assert refused.status == 401
        assert not refused.cookies
    assert client.is_alive
    # A proxy's own password is no token of ours.
    assert client.get("rest_user_details", Authorization="Basic eDp5").status == 200


@by_header_too
def test_tokens_do_not_change_their_way(account: Account) -> None:
    """CKE-13: a token from a header is refused in a cookie, and the other way round."""
    by_header, by_cookie = account.log_in("header"), account.log_in("cookie")
    in_cookie = holder(by_header.access, by_header.refresh)
    assert in_cookie.get("rest_user_details").status == 401
    assert in_cookie.post("token_refresh").status == 401
    in_header = replace(by_header, access=by_cookie.access, refresh=by_cookie.refresh)
    assert in_header.get("rest_user_details").status == 401
    assert in_header.send_refresh().status == 401
    assert by_header.is_alive
    assert by_cookie.is_alive


def test_a_login_does_not_adopt_the_session_of_planted_cookies(
    account: Account, other_account: Account
) -> None:
    """Session fixation: whoever logs in over the attacker's cookies gets a session of their own."""
    planted = other_account.log_in()
    victim = replace(planted, csrf=None)
    login = victim.post("rest_login", account.credentials)
    client = victim.with_tokens_of(login)
    assert claims_of(client.access)["sid"] != claims_of(planted.access)["sid"]
    assert client.get("rest_user_details").body["email"] == account.user.email
    assert planted.get("rest_user_details").body["email"] == other_account.user.email
    assert replace(client, csrf=planted.csrf).post("rest_logout").code == "csrf_failed"


@pytest.mark.inside
def test_no_session_of_django_opens_the_api(account: Account) -> None:
    """An administrator's login in the admin, which has another CSRF proof, is none in the API."""
    browser = Client()
    browser.force_login(account.user)
    assert browser.get(reverse("rest_user_details")).status_code == 401
