"""The HTTP layer: methods, media types, bodies of every kind and size, errors of one shape.

Errors keep DRF's own shape plus `code` and `request_id` (docs/contract.md), not RFC 9457's: the
clients of dj-rest-auth read them.
"""

import io
import json
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from itertools import product
from typing import Any

import pytest
import requests
import schemathesis
from django.conf import settings as django_settings
from django.conf.urls.i18n import i18n_patterns
from django.contrib.auth import get_user_model
from django.core.exceptions import SuspiciousOperation
from django.core.exceptions import ValidationError as DjangoValidationError
from django.core.validators import validate_email
from django.db import InterfaceError, OperationalError
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import re_path, reverse
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from schemathesis.core.transport import Response
from schemathesis.specs.openapi import checks

from auth_core import policy
from auth_core.accounts.validators import username_validators
from auth_core.http.middleware import BodyLimitMiddleware
from auth_core.testing import BASE_URL, Account, Answer, Api, document, forget_uses, registration
from config.urls import urlpatterns as project_urls

pytestmark = pytest.mark.django_db

LIMIT = 65_536
BOM = b"\xef\xbb\xbf"


@pytest.fixture
def account(account: Account) -> Account:
    """Somebody of staff, so that every operation that features add can be called."""
    if not BASE_URL:
        get_user_model().objects.filter(pk=account.user.pk).update(is_staff=True)
    return account


@cache
def operations() -> list[Any]:
    """Every (path, method, operation) of the document, each a parameter with its name as id."""
    return [
        pytest.param(path, method.upper(), operation, id=operation["operationId"])
        for path, methods in document()["paths"].items()
        for method, operation in methods.items()
    ]


def fields_of(operation: dict[str, Any]) -> dict[str, Any]:
    """The fields of a request's body with their schemas."""
    content = operation["requestBody"]["content"]["application/json"]["schema"]
    schema = document()["components"]["schemas"][content["$ref"].rpartition("/")[2]]
    fields: dict[str, Any] = schema.get("properties", {})
    return fields


def in_full(path: str) -> str:
    return path.replace("{id}", str(uuid.uuid4()))


every_operation = pytest.mark.parametrize(("path", "method", "operation"), operations())
every_body = pytest.mark.parametrize(
    ("path", "method", "operation"), [it for it in operations() if "requestBody" in it.values[2]]
)


def assert_error(answer: Answer, status: int, code: str | None = None) -> None:
    """The one shape: DRF's body, `code`, `request_id`; JSON, whatever went wrong."""
    assert answer.status == status, answer.body
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.body["request_id"] == answer.headers["X-Request-ID"]
    assert answer.code
    assert code is None or answer.code == code
    assert "detail" in answer.body or "codes" in answer.body


@pytest.mark.parametrize("path", sorted(document()["paths"]))
def test_another_method_is_405_with_allow(path: str, account: Account) -> None:
    """HTTP-01: a method that an endpoint does not have is 405, names those it has, as JSON."""
    allowed = {method.upper() for method in document()["paths"][path]}
    client = account.log_in()
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "FOO"} - allowed:
        answer = client.request(method, in_full(path))
        assert_error(answer, 405, "method_not_allowed")
        assert allowed <= {it.strip() for it in answer.headers["Allow"].split(",")}
    assert client.is_alive


@pytest.mark.inside
@pytest.mark.parametrize("method", ["POST", "DELETE", "TRACE", "CONNECT", "FOO"])
def test_pages_and_health_too_have_methods(method: str, api: Api) -> None:
    """HTTP-01, HTTP-13: Django's own views answer 405 in the same shape, TRACE and CONNECT included."""
    for path in ("health_live", "health_ready", "schema", "docs"):
        answer = api.request(method, path)
        assert_error(answer, 405, "method_not_allowed")
        assert "GET" in answer.headers["Allow"]
    if method not in {"POST"}:
        assert_error(api.request(method, reverse("admin:login")), 405, "method_not_allowed")


@pytest.mark.parametrize(
    "content_type",
    [
        "application/xml",
        "application/yaml",
        "application/x-python-pickle",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
        "text/html; charset=utf-8",
        "json",
        "/",
        "application/json; charset=utf-16",
        "application/json; charset=utf-7",
        "application/json; charset=latin-1",
        "application/json; charset=no-such",
    ],
)
def test_only_json_in_utf_8_is_taken(content_type: str, account: Account) -> None:
    """HTTP-02: another media type or charset is 415, at every endpoint that takes a body."""
    client = account.log_in()
    for item in operations():
        path, method, operation = item.values
        if "requestBody" in operation:
            answer = client.request(method, in_full(path), b'{"a": 1}', content_type=content_type)
            assert_error(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "body",
    [
        BOM + b"{}",
        "{}".encode("utf-16"),
        "{}".encode("utf-16-le"),
        "{}".encode("utf-32"),
        b'{"password": "\xff"}',
        b'{"password": "\xed\xa0\x80"}',
        b"{}{}",
        b"\x00",
        b"\x1f\x8b\x08\x00",
        b"{'a': 1}",
    ],
)
@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=UTF-8"])
def test_bytes_that_are_no_json_are_400(body: bytes, content_type: str, account: Account) -> None:
    """HTTP-02: a byte order mark, UTF-16 and what is no UTF-8 are 400."""
    client = account.log_in()
    for name in ("rest_login", "token_refresh", "rest_password_change"):
        answer = client.request("POST", name, body, content_type=content_type)
        assert_error(answer, 400, "parse_error")


@every_body
def test_a_body_beyond_the_limit_is_413(
    path: str, method: str, operation: Any, account: Account
) -> None:
    """HTTP-03: 64 KiB and one byte are refused before anything parses them, 64 KiB are parsed."""
    client = account.log_in()
    for content_type in ("application/json", "application/xml"):
        answer = client.request(
            method, in_full(path), b"[" * (LIMIT + 1), content_type=content_type
        )
        assert_error(answer, 413, "body_too_large")
    assert_error(client.request(method, in_full(path), b" " * LIMIT + b"["[1:]), 400)


@pytest.mark.inside
def test_nothing_waits_for_bytes_that_never_come() -> None:
    """HTTP-03: without a length only a stream that ends is read, and of that no more than the limit."""
    reached: list[Any] = []

    def answer(request: Any) -> HttpResponse:
        reached.append(request)
        return HttpResponse()

    def status_of(stream: Any, *, ends: bool) -> int:
        request = RequestFactory().post("/", headers={"Transfer-Encoding": "chunked"})
        del request.META["CONTENT_LENGTH"]
        request.META |= {"wsgi.input": stream, "wsgi.input_terminated": ends}
        return BodyLimitMiddleware(answer)(request).status_code

    endless = Endless()
    assert status_of(endless, ends=False) == 411
    assert endless.read_sizes == []
    assert status_of(endless, ends=True) == 413
    assert endless.read_sizes == [LIMIT + 1]
    assert status_of(Endless(breaks=True), ends=True) == 400
    assert reached == []
    assert status_of(io.BytesIO(b"x" * LIMIT), ends=True) == 200
    assert reached[0].body == b"x" * LIMIT


class Endless:
    """A body that goes on for ever, or breaks."""

    def __init__(self, *, breaks: bool = False) -> None:
        self.breaks = breaks
        self.read_sizes: list[int] = []

    def read(self, size: int = -1) -> bytes:
        self.read_sizes.append(size)
        if self.breaks:
            raise RuntimeError("no chunk")
        return b"x" * size


@pytest.mark.parametrize("length", ["abc", "-1", "1.5", "+1", "\xb2", "9" * 5000])
@pytest.mark.inside
def test_a_malformed_length_is_400(length: str, api: Api) -> None:
    """HTTP-03: a Content-Length that is no number is refused."""
    assert_error(api.request("POST", "rest_login", b"{}", **{"Content-Length": length}), 400)


@pytest.mark.parametrize(
    "bomb",
    [
        pytest.param(b"[" * (LIMIT - 1), id="arrays"),
        pytest.param(b'{"a":' * (LIMIT // 5 - 1), id="objects"),
        pytest.param(b"[" * 30_000 + b"]" * 30_000, id="closed"),
        pytest.param(b'{"password":' + b"9" * 60_000 + b"}", id="digits"),
        pytest.param(b'{"password":-0.' + b"9" * 60_000 + b"e" + b"9" * 4000 + b"}", id="real"),
    ],
)
def test_a_json_bomb_is_400_in_no_time(bomb: bytes, account: Account) -> None:
    """HTTP-04: bottomless nesting and endless numbers are 400 within 100 ms."""
    client = account.log_in()
    for name in ("rest_login", "rest_logout", "token_refresh", "rest_password_change"):
        answers, durations = [], []
        for _ in range(3):
            begin = time.perf_counter()
            answers.append(client.request("POST", name, bomb))
            durations.append(time.perf_counter() - begin)
        for answer in answers:
            assert_error(answer, 400, "parse_error")
        assert min(durations) < 0.1


def test_the_bombs_of_other_days_do_not_even_reach_the_parser(api: Api) -> None:
    """HTTP-04: 200,000 levels are beyond the limit of a body."""
    for bomb in (b"[" * 200_000, b'{"a":' * 100_000):
        begin = time.perf_counter()
        assert_error(api.request("POST", "rest_login", bomb), 413)
        assert time.perf_counter() - begin < 0.5


@every_body
def test_a_body_that_is_no_object_is_400(
    path: str, method: str, operation: Any, account: Account
) -> None:
    """HTTP-05: a list, a string, a number, null and true are 400 at every endpoint that takes a body."""
    client = account.log_in()
    bodies: list[Any] = [[], [{}], "x", 5, None, True]
    for body in bodies:
        forget_uses()
        assert_error(client.request(method, in_full(path), json.dumps(body).encode()), 400)


# Sent in each text field: what no text is, what no database stores, what no JSON is.
BAD_VALUES = {
    "object": b"{}",
    "list": b"[]",
    "list of text": b'["x"]',
    "true": b"true",
    "NUL": b'"a\\u0000b"',
    "NUL in an address": b'"a\\u0000b@example.com"',
    "lone surrogate": b'"\\ud800@example.com"',
    "low surrogate": b'"a\\udc00"',
    "NaN": b"NaN",
    "Infinity": b"-Infinity",
    "beyond a double": b"1e999",
    "10**400": b"1" + b"0" * 400,
    "60 KB": b'"' + b"x" * 60_000 + b'"',
}


@every_body
def test_a_bad_value_in_any_field_is_400(
    path: str, method: str, operation: Any, account: Account
) -> None:
    """HTTP-06: NUL, lone surrogates, huge text, NaN, 10**400 and wrong types in each field are 400.

    A number where text belongs is read as text, as DRF documents.
    """
    client = account.log_in("header") if policy.TOKEN_DELIVERY != "cookie" else account.log_in()
    for (name, value), field in product(BAD_VALUES.items(), fields_of(operation)):
        if operation["operationId"] == "logout" and len(value) > 50_000:
            continue  # logging out never fails for want of a valid token (RFC 7009, 2.2)
        forget_uses()
        # `value` goes into one field, the others hold something harmless.
        others = {**registration(), **dict.fromkeys(fields_of(operation), "harmless")}
        others.pop(field, None)
        body = json.dumps(others).encode()[:-1] + b', "' + field.encode() + b'": ' + value + b"}"
        allowed = {400, 401} if field in {"refresh", "token"} and value.startswith(b'"x') else {400}
        assert client.request(method, in_full(path), body).status in allowed, (field, name)


@pytest.mark.parametrize("megabyte", [b'{"password": "' + b"x" * 2**20 + b'"}'])
def test_a_megabyte_of_text_is_refused_unread(megabyte: bytes, api: Api) -> None:
    """HTTP-06: a string of 1 MB is beyond the limit of a body."""
    assert_error(api.request("POST", "rest_login", megabyte), 413)


def test_of_a_name_given_twice_the_last_value_counts(account: Account) -> None:
    """HTTP-06: duplicate names in an object are read as documented."""
    client = account.log_in()
    body = b'{"first_name": "Grace", "first_name": "Ada"}'
    assert client.request("PATCH", "rest_user_details", body).body["first_name"] == "Ada"


# Per endpoint, in each of two runs. Raise it for a long night; the cases are the same every time.
EXAMPLES = 12
CONFORMANCE = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]


@cache
def schemathesis_schema() -> Any:
    return schemathesis.openapi.from_dict(document())


@pytest.mark.slow
@pytest.mark.inside
@pytest.mark.parametrize("logged_in", [False, True], ids=["anonymous", "logged in"])
@every_operation
def test_any_request_gets_a_documented_answer(
    path: str,
    method: str,
    operation: Any,
    logged_in: bool,
    account: Account,
) -> None:
    """HTTP-06, HTTP-07: schema driven fuzzing: no 5xx, no undocumented status, every body as documented."""
    client = account.log_in() if logged_in else Api()
    described = schemathesis_schema()[path][method]
    valid, invalid = map(described.as_strategy, schemathesis.GenerationMode)

    @given(case=valid | invalid)
    @hypothesis_settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def check(case: Any) -> None:
        forget_uses()
        sent = requests.Request(**case.as_transport_kwargs(base_url="http://testserver")).prepare()
        conforms(case, sent, client)

    check()


def conforms(case: Any, sent: requests.PreparedRequest, client: Api) -> None:
    body = sent.body.encode() if isinstance(sent.body, str) else sent.body or b""
    content_type = sent.headers.get("Content-Type", "")
    answer = client.request(
        str(sent.method), sent.path_url, body, content_type=str(content_type or "application/json")
    )
    assert answer.status < 500, answer.body
    headers = {name: [value] for name, value in answer.headers.items()}
    content = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
    response = Response(answer.status, headers, content, sent, elapsed=0, verify=True)
    case.validate_response(response, checks=CONFORMANCE)


@every_operation
def test_the_common_refusals_are_documented(path: str, method: str, operation: Any) -> None:
    """HTTP-07: each operation names the statuses of a malformed request, a limit and an outage."""
    expected = {"400", "403", "404", "406", "429", "503"}
    if "requestBody" in operation:
        expected |= {"411", "413", "415"}
    if any("access" in scheme for it in operation["security"] for scheme in it):
        expected.add("401")
    assert expected <= operation["responses"].keys()
    assert "default" not in operation["responses"]


def test_query_parameters_are_no_filters(account: Account, other_account: Account) -> None:
    """HTTP-08: SQL and ORM look-ups in the query string or a body change nothing."""
    client, _stranger = account.log_in(), other_account.log_in()
    listed = client.get("session_list").body
    attacks = [
        "email__contains=@",
        "user__email__startswith=a",
        "user_id__isnull=False",
        "_connector=OR&user__isnull=False",
        "_negated=True",
        "id=%27%20OR%201=1--",
        "ordering=(SELECT%201)",
        "ordering=user__password",
        "search=%27;DROP%20TABLE%20users_user;--",
        "limit=-1&offset=9999999999999999999999",
        "page=%00",
    ]
    for query in attacks:
        answer = client.get(f"{reverse('session_list')}?{query}")
        assert (answer.status, answer.body) == (200, listed)
        body = dict(pair.split("=", 1) for pair in query.split("&"))
        unchanged = client.get("rest_user_details").body
        assert client.patch("rest_user_details", body).body == unchanged
    for name in ("email", "username", "email__contains", "_connector"):
        body = {name: "' OR 1=1 --", "password": "' OR 1=1 --"}
        assert Api().post("rest_login", body).status == 400


def test_too_many_parameters_are_400(account: Account) -> None:
    """HTTP-10: a thousand parameters in a query are not more than the limit; more is no 5xx."""
    query = "&".join(f"p{number}=1" for number in range(5000))
    client = account.log_in()
    # A server elsewhere may take no line so long.
    allowed = {200, 400, 414} if BASE_URL else {200, 400}
    for path in (reverse("session_list"), reverse("rest_login"), reverse("health_live")):
        begin = time.perf_counter()
        method = "POST" if "login" in path else "GET"
        assert client.request(method, f"{path}?{query}").status in allowed
        assert time.perf_counter() - begin < 1


@pytest.mark.inside
@pytest.mark.parametrize(
    "evil",
    [
        "a" * 102_400,
        "a@" * 51_200,
        "." * 102_400,
        "a." * 51_200 + "@",
        '"' + "\\" * 102_400,
        "a@" + "a-" * 51_000 + "!",
        "a@" + "a." * 51_000,
        "a" * 102_399 + "\n",
        "ﬃ" * 34_000,
        "1" * 102_400 + "@1",
    ],
    ids=range(10),
)
def test_validators_take_linear_time(evil: str) -> None:
    """HTTP-11: the patterns of e-mail addresses and user names never backtrack into the night."""
    begin = time.perf_counter()
    validators: list[Any] = [validate_email, *username_validators]
    for validate in validators:
        with suppress(DjangoValidationError):
            validate(evil)
    assert time.perf_counter() - begin < 0.5


@pytest.mark.parametrize("evil", ["a@" * 15_000, "a" * 30_000 + "@", "a." * 15_000 + "@a"])
def test_long_names_are_refused_in_no_time(evil: str, api: Api) -> None:
    """HTTP-11: the same through the endpoints that take an address or a name."""
    names = ["rest_login", "rest_password_reset", "rest_resend_email"]
    if policy.REGISTRATION == "open":
        names.append("rest_register")
    for name in names:
        begin = time.perf_counter()
        body = {**registration(), "email": evil, "username": evil, "password": "x"}
        assert_error(api.post(name, body), 400)
        assert time.perf_counter() - begin < 1


@pytest.mark.inside
def test_nothing_is_unpickled_from_a_store_that_others_write() -> None:
    """HTTP-12: sessions of the admin are JSON; no setting brings back pickle."""
    assert (
        django_settings.SESSION_SERIALIZER == "django.contrib.sessions.serializers.JSONSerializer"
    )
    stored = repr(django_settings.CACHES).lower() + repr(django_settings.SESSION_ENGINE).lower()
    assert "pickle" not in stored
    assert "cookie" not in stored


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, type[Exception]], None]:
    """Make something inside raise, as if it had a defect or the database were away."""

    def break_it(target: str, error: type[Exception]) -> None:
        def fail(*args: Any, **kwargs: Any) -> Any:
            raise error("secret detail of the inside")

        monkeypatch.setattr(target, fail)

    return break_it


IN_A_VIEW = "auth_core.sessions.services.live_session"
IN_A_MIDDLEWARE = "django.middleware.common.CommonMiddleware.process_request"


@pytest.mark.parametrize("place", ["view", "middleware"])
def test_a_defect_is_a_500_without_its_details(
    place: str, broken: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """HTTP-13: an unhandled exception says nothing but the request id, and is logged once under it."""
    target = (
        "auth_core.accounts.serializers.LoginSerializer.validate"
        if place == "view"
        else IN_A_MIDDLEWARE
    )
    broken(target, RuntimeError)
    body = {**Account(get_user_model()(username="a", email="a@b.de")).credentials}
    answer = Api(delivery="header").post("rest_login", body, **{"X-Token-Delivery": ""})
    if answer.status == 403:  # only cookies: the proof is asked first
        answer = Api(delivery="cookie").post("rest_login", body)
    assert_error(answer, 500, "server_error")
    assert set(answer.body) == {"detail", "code", "request_id"}
    assert "secret" not in json.dumps(answer.body)
    logged = [record for record in caplog.records if record.exc_info]
    assert len(logged) == 1
    assert "secret detail" in str(logged[0].exc_info)
    assert answer.headers["Content-Security-Policy"]


def test_404_400_and_403_have_the_shape_too(api: Api, settings: Any, broken: Any) -> None:
    """HTTP-13: an unknown path, a foreign host, a refusal by Django and a suspicious request."""
    api.csrf = "unused"
    assert_error(api.get("/nowhere"), 404, "not_found")
    assert_error(api.get("/%00\udc80".encode("utf-8", "replace").decode()), 404)
    assert_error(api.get("/health/live?format=xml", Host="evil.example"), 400, "bad_request")
    assert_error(api.get(f"{reverse('rest_user_details')}?format=xml"), 404, "not_found")
    for accept in ("text/html", "application/xml", "image/*;q=0.1"):
        assert_error(api.get("rest_user_details", Accept=accept), 406, "not_acceptable")
    broken(IN_A_MIDDLEWARE, SuspiciousOperation)
    assert_error(api.get("health_live"), 400, "bad_request")


@pytest.mark.inside
def test_the_documents_refuse_as_json(api: Api) -> None:
    """HTTP-13: the schema and the page of the documents render their errors as JSON, not YAML or HTML."""
    for path in ("schema", "docs", "redoc"):
        assert_error(api.get(f"{reverse(path)}?format=nonsense"), 404, "not_found")
    assert_error(api.get("schema", Accept="image/png"), 406, "not_acceptable")


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
@pytest.mark.parametrize("place", ["view", "middleware"])
def test_a_database_that_is_away_is_503(
    place: str, error: type[Exception], account: Account, broken: Any, settings: Any
) -> None:
    """HTTP-13: in a view, while authenticating and in middleware: 503 as JSON, with Retry-After."""
    settings.DEBUG = place == "view"  # Django's page of development stands in for middleware alone
    client = account.log_in()
    # The clients of the cookies fetch their proof before.
    client.csrf = client.csrf or "unused"
    broken("django.db.models.sql.compiler.SQLCompiler.execute_sql", error)
    broken("django.db.backends.base.base.BaseDatabaseWrapper.cursor", error)
    if place == "middleware":
        broken(IN_A_MIDDLEWARE, error)
    names = ["rest_user_details", "session_list"]
    for answer in [*(client.get(name) for name in names), client.get("health_ready")]:
        assert_error(answer, 503, "unavailable")
        assert int(answer.headers["Retry-After"]) > 0
        assert "secret" not in json.dumps(answer.body)
    if place == "view":
        assert client.get("health_live").status == 200
        assert_error(client.post("rest_login", account.credentials), 503, "unavailable")
        assert_error(client.send_refresh(), 503, "unavailable")
        settings.DEBUG = False
        session = f"{settings.SESSION_COOKIE_NAME}={'x' * 32}"
        assert_error(client.get(reverse("admin:index"), Cookie=session), 503, "unavailable")


# The first two are longer than what gunicorn lets through.
HEADERS = [
    pytest.param("x" * 20_000, marks=pytest.mark.inside),
    pytest.param(",".join(["de-" + "a" * 8] * 900), marks=pytest.mark.inside),
    "de;q=nonsense",
    "*;q=1e999",
    "\xff\xfe",
    "../../etc/passwd",
    "zh-hant-" + "-x" * 3000,
    "",
]


@pytest.mark.parametrize("language", HEADERS, ids=range(len(HEADERS)))
def test_any_accept_language_is_borne(language: str, api: Api) -> None:
    """HTTP-14: whatever stands in Accept-Language, the code is the same and it is quick."""
    begin = time.perf_counter()
    answer = api.post("rest_login", {}, **{"Accept-Language": language})
    assert time.perf_counter() - begin < 1
    assert_error(answer, 400, "required")
    assert answer.body["codes"] == {"password": ["required"]}


@pytest.mark.parametrize("language", ["de", "fr", "ar", "ja", "pt-br"])
def test_sentences_are_translated_and_codes_are_not(language: str, account: Account) -> None:
    """HTTP-14: `detail` and the messages follow Accept-Language; `code` and `codes` never do."""
    spoken = {"Accept-Language": language}
    client = account.log_in()
    for send in (
        lambda **headers: Api().post("rest_login", {}, **headers),
        lambda **headers: Api(delivery="header").get("rest_user_details", **headers),
        lambda **headers: client.post("rest_password_change", {}, **headers),
    ):
        english, other = send(**{"Accept-Language": "en"}), send(**spoken)
        assert english.status == other.status
        assert english.code == other.code
        assert english.body.get("codes") == other.body.get("codes")
        assert english.body != {**other.body, "request_id": english.body["request_id"]}
        assert other.headers["Content-Language"] == language


urlpatterns: list[Any] = [
    *project_urls,
    *i18n_patterns(re_path("^spoken/$", lambda request: HttpResponse(request.LANGUAGE_CODE))),
]


@pytest.mark.inside
def test_a_language_in_the_path(settings: Any) -> None:
    """HTTP-14: a project's own pages may have their language in the path, as Django's i18n_patterns do."""
    settings.ROOT_URLCONF = __name__
    answer = Client().get("/de/spoken/", secure=True, headers={"Accept-Language": "fr"})
    assert (answer.status_code, answer.content) == (200, b"de")
    assert answer.headers["Content-Language"] == "de"


@pytest.mark.parametrize("name", ["User-Agent", "X-Request-ID", "Referer", "Origin", "Cookie"])
@pytest.mark.parametrize("value", ["a\0b", "\xff\xfe", "x" * 20_000, "\x1b[31m", "'; DROP TABLE"])
@pytest.mark.inside
def test_odd_headers_are_borne(name: str, value: str, account: Account) -> None:
    """HTTP-06: NUL, bytes and escapes in a header reach neither the database nor the caller's error."""
    if name == "Cookie" and policy.TOKEN_DELIVERY == "cookie":
        pytest.skip("the cookies are the credentials here")
    client = Api(delivery="header") if policy.TOKEN_DELIVERY != "cookie" else Api()
    answer = client.post("rest_login", account.credentials, **{name: value})
    assert answer.status in {200, 403}, answer.body
