"""The HTTP layer under a real gunicorn in production mode, byte by byte; and under Django's runserver."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.urls import reverse

from auth_core.contract.processes import (
    PRODUCTION,
    gunicorn,
    headers_of,
    request,
    runserver,
    send,
    status_of,
)

pytestmark = [pytest.mark.inside, pytest.mark.slow]

HTTPS = "X-Forwarded-Proto: https"
JSON = "Content-Type: application/json"
CHUNKED = "Transfer-Encoding: chunked"
STALL_SECONDS = 1


@pytest.fixture(autouse=True)
def _delivery() -> None:
    """Nothing here depends on how tokens travel: once is enough."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    overrides = f"\nworkers = 1\nthreads = 2\nSTALL_SECONDS = {STALL_SECONDS}\nkeepalive = 1\n"
    variables = {**PRODUCTION, "TRUSTED_PROXIES": "1"}
    with gunicorn(tmp_path_factory.mktemp("server"), overrides, **variables) as port:
        yield port


def chunks(*parts: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + end


def login(body: bytes, *headers: str) -> bytes:
    return request("POST", reverse("rest_login"), body, JSON, HTTPS, *headers)


def test_a_chunked_body_works_and_is_bounded(server: int) -> None:
    """HTTP-03: without a Content-Length a body is read up to the limit, and 413 beyond."""
    small = send(server, login(chunks(b'{"passw', b'ord": 5', b"}"), CHUNKED))
    # It was parsed: the password is not what is missing.
    assert status_of(small) == (400 if b"csrf_failed" not in small else 403)
    assert b'"password"' not in small.partition(b"\r\n\r\n")[2]
    empty = send(server, login(chunks(b"{}"), CHUNKED))
    assert b"required" in empty or b"csrf_failed" in empty
    for size in (65_537, 300_000):
        large = send(server, login(chunks(*[b"x" * 8192] * (size // 8192), b"x" * 8191), CHUNKED))
        assert status_of(large) == 413
        assert b'"body_too_large"' in large


@pytest.mark.parametrize(
    "body", [b"zz\r\n{}\r\n0\r\n\r\n", b"2\r\n{}0\r\n\r\n", b"-1\r\n{}\r\n0\r\n\r\n"]
)
def test_malformed_chunks_are_400(server: int, body: bytes) -> None:
    """HTTP-03, HTTP-09: chunks that are none are the client's mistake, as JSON."""
    answer = send(server, login(body, CHUNKED))
    assert status_of(answer) == 400
    assert b'"bad_request"' in answer


@pytest.mark.parametrize(
    "headers",
    [
        ("Content-Length: 2", CHUNKED),
        (CHUNKED, "Content-Length: 2"),
        ("Content-Length: 2", "Content-Length: 3"),
        ("Content-Length: 2, 3",),
        ("Content-Length: +2",),
        ("Content-Length: 0x2",),
        ("Transfer-Encoding: chunked, identity",),
        ("Transfer-Encoding: xchunked",),
        ("Transfer-Encoding : chunked",),
        ("Transfer-Encoding: \x0bchunked",),
        ("X-Folded: a\r\n b", "Content-Length: 2"),
        ("X-Nul: a\0b", "Content-Length: 2"),
        ("X Space: a", "Content-Length: 2"),
        ("\0: a", "Content-Length: 2"),
        ("Host: evil.example", "Content-Length: 2"),
    ],
)
def test_what_two_servers_could_read_differently_is_refused(
    server: int, headers: tuple[str, ...]
) -> None:
    """HTTP-09: two lengths, length and chunks, folded headers, spaces: 4xx or 501, no second request."""
    smuggled = request("GET", "/health/live", b"", HTTPS)
    answer = send(server, login(b"2\r\n{}\r\n0\r\n\r\n" + smuggled, *headers))
    assert 400 <= status_of(answer) < 500 or status_of(answer) == 501
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("name", ["X_Forwarded_Proto", "X-Forwarded_Proto", "X_FORWARDED-PROTO"])
def test_a_header_spelled_with_underscores_is_nobody_s(server: int, name: str) -> None:
    """HTTP-09: X_Forwarded_Proto does not pass for X-Forwarded-Proto."""
    path = reverse("rest_user_details")
    assert status_of(send(server, request("GET", path, b"", f"{name}: https"))) == 403
    assert status_of(send(server, request("GET", path, b"", HTTPS))) == 401


@pytest.mark.parametrize(
    "raw",
    [
        request("GET", "/health/live", b"", *[f"X-{number}: 1" for number in range(200)]),
        request("GET", "/health/live", b"", "X-Long: " + "a" * 65_536),
        request("GET", "/health/live?" + "a" * 65_536),
        request("GET" * 5000, "/health/live"),
    ],
    ids=["200 headers", "64 KiB header", "64 KiB line", "long method"],
)
def test_endless_heads_are_refused(server: int, raw: bytes) -> None:
    """HTTP-10: more headers, longer headers and lines than anybody needs are 4xx at once."""
    begin = time.monotonic()
    answer = send(server, raw)
    assert 400 <= status_of(answer) < 500
    assert time.monotonic() - begin < 2


def test_slow_clients_keep_no_thread(server: int) -> None:
    """HTTP-10: as many stalled requests as threads: others are served when their time is over."""
    beginnings = [b"GET /health/live HTT", login(b"{", "Content-Length: 60000")]
    stalled = []
    try:
        for beginning in beginnings:
            connection = socket.create_connection(("127.0.0.1", server), timeout=10)
            connection.sendall(beginning)
            stalled.append(connection)
        begin = time.monotonic()
        assert status_of(send(server, request("GET", "/health/live"))) == 200
        # gunicorn lingers two seconds on each connection that it closes.
        assert time.monotonic() - begin < STALL_SECONDS + 2 * len(stalled) + 3
    finally:
        for connection in stalled:
            connection.close()


def test_silent_and_idle_connections_are_closed(server: int) -> None:
    """HTTP-10: a connection without a request is closed, and so is one kept alive too long."""
    with socket.create_connection(("127.0.0.1", server), timeout=10) as connection:
        connection.sendall(request("GET", "/health/live").replace(b"Connection: close\r\n", b""))
        received = b""
        while part := connection.recv(65_536):
            received += part
    assert status_of(received) == 200


EVERY_STATUS = {
    200: request("GET", "/health/live", b"", HTTPS),
    403: request("POST", "/health/live", b"", HTTPS),
    400: request("GET", "/health/live", b"", HTTPS, host="evil.example"),
    401: request("GET", reverse("rest_user_details"), b"", HTTPS),
    404: request("GET", "/nowhere", b"", HTTPS),
    405: request("TRACE", "/health/live", b"", HTTPS),
    406: request("GET", reverse("rest_user_details"), b"", HTTPS, "Accept: text/html"),
    413: login(b"", "Content-Length: 99999999"),
    415: request(
        "POST", reverse("token_verify"), b"x", HTTPS, "Content-Length: 1", "Content-Type: text/x"
    ),
}


@pytest.mark.parametrize("status", EVERY_STATUS)
def test_every_answer_carries_the_security_headers(server: int, status: int) -> None:
    """CFG-02, CFG-04: HSTS of a year and more, and each protective header, whatever the status."""
    answer = send(server, EVERY_STATUS[status])
    headers = headers_of(answer)
    assert status_of(answer) == status or (b"csrf_failed" in answer and status == 415)
    protection, subdomains, *_ = headers["strict-transport-security"].split("; ")
    assert int(protection.removeprefix("max-age=")) >= 31_536_000
    assert subdomains == "includeSubDomains"
    assert_protected(headers)
    assert headers["content-type"] == "application/json"


def assert_protected(headers: dict[str, str]) -> None:
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] in {"no-referrer", "same-origin"}
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert "camera=()" in headers["permissions-policy"]
    directives = headers["content-security-policy"].split("; ")
    for name in ("default-src", "base-uri", "object-src", "frame-ancestors"):
        assert f"{name} 'none'" in directives
    assert headers["cache-control"] == "no-store"
    assert {"authorization", "cookie"} <= set(headers["vary"].lower().split(", "))


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize("name", ["rest_login", "rest_user_details", "token_refresh", "schema"])
def test_plain_http_is_refused(server: int, method: str, name: str) -> None:
    """CFG-03: 403 with the headers of every answer, no redirect; health, asked from inside, answers."""
    answer = send(server, request(method, reverse(name), b"", "Content-Length: 0"))
    assert status_of(answer) == 403
    assert b'"https_required"' in answer
    assert "location" not in headers_of(answer)
    assert "strict-transport-security" not in headers_of(answer)
    assert_protected(headers_of(answer))
    assert status_of(send(server, request("GET", "/health/live"))) == 200


@pytest.mark.parametrize("status", [*EVERY_STATUS, "garbage"])
def test_no_answer_names_a_version(server: int, status: int | str) -> None:
    """CFG-05: Server says no number; nothing says what the project is built with."""
    raw = EVERY_STATUS[status] if isinstance(status, int) else b"garbage\r\n\r\n"
    answer = send(server, raw)
    headers = headers_of(answer)
    assert not any(character.isdigit() for character in headers.get("server", ""))
    assert "x-powered-by" not in headers
    for name in (b"Django", b"Python", b"DRF", b"gunicorn/", b"Traceback", b"wsgi"):
        assert name.lower() not in answer.lower().replace(b"server: gunicorn\r\n", b"")


@pytest.fixture(scope="module")
def development_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder: Path = tmp_path_factory.mktemp("development")
    variables = {**PRODUCTION, "DJANGO_ENV": "dev", "ALLOWED_HOSTS": ""}
    variables["DATABASE_URL"] = f"sqlite:///{folder}/db.sqlite3"
    with runserver(folder, **variables) as port:
        yield port


def test_a_chunked_body_hangs_no_server_that_cannot_read_it(development_server: int) -> None:
    """HTTP-03: Django's runserver knows no chunks: 411 at once, though the body never ends."""
    raw = request("POST", reverse("rest_login"), b"5\r\n{", JSON, CHUNKED, host="127.0.0.1")
    begin = time.monotonic()
    answer = send(development_server, raw)
    assert status_of(answer) == 411
    assert b'"length_required"' in answer
    assert time.monotonic() - begin < 5
