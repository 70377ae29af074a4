"""Decides which origins are ours: the only place that CORS and the CSRF proof ask.

Ours are that of FRONTEND_URL, those of CORS_ALLOWED_ORIGINS, and what CORS_ALLOWED_ORIGIN_REGEXES match from
beginning to end.
"""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from corsheaders.conf import conf as cors
from django.conf import settings

from auth_core import env

DEFAULT_PORTS = {"https": 443, "http": 80}
# A pattern that matches one of them matches anybody. Sandboxed frames and files of anybody are "null".
STRANGERS = (
    "null",
    "http://stranger.example",
    "https://stranger.example",
    "https://a.stranger.example:8443",
)
THEIRS = "corsheaders.middleware.CorsMiddleware"
OURS = "auth_core.http.middleware.CorsMiddleware"


def origin_of(url: str) -> str:
    """Return the origin of a URL (RFC 6454), as browsers write it."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    is_default = parts.port in {None, DEFAULT_PORTS.get(parts.scheme)}
    return f"{parts.scheme}://{host}" + ("" if is_default else f":{parts.port}")


def is_ours(origin: str) -> bool:
    """Say whether a frontend of this origin may read answers and change what is its user's."""
    return (
        origin == origin_of(settings.FRONTEND_URL)
        or origin in cors.CORS_ALLOWED_ORIGINS
        or any(re.fullmatch(pattern, origin) for pattern in cors.CORS_ALLOWED_ORIGIN_REGEXES)
    )


def refuse_what_is_open() -> None:
    """Stop the start where a setting names no origin, or lets strangers read answers (ASVS 3.4.2)."""
    if THEIRS in settings.MIDDLEWARE:
        # It matches the beginning of an origin.
        env.refuse("MIDDLEWARE", f"holds {THEIRS}", f"put {OURS} in its place")
    for name, problem in _problems():
        env.refuse(name, problem, "for example https://app.example.com")


def _problems() -> Iterator[tuple[str, str]]:
    name = "CORS_ALLOWED_ORIGINS"
    yield from ((name, f"holds {it!r}, {NONE}") for it in cors.CORS_ALLOWED_ORIGINS if not _is(it))
    # In development strangers may read what nobody is logged in for.
    may_be_open = settings.DEBUG and not cors.CORS_ALLOW_CREDENTIALS
    if cors.CORS_ALLOW_ALL_ORIGINS and not may_be_open:
        yield "CORS_ALLOW_ALL_ORIGINS", f"is on; list the origins in {name}"
    name = "CORS_ALLOWED_ORIGIN_REGEXES"
    for each in cors.CORS_ALLOWED_ORIGIN_REGEXES:
        try:
            pattern = re.compile(each)
        except re.error as error:
            yield name, f"holds {each!r}, which is no regular expression ({error})"
        else:
            if not may_be_open and any(map(pattern.fullmatch, STRANGERS)):
                yield name, f"holds {pattern.pattern!r}, which matches origins of strangers"


NONE = (
    "which is no origin as browsers write it (https://HOST, with a port if need be, without a path)"
)


def _is(origin: str) -> bool:
    try:
        return bool(urlsplit(origin).hostname) and origin.isascii() and origin == origin_of(origin)
    except ValueError:
        return False
