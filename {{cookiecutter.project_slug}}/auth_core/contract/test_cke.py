"""CKE: what the pages of other origins may send, read, load and lead to."""

import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse

from auth_core import policy
from auth_core.testing import PASSWORD, Account, Api, registration, stops_the_start

pytestmark = pytest.mark.django_db

LISTED = "https://app.example.com"
STRANGERS = [
    "https://evil.example",
    "null",
    "http://app.example.com",
    "https://app.example.com.evil.example",
    "https://evilapp.example.com",
    "https://app.example.com:8443",
    "https://sub.app.example.com",
    "https://app.example.com@evil.example",
    "https://appXexample.com",
    "*",
    "https://[broken",
]


@pytest.mark.parametrize("origin", STRANGERS)
def test_a_stranger_reads_nothing(api: Api, account: Account, settings: Any, origin: str) -> None:
    """CKE-14: no Access-Control-Allow-Origin for who is not listed, asked before or not."""
    settings.CORS_ALLOWED_ORIGINS = [LISTED]
    asked = {"Access-Control-Request-Method": "POST"}
    for answer in (
        api.get("health_live", Origin=origin),
        api.get("rest_user_details", Origin=origin),
        api.request("OPTIONS", "rest_login", Origin=origin, **asked),
        account.log_in().get("rest_user_details", Origin=origin),
    ):
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]


def test_a_listed_origin_reads_answers(api: Api, account: Account, settings: Any) -> None:
    """CKE-14: a listed origin is named, never `*`, and caches keep the origins apart."""
    settings.CORS_ALLOWED_ORIGINS = [LISTED]
    asked = {"Access-Control-Request-Method": "POST"}
    for answer in (
        api.post("rest_login", account.credentials, Origin=LISTED),
        api.get("rest_user_details", Origin=LISTED),
        api.request("OPTIONS", "rest_login", Origin=LISTED, **asked),
    ):
        headers = {name.lower(): value for name, value in answer.headers.items()}
        assert headers["access-control-allow-origin"] == LISTED
        assert "origin" in headers["vary"].lower()
        by_cookies = policy.TOKEN_DELIVERY != "header"
        assert ("access-control-allow-credentials" in headers) == by_cookies
    silent = api.get("rest_user_details")
    assert "origin" in silent.headers["Vary"].lower()


@pytest.mark.inside
def test_nobody_is_listed_by_default(settings: Any) -> None:
    """CKE-14: without an allow-list there is none, and nothing stands in for it."""
    assert not getattr(settings, "CORS_ALLOW_ALL_ORIGINS", False)
    assert not getattr(settings, "CORS_ALLOWED_ORIGIN_REGEXES", [])
    assert "*" not in settings.CORS_ALLOWED_ORIGINS


OPEN = [
    ("CORS_ALLOW_ALL_ORIGINS", True),
    ("CORS_ORIGIN_ALLOW_ALL", True),
    ("CORS_ALLOWED_ORIGIN_REGEXES", [".*"]),
    ("CORS_ALLOWED_ORIGIN_REGEXES", [r"^https://.+$"]),
    ("CORS_ALLOWED_ORIGIN_REGEXES", [r"^https?://[a-z.]*"]),
    ("CORS_ALLOWED_ORIGIN_REGEXES", [r"^https://app\.example\.com$", r"\w+.*$"]),
]
WRONG: list[tuple[str, Any]] = [
    ("MIDDLEWARE", ["corsheaders.middleware.CorsMiddleware"]),
    ("CORS_ALLOWED_ORIGIN_REGEXES", [r"https://(app"]),
    *(
        ("CORS_ALLOWED_ORIGINS", [LISTED, origin])
        for origin in ("null", "*", f"{LISTED}/", f"{LISTED}/path", "app.example.com", "https://")
    ),
    *(
        ("CORS_ALLOWED_ORIGINS", [origin])
        for origin in (
            "https://APP.example.com",
            f"{LISTED}:443",
            "https://büro.example",
            "https://[x",
        )
    ),
]
SOUND: list[tuple[str, Any]] = [
    ("CORS_ALLOWED_ORIGIN_REGEXES", [r"https://app\.example\.com"]),
    ("CORS_ALLOWED_ORIGIN_REGEXES", [re.compile(r"^https://\w+\.example\.com$")]),
    ("CORS_ALLOWED_ORIGINS", [LISTED, "http://localhost:3000", "capacitor://localhost"]),
    ("CORS_ALLOWED_ORIGINS", ["https://[::1]:8443"]),
    ("CORS_ALLOW_ALL_ORIGINS", False),
]


@pytest.mark.parametrize(("name", "value"), [*OPEN, *WRONG])
def test_open_cors_stops_the_start(settings: Any, name: str, value: Any) -> None:
    """CKE-15: every origin, by flag or by pattern, and what is no origin, stop a server's start, too.

    In development what is open is left to the team, as long as no cookie is sent along.
    """
    settings.DEBUG = False
    setattr(settings, name, value)
    assert stops_the_start("auth_http")
    settings.DEBUG = True
    settings.CORS_ALLOW_CREDENTIALS = True
    assert stops_the_start("auth_http")
    settings.CORS_ALLOW_CREDENTIALS = False
    assert stops_the_start("auth_http") == ((name, value) in WRONG)


@pytest.mark.parametrize(("name", "value"), SOUND)
def test_named_origins_let_the_server_start(settings: Any, name: str, value: Any) -> None:
    """CKE-15: a list of origins, or a pattern of some, is what the start asks for."""
    settings.DEBUG = False
    setattr(settings, name, value)
    assert not stops_the_start("auth_http")


def test_the_frontend_reads_answers(api: Api, settings: Any) -> None:
    """CKE-14: the origin of FRONTEND_URL is listed always, its path apart; its look-alikes are not."""
    settings.FRONTEND_URL = "https://front.example.com/app"
    for origin, is_ours in (
        ("https://front.example.com", True),
        ("https://front.example.com.evil.example", False),
        ("https://front.example.com/app", False),
    ):
        answer = api.get("rest_user_details", Origin=origin)
        assert ("access-control-allow-origin" in answer.headers) == is_ours


def test_a_pattern_matches_the_whole_origin(api: Api, settings: Any) -> None:
    """CKE-14: a pattern without an end is no beginning of a longer host name."""
    settings.CORS_ALLOWED_ORIGIN_REGEXES = [r"^https://app\.example\.com"]
    for origin, is_ours in ((LISTED, True), (f"{LISTED}.evil.example", False)):
        answer = api.get("rest_user_details", Origin=origin)
        assert ("access-control-allow-origin" in answer.headers) == is_ours


@pytest.mark.parametrize("parameter", ["callback", "jsonp", "cb", "_callback"])
def test_there_is_no_jsonp(api: Api, account: Account, parameter: str) -> None:
    """CKE-16: a callback is ignored, and JSON is answered as JSON."""
    client = account.log_in()
    path = reverse("rest_user_details")
    plain = client.get(path)
    answer = client.get(f"{path}?{parameter}=alert(1)", Accept="*/*")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.body == plain.body
    for refused in (
        client.get(f"{path}?format=jsonp"),
        client.get(path, Accept="application/javascript"),
        client.get(path, Accept="text/html"),
    ):
        assert refused.status in (404, 406)
        assert refused.headers["Content-Type"] == "application/json"
    error = api.get(f"/<script>?{parameter}=alert(1)")
    assert error.headers["Content-Type"] == "application/json"


def test_json_is_never_run_framed_or_embedded(api: Api, account: Account) -> None:
    """CKE-17: nosniff, same-origin resource policy and an empty content policy, errors included."""
    client = account.log_in()
    answers = [
        client.get("rest_user_details"),
        client.post("rest_logout"),
        api.get("rest_user_details"),
        api.post("rest_login", {}),
        api.request("POST", "rest_login", b"{"),
        api.post("rest_login", b"a=b", content_type="text/plain"),
        api.get("rest_login"),
        api.get("/nowhere"),
        api.get("health_live"),
        api.get("health_ready"),
        api.request("OPTIONS", "rest_login"),
        api.request("POST", "rest_login", b"[" * 70_000),
    ]
    assert {answer.status for answer in answers} == {200, 400, 401, 404, 405, 413, 415}
    for answer in answers:
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        directives = answer.headers["Content-Security-Policy"].split("; ")
        assert {"default-src 'none'", "frame-ancestors 'none'"} <= set(directives)


ELSEWHERE = [
    "//evil.example",
    "///evil.example",
    "https:evil.example",
    "https:///evil.example",
    "\\\\evil.example",
    "/\\evil.example",
    "javascript:alert(1)",
    "https://testserver@evil.example/",
    "https://evil.example/?testserver",
    " //evil.example",
    "\t//evil.example",
    "data:text/html,x",
]
PARAMETERS = ("next", "redirect_uri", "redirect", "callback", "url", "continue")


@pytest.mark.parametrize("address", ELSEWHERE)
def test_no_endpoint_leads_elsewhere(
    api: Api, account: Account, mailbox: list[Any], settings: Any, address: str
) -> None:
    """CKE-18: the API redirects nowhere, and no mail leads where a caller wants it to."""
    settings.ALLOWED_HOSTS = ["*"]
    asked = dict.fromkeys(PARAMETERS, address)
    query = "&".join(f"{name}={address.strip()}" for name in PARAMETERS)
    bodies = {
        "rest_login": account.credentials,
        "rest_logout": {},
        "rest_password_reset": {"email": account.user.email},
        "rest_resend_email": {"email": account.user.email},
        "rest_verify_email": {"key": "wrong"},
        **({"rest_register": registration()} if policy.REGISTRATION == "open" else {}),
    }
    for name, body in bodies.items():
        for path in (name, f"{reverse(name)}?{query}"):
            answer = api.post(path, {**body, **asked}, Host="evil.example")
            assert answer.status < 300 or answer.status in (400, 429)
            assert "Location" not in answer.headers
            assert "evil.example" not in str(answer.body)
    assert mailbox
    assert "evil.example" not in "".join(f"{mail.subject}{mail.body}" for mail in mailbox)


@pytest.mark.skipif(not django_settings.ADMIN_PATH, reason="the admin is switched off")
def test_the_admin_leads_nowhere_else(settings: Any) -> None:
    """CKE-18: the login form of the admin returns to this host only, also with ALLOWED_HOSTS = *."""
    settings.ALLOWED_HOSTS, settings.ADMIN_NETWORKS = ["*"], []
    user = get_user_model().objects.create_superuser(
        username="admin", email="admin@example.com", password=PASSWORD
    )
    path, index = reverse("admin:login"), reverse("admin:index")
    for address in ELSEWHERE:
        browser = Client()
        form = {"username": user.get_username(), "password": PASSWORD, "next": address}
        login = browser.post(f"{path}?next={address.strip()}", form)
        assert login.status_code == 302
        answers = [login, *(browser.get(url, {"next": address}) for url in (path, index[:-1]))]
        for target in (answer.headers["Location"] for answer in answers):
            assert urlsplit(target)[:2] == ("", "")
            assert target.startswith("/")
            assert not target.startswith(("//", "/\\"))
            assert "evil" not in target
