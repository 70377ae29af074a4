"""Reads the environment, and stops the start-up with one line that names what is wrong."""

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import ParseResult, parse_qsl, unquote, urlparse

# Where manage.py is: a team may have moved this package, to src/ for example.
BASE_DIR = next(
    folder for folder in Path(__file__).resolve().parents if (folder / "manage.py").is_file()
)

# Nothing waits longer than this for the database (ASVS 13.1.3): what would is answered with 503.
CONNECT_SECONDS = 2  # the least that libpq takes
SILENCE_SECONDS = 1.5  # of a network that swallows packets
LOCK_SECONDS = 5
STATEMENT_SECONDS = 10
IDLE_TRANSACTION_SECONDS = 30


class Misconfigured(SystemExit):
    """Ends the process with one line on stderr, whoever imported the settings."""


def refuse(name: str, problem: str, example: str) -> NoReturn:
    raise Misconfigured(f"{name}: {problem}; {example}")


def load_dotenv(path: Path) -> None:
    """Take NAME=value lines as defaults: the real environment wins."""
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        name, separator, value = line.partition("=")
        if separator and not line.lstrip().startswith("#"):
            os.environ.setdefault(name.strip(), value.strip())


def read(name: str, default: str = "") -> str:
    return os.environ.get(name, default).strip()


def read_list(name: str) -> list[str]:
    return [item.strip() for item in read(name).split(",") if item.strip()]


def read_count(name: str, default: int) -> int:
    value = read(name, str(default))
    if not value.isascii() or not value.isdigit():
        refuse(name, f"{value!r} is not a whole number", f"for example {name}=1")
    return int(value)


def read_choice(name: str, choices: tuple[str, ...]) -> str:
    value = read(name, choices[0])
    if value not in choices:
        refuse(
            name, f"{value!r} is none of {', '.join(choices)}", f"for example {name}={choices[0]}"
        )
    return value


def split_url(name: str, value: str, example: str) -> ParseResult:
    """Parse a URL; the message never repeats the value, which may hold a password."""
    try:
        url = urlparse(value)
        url.port  # noqa: B018 - parsed, and refused, on access
    except ValueError:
        refuse(name, "is not a URL (percent-encode what is special in a password)", example)
    if not url.scheme or "://" not in value:
        refuse(name, "has no scheme", example)
    return url


def database(name: str, value: str) -> dict[str, Any]:
    """Turn sqlite:///PATH or postgresql://USER:PASSWORD@HOST:PORT/NAME?OPTION=... into DATABASES' entry.

    A relative SQLite path is relative to the project. An option of the URL replaces ours of its name.
    """
    example = f"for example {name}=sqlite:///var/db.sqlite3 or postgresql://user:password@localhost:5432/name"
    url = split_url(name, value, example)
    path = unquote(url.path.removeprefix("/"))
    if not path:
        refuse(name, "names no database", example)
    if url.scheme == "sqlite":
        if url.netloc:
            refuse(name, "takes three slashes before a file", example)
        file = BASE_DIR / path
        if not file.parent.is_dir() and file.parent != BASE_DIR / "var":
            refuse(name, f"the folder {file.parent} does not exist", example)
        file.parent.mkdir(exist_ok=True)
        # IMMEDIATE: a transaction that will write waits for its turn instead of failing half-way.
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": file,
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": LOCK_SECONDS,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
            },
            # A file, because threads share no in-memory database.
            "TEST": {"NAME": BASE_DIR / "var" / "test.sqlite3"},
        }
    if url.scheme in {"postgresql", "postgres"}:
        if importlib.util.find_spec("psycopg") is None:
            refuse(
                name,
                "needs the package psycopg",
                "install 'psycopg[binary]', or regenerate with database=postgresql",
            )
        return {
            "ENGINE": "auth_core.postgresql",
            "NAME": path,
            "USER": unquote(url.username or ""),
            "PASSWORD": unquote(url.password or ""),
            "HOST": url.hostname or "",
            "PORT": url.port or "",
            "CONN_MAX_AGE": 60,
            "CONN_HEALTH_CHECKS": True,
            "OPTIONS": {
                "connect_timeout": CONNECT_SECONDS,
                "tcp_user_timeout": int(SILENCE_SECONDS * 1000),
                "options": f"-c statement_timeout={STATEMENT_SECONDS}s -c lock_timeout={LOCK_SECONDS}s"
                f" -c idle_in_transaction_session_timeout={IDLE_TRANSACTION_SECONDS}s",
                **dict(parse_qsl(url.query, keep_blank_values=True)),
            },
        }
    refuse(name, f"the scheme {url.scheme!r} is not supported", example)


WELL_KNOWN_PASSWORDS = {"", "admin", "changeme", "password", "postgres", "secret"}


def has_guessable_password(database: dict[str, Any]) -> bool:
    """Say whether a database on another host asks for no password, or for one that anybody tries."""
    host, options = database.get("HOST", ""), database.get("OPTIONS", {})
    is_local = host in {"", "localhost", "127.0.0.1", "::1"} or host.startswith("/")
    if is_local or {"sslcert", "passfile", "service"} & options.keys():
        return False
    password = database["PASSWORD"].lower()
    return password in WELL_KNOWN_PASSWORDS | {database["USER"].lower()}


def cache(name: str, value: str) -> dict[str, Any]:
    """Turn locmem:// (in-process) or redis[s]://HOST:PORT/DB into CACHES' entry."""
    example = f"for example {name}=redis://localhost:6379/0 or locmem://"
    url = split_url(name, value, example)
    if url.scheme == "locmem":
        return {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    if url.scheme in {"redis", "rediss"}:
        return {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": value,
            "OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 1},
        }
    refuse(name, f"the scheme {url.scheme!r} is not supported", example)


SMTP_DEFAULT_PORTS = {"smtp": 25, "smtp+tls": 587, "smtps": 465}
ANYMAIL_PROVIDERS: Mapping[str, tuple[str, str]] = {
    "postmark": ("server_token", ""),
    "mailgun": ("api_key", "sender_domain"),
}


def mailer(name: str, value: str) -> dict[str, Any]:
    """Turn EMAIL_URL into an entry of MAILERS: {"BACKEND": path, "OPTIONS": {...}}.

    file://DIR, smtp://, smtp+tls:// (STARTTLS), smtps:// (TLS) and, with the package
    django-anymail, postmark://TOKEN@api and mailgun://KEY@DOMAIN. Passwords are percent-encoded.
    """
    example = f"for example {name}=smtps://user:password@mail.example.com:465 or file://var/mail"
    url = split_url(name, value, example)
    if url.scheme == "file":
        folder = (
            BASE_DIR / (url.netloc + unquote(url.path)) if url.netloc else Path(unquote(url.path))
        )
        return {
            "BACKEND": "django.core.mail.backends.filebased.EmailBackend",
            "OPTIONS": {"file_path": folder},
        }
    if not url.hostname:
        refuse(name, "names no host", example)
    if url.scheme in SMTP_DEFAULT_PORTS:
        return {
            "BACKEND": "django.core.mail.backends.smtp.EmailBackend",
            "OPTIONS": {
                "host": url.hostname,
                "port": url.port or SMTP_DEFAULT_PORTS[url.scheme],
                "username": unquote(url.username or ""),
                "password": unquote(url.password or ""),
                "use_tls": url.scheme == "smtp+tls",
                "use_ssl": url.scheme == "smtps",
                "timeout": 10,
            },
        }
    if url.scheme in ANYMAIL_PROVIDERS:
        if importlib.util.find_spec("anymail") is None:
            refuse(
                name,
                "needs the package django-anymail",
                f"regenerate with email_provider={url.scheme}",
            )
        secret_option, domain_option = ANYMAIL_PROVIDERS[url.scheme]
        if not url.username:
            refuse(
                name, "holds no API key", f"for example {name}={url.scheme}://KEY@{url.hostname}"
            )
        options = {secret_option: unquote(url.username)}
        if domain_option:
            options[domain_option] = url.hostname
        return {"BACKEND": f"anymail.backends.{url.scheme}.EmailBackend", "OPTIONS": options}
    refuse(name, f"the scheme {url.scheme!r} is not supported", example)


LEGACY_MAIL_SETTINGS = {
    "host": "EMAIL_HOST",
    "port": "EMAIL_PORT",
    "username": "EMAIL_HOST_USER",
    "password": "EMAIL_HOST_PASSWORD",
    "use_tls": "EMAIL_USE_TLS",
    "use_ssl": "EMAIL_USE_SSL",
    "timeout": "EMAIL_TIMEOUT",
    "file_path": "EMAIL_FILE_PATH",
}


def legacy_mail_settings(entry: dict[str, Any]) -> dict[str, Any]:
    """Spell an entry of MAILERS (Django 6.1) as the settings of Django 5.2."""
    settings: dict[str, Any] = {"EMAIL_BACKEND": entry["BACKEND"]}
    provider = entry["BACKEND"].split(".")[-2].upper()
    for option, value in entry["OPTIONS"].items():
        if option in LEGACY_MAIL_SETTINGS:
            settings[LEGACY_MAIL_SETTINGS[option]] = value
        else:
            settings.setdefault("ANYMAIL", {})[f"{provider}_{option.upper()}"] = value
    return settings


def origin(name: str, value: str, *, https: bool, may_have_path: bool = True) -> str:
    """Check a base URL such as https://app.example.com or .../path; no trailing slash."""
    example = f"for example {name}=https://app.example.com"
    url = split_url(name, value, example)
    allowed = {"https"} if https else {"https", "http"}
    if url.scheme not in allowed or not url.hostname:
        refuse(name, f"must begin with {' or '.join(sorted(allowed))}:// and a host", example)
    if url.username or url.query or url.fragment:
        refuse(name, "may hold a host and a path only", example)
    if url.path.strip("/") and not may_have_path:
        refuse(name, "may hold no path", example)
    if not value.isascii():
        refuse(name, "is not in ASCII, as browsers write it (xn--...)", example)
    return value.rstrip("/")
