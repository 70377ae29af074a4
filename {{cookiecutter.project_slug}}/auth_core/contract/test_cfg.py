"""Configuration: what production refuses to start with, and what its documents promise."""

import gc
import importlib.util
import os
import re
import runpy
import smtplib
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings as django_settings
from django.test import RequestFactory
from rest_framework.throttling import AnonRateThrottle

from auth_core import env, policy
from auth_core.audit.log import context_of
from auth_core.contract.processes import PRODUCTION, run
from auth_core.testing import Api

pytestmark = [pytest.mark.django_db, pytest.mark.inside]

API_DELIVERY = "cookie" if policy.TOKEN_DELIVERY == "cookie" else "header"


@pytest.fixture(autouse=True)
def _delivery() -> None:
    """Nothing here depends on how tokens travel: once is enough."""


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Read auth_core/settings.py anew in production's environment, some variables changed (None: unset)."""

    def load_settings(**variables: str | None) -> dict[str, Any]:
        monkeypatch.setattr(env, "load_dotenv", lambda path: None)
        for name, value in {**PRODUCTION, **variables}.items():
            monkeypatch.delenv(name, raising=False)
            if value is not None:
                monkeypatch.setenv(name, value)
        path = Path(env.__file__).with_name("settings.py")
        spec = importlib.util.spec_from_file_location("auth_core.settings_again", path)
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return vars(module)

    return load_settings


@pytest.mark.slow
def test_the_deployment_checks_pass() -> None:
    """CFG-01: Django's deployment checks and ours are clean; what is silenced has its reason there."""
    done = run("manage.py", "check", "--deploy", "--fail-level", "WARNING", **PRODUCTION)
    assert done.returncode == 0, done.stderr
    of_files = ["mail.E001"] if policy.EMAIL_PROVIDER == "file" else []
    assert list(django_settings.SILENCED_SYSTEM_CHECKS) == ["security.W008", *of_files]


def test_a_refusal_is_one_line_and_an_exit_code() -> None:
    """CFG-06: the process ends, without a traceback, on a line that names the variable."""
    refused = run("manage.py", "check", **{**PRODUCTION, "SECRET_KEY": "weak"})
    assert (refused.returncode, refused.stdout) == (1, "")
    assert len(refused.stderr.splitlines()) == 1
    assert refused.stderr.startswith("SECRET_KEY: ")


def test_hsts_and_its_preload_are_settings(load: Any) -> None:
    """CFG-02: a year and more with subdomains in production; the preload flag is a setting; none in development."""
    production = load()
    assert production["SECURE_HSTS_SECONDS"] >= 31_536_000
    assert production["SECURE_HSTS_INCLUDE_SUBDOMAINS"] is True
    assert production["SECURE_HSTS_PRELOAD"] is True
    assert load(DJANGO_ENV="dev")["SECURE_HSTS_SECONDS"] == 0


def test_a_token_sent_over_plain_http_is_logged(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """CFG-03: refused before anything is done with it, and logged without the token itself."""
    settings.PRODUCTION = True
    bearer = {"Authorization": f"{policy.AUTH_HEADER_TYPE} very.secret.token"}
    answer = Api(delivery="header").get("rest_user_details", **bearer)
    assert (answer.status, answer.code) == (403, "https_required")
    lines = [record for record in caplog.records if "plain http" in record.getMessage()]
    assert len(lines) == 1
    assert "secret" not in caplog.text
    assert lines[0].__dict__["audit"]["request_id"] == answer.body["request_id"]


WEAK = [
    ("SECRET_KEY", ""),
    ("SECRET_KEY", "x7Q"),
    ("SECRET_KEY", "aB3-" * 20),
    ("SECRET_KEY", "django-insecure-" + PRODUCTION["SECRET_KEY"]),
    ("SECRET_KEY_FALLBACKS", "short"),
    ("AUTH_SIGNING_KEYS", ""),
    ("AUTH_SIGNING_KEYS", "HS256:"),
    ("AUTH_SIGNING_KEYS", "HS256:c2VjcmV0"),
    ("AUTH_SIGNING_KEYS", "HS256:" + "A" * 43),
    ("AUTH_SIGNING_KEYS", f"{policy.SIGNING_ALGORITHM}:changeme"),
    ("AUTH_SIGNING_KEYS", "HS256:" + PRODUCTION["SECRET_KEY"]),
    ("AUTH_SIGNING_KEYS", "none:"),
    ("ALLOWED_HOSTS", ""),
    ("ALLOWED_HOSTS", "*"),
    ("ALLOWED_HOSTS", "api.example.com,*"),
    ("FRONTEND_URL", "http://app.example.com"),
    ("CORS_ALLOWED_ORIGINS", "http://app.example.com"),
    ("CORS_ALLOWED_ORIGINS", "https://app.example.com/path"),
    ("CORS_ALLOWED_ORIGINS", "https://büro.example"),
    ("DJANGO_ENV", "prod"),
    ("TRUSTED_PROXIES", "-1"),
    ("TRUSTED_PROXIES", "all"),
]


@pytest.mark.parametrize(
    ("name", "value"), WEAK, ids=[f"{name}-{number}" for number, (name, _) in enumerate(WEAK)]
)
def test_production_refuses_a_weak_value(name: str, value: str, load: Any) -> None:
    """CFG-06, CFG-08: it ends with one line that names the variable, not the value."""
    with pytest.raises(env.Misconfigured) as refusal:
        load(**{name: value})
    line = str(refusal.value)
    assert line.startswith(f"{name}: ")
    assert "\n" not in line
    assert len(value) < 10 or value not in line


def test_a_listed_origin_is_taken_as_browsers_write_it(load: Any) -> None:
    """A slash at the end, capitals and the port that https has anyway make no other origin."""
    listed = load(CORS_ALLOWED_ORIGINS="https://Admin.example.com/,https://b.example.com:443")
    assert listed["CORS_ALLOWED_ORIGINS"] == ["https://admin.example.com", "https://b.example.com"]


@pytest.mark.skipif(policy.DATABASE != "postgresql", reason="no PostgreSQL by the policy")
@pytest.mark.parametrize(
    "url",
    [
        "postgresql://api@db.example.com/api",
        "postgresql://api:@db.example.com/api",
        "postgresql://api:api@db.example.com/api",
        "postgresql://postgres:postgres@10.0.0.7:5432/api",
        "postgresql://api:Password@db.example.com/api?sslmode=require",
        "sqlite:///var/db.sqlite3",
    ],
)
def test_production_refuses_a_database_without_a_secret(url: str, load: Any) -> None:
    """CFG-08: no password, the user's name or a well-known word for a database on another host."""
    with pytest.raises(env.Misconfigured, match=r"\ADATABASE_URL: "):
        load(DATABASE_URL=url)


@pytest.mark.parametrize(
    ("host", "password", "options", "guessable"),
    [
        ("db.example.com", "", {}, True),
        ("db.example.com", "Postgres", {}, True),
        ("db.example.com", "api", {}, True),
        ("db.example.com", "", {"sslcert": "client.pem"}, False),
        ("db.example.com", "k2Jx-8sN", {}, False),
        ("127.0.0.1", "", {}, False),
        ("/run/postgresql", "", {}, False),
    ],
)
def test_which_passwords_are_guessable(
    host: str, password: str, options: dict[str, str], guessable: bool
) -> None:
    """CFG-08: a certificate and the own host need no password."""
    entry = {"HOST": host, "USER": "api", "PASSWORD": password, "OPTIONS": options}
    assert env.has_guessable_password(entry) == guessable


@pytest.mark.parametrize("server", ["wsgi", "asgi"])
def test_a_server_that_was_told_nothing_is_in_production(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CFG-07: DEBUG is off unless DJANGO_ENV=dev was said, or `make run` serves."""
    monkeypatch.setenv("DJANGO_ENV", "")
    monkeypatch.delenv("DJANGO_ENV")
    monkeypatch.setattr(f"django.core.{server}.get_{server}_application", lambda: None)
    runpy.run_path(str(env.BASE_DIR / "config" / f"{server}.py"))
    assert os.environ["DJANGO_ENV"] == "production"


def test_debug_cannot_be_on_in_production(load: Any, settings: Any) -> None:
    """CFG-07: production has DEBUG off and no toolbar; a team's setting that turns it on ends the start."""
    production = load()
    assert (production["PRODUCTION"], production["DEBUG"]) == (True, False)
    tools = [*production["INSTALLED_APPS"], *production["MIDDLEWARE"]]
    assert not [name for name in tools if "debug_toolbar" in name or "silk" in name]
    settings.PRODUCTION, settings.DEBUG = True, True
    with pytest.raises(env.Misconfigured, match=r"\ADEBUG: "):
        apps.get_app_config("auth_http").ready()


def test_the_databases_certificate_can_be_verified() -> None:
    """CFG-10: sslmode=verify-full and its certificate reach the driver; rediss reaches Redis; both are documented."""
    if policy.DATABASE == "postgresql":
        url = "postgresql://u:p@db/n?sslmode=verify-full&sslrootcert=/ca.pem"
        options = env.database("DATABASE_URL", url)["OPTIONS"]
        assert (options["sslmode"], options["sslrootcert"]) == ("verify-full", "/ca.pem")
    assert env.cache("CACHE_URL", "rediss://c:6379/0")["LOCATION"].startswith("rediss://")
    example = (env.BASE_DIR / ".env.example").read_text(encoding="utf-8")
    for option in ("sslmode=verify-full", "rediss://", "smtp+tls://", "smtps://"):
        assert option in example


# Django drops the connection without closing it.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("refuses", ["does not offer STARTTLS", "refuses STARTTLS"])
def test_mail_that_shall_be_encrypted_never_leaves_in_clear(refuses: str) -> None:
    """CFG-10: where STARTTLS is asked and not to be had, neither password nor mail is sent."""
    spoken: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=speak_smtp, args=(listener, spoken, refuses), daemon=True)
        thread.start()
        options = env.mailer("EMAIL_URL", f"smtp+tls://user:hunter2@127.0.0.1:{port}")["OPTIONS"]
        assert options["use_tls"] is True
        with pytest.raises((smtplib.SMTPException, OSError)):
            open_mail_connection(options)
        gc.collect()
        thread.join(timeout=10)
    assert any(line.startswith((b"EHLO", b"ehlo")) for line in spoken)
    commands = {line.split()[0].upper() for line in spoken if line.split()}
    assert not commands & {b"AUTH", b"MAIL", b"RCPT", b"DATA"}


def open_mail_connection(options: dict[str, Any]) -> None:
    from django.core.mail.backends.smtp import EmailBackend

    EmailBackend(alias="default", **options).open()  # 5.2 knows no alias and ignores it


def speak_smtp(listener: socket.socket, spoken: list[bytes], refuses: str) -> None:
    connection, _ = listener.accept()
    with connection, connection.makefile("rwb") as stream:
        stream.write(b"220 ready\r\n")
        stream.flush()
        while line := stream.readline():
            spoken.append(line)
            if line.upper().startswith(b"EHLO"):
                offers = b"250-STARTTLS\r\n" if refuses == "refuses STARTTLS" else b""
                stream.write(b"250-here\r\n" + offers + b"250 AUTH PLAIN LOGIN\r\n")
            elif line.upper().startswith(b"STARTTLS"):
                stream.write(b"454 not now\r\n")
            elif line.upper().startswith(b"QUIT"):
                stream.write(b"221 bye\r\n")
            else:
                stream.write(b"250 fine\r\n")
            stream.flush()


def test_health_says_no_more_than_it_must(api: Api, django_assert_num_queries: Any) -> None:
    """CFG-11: live asks nothing and tells nothing; ready asks the database and says yes or no."""
    with django_assert_num_queries(0):
        assert api.get("health_live").body == {"status": "ok"}
    with django_assert_num_queries(1):
        assert api.get("health_ready").body == {"status": "ok", "database": True}


def test_trusted_proxies_is_one_setting(load: Any) -> None:
    """CFG-13: Django, DRF and allauth follow TRUSTED_PROXIES; the default trusts none; gunicorn decides nothing."""
    none, two = load(TRUSTED_PROXIES=None), load(TRUSTED_PROXIES="2")
    assert none["ALLAUTH_TRUSTED_PROXY_COUNT"] == none["REST_FRAMEWORK"]["NUM_PROXIES"] == 0
    assert none["SECURE_PROXY_SSL_HEADER"] is None
    assert two["ALLAUTH_TRUSTED_PROXY_COUNT"] == two["REST_FRAMEWORK"]["NUM_PROXIES"] == 2
    assert two["SECURE_PROXY_SSL_HEADER"] == ("HTTP_X_FORWARDED_PROTO", "https")
    assert gunicorn_settings()["forwarded_allow_ips"] == ""


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "203.0.113.7", "192.0.2.1"),
        (1, "203.0.113.7", "203.0.113.7"),
        (1, "198.51.100.9, 203.0.113.7", "203.0.113.7"),
        (2, "198.51.100.9, 203.0.113.7, 10.0.0.1", "203.0.113.7"),
        (1, None, "192.0.2.1"),
        # Shorter than the proxies are many, or no addresses: somebody came round them.
        (2, "203.0.113.7", "192.0.2.1"),
        (1, "unknown", "192.0.2.1"),
        (1, "<script>", "192.0.2.1"),
        (1, "", "192.0.2.1"),
        (1, "203.0.113.7,", "192.0.2.1"),
        (1, "fe80::1%eth0", "fe80::1"),
        (1, "x" * 5000, "192.0.2.1"),
    ],
)
def test_forwarded_addresses_are_believed_so_far(
    proxies: int, forwarded: str | None, address: str, settings: Any
) -> None:
    """CFG-13: logs and limits see the address that the trusted proxies vouch for; nothing is a 500."""
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = proxies
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "NUM_PROXIES": proxies}
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    request = RequestFactory().get("/", headers=headers, REMOTE_ADDR="192.0.2.1")
    assert context_of(request)["ip"] == address
    if forwarded and address == "203.0.113.7":
        assert AnonRateThrottle.get_ident(AnonRateThrottle.__new__(AnonRateThrottle), request) == (  # type: ignore[arg-type]
            address
        )
    answer = Api(delivery=API_DELIVERY).post(
        "rest_password_reset", {"email": "nobody@example.com"}, **headers
    )
    assert answer.status == 200


def gunicorn_settings() -> dict[str, Any]:
    return runpy.run_path(str(env.BASE_DIR / "gunicorn.conf.py"))


SECTIONS = (
    "2.1.1 2.1.2 3.1.1 3.5.4 7.1.1 7.1.2 7.1.3 8.1.3 8.1.4 11.1.1 11.1.2 13.1.1 13.1.2 13.1.3 13.1.4 "
    "14.1.1 14.1.2 15.1.1 15.1.3 15.1.4 15.1.5 16.1.1"
)


@pytest.mark.parametrize("number", SECTIONS.split())
def test_the_security_document_has_each_section(number: str) -> None:
    """CFG-14: docs/security.md speaks of each item of documentation that ASVS 5.0.0 asks for."""
    headings = re.findall(r"^## .*\((?:ASVS )(.*)\)$", security_document(), re.MULTILINE)
    assert number in ", ".join(headings).split(", ")


def test_the_security_document_states_the_values_in_force() -> None:
    """CFG-14: the values it names are those of the policy, the settings and the server."""
    rows = re.findall(r"^\| `(\w+)\.(\w+)` \| (.*) \|$", security_document(), re.MULTILINE)
    assert len(rows) >= 15
    server = gunicorn_settings()
    for place, name, stated in rows:
        owner = {"policy": vars(policy), "settings": None, "gunicorn": server}[place]
        actual = getattr(django_settings, name) if owner is None else owner[name]
        assert stated == str(actual), name


def security_document() -> str:
    return (env.BASE_DIR / "docs" / "security.md").read_text(encoding="utf-8")
