"""Refuse every answer that cannot work, all of them at once, before anything is written.

Cookiecutter renders this file with Jinja and runs it in the new, still empty project folder,
which it removes again when this exits with 1. Only the last line carries a template tag.
"""

import json
import keyword
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import combinations
from typing import Any, Final, NamedTuple

Answers = Mapping[str, str]


class Problem(NamedTuple):
    """One refusal: what was given, why it cannot be, and an answer that would do."""

    given: Answers
    why: str
    example: Answers


Validator = Callable[[Answers], Iterator[Problem]]

# What cookiecutter.json falls back to where the project name has no letter to make a slug of.
NO_SLUG: Final = "SLUG-NEEDED"
MAX_NAME: Final = 60
MAX_SLUG: Final = 50
MAX_PREFIX: Final = 100
# An example is shorter: the defaults of two questions put up to 14 characters behind the third.
MAX_EXAMPLE: Final = 80
MAX_URL: Final = 200
MAX_PORT: Final = 65535
MAX_MINUTES: Final = 24 * 60
MAX_DAYS: Final = 90

# Zero-width joiners are not "printable" for Python, yet emoji and several scripts need them.
JOINERS: Final = "\u200c\u200d"

# A project of one of these names would shadow, or be shadowed by, what it imports itself.
OWN_PACKAGES: Final = {"auth_core", "config", "conftest", "features", "manage", "tests", "users"}
DEPENDENCIES: Final = set(
    """
    allauth anymail argon2 argon2_cffi asgiref corsheaders cryptography dj_rest_auth django
    django_allauth django_anymail django_cors_headers django_environ django_rest_framework
    django_stubs django_stubs_ext django_tasks django_tasks_db djangorestframework
    djangorestframework_simplejwt djangorestframework_stubs drf_spectacular
    drf_spectacular_sidecar environ fido2 gunicorn httpx idna jwt mypy oidc_provider_mock psycopg
    prometheus_client psycopg_binary pwned_passwords_django pyjwt pytest pytest_django
    pytest_xdist qrcode redis rest_framework rest_framework_simplejwt ruff schemathesis time_machine
    urllib3 uv whitenoise
    """.split()
)

# What the project serves below each prefix. A name that ends in a slash owns all below it
# (sessions/<id>/, social/<provider>/ and so on).
AUTH_ENDPOINTS: Final = tuple(
    """
    login login/code login/code/confirm logout logout/all user user/export password/change
    password/reset password/reset/confirm token/verify email/change email/change/confirm
    email/change/undo password/policy reauthenticate csrf
    sessions/ mfa/ passkeys/ social/ api-keys/ invitations/
    """.split()
)
REGISTRATION_ENDPOINTS: Final = ("", "verify-email", "resend-email", "reject")
RESERVED_ROOTS: Final = {
    "admin": "the Django admin",
    "static": "the static files",
    "health": "the health checks",
    "api/schema": "the OpenAPI schema",
    "api/docs": "the API documents",
    "account": "the built-in pages",
    ".well-known": "the public keys",
}
# In this order, so that the same choice is the same answer everywhere.
SOCIAL_PROVIDERS: Final = ("google", "github", "openid_connect")
URL_QUESTIONS: Final = ("auth_url_prefix", "registration_url_prefix", "refresh_url")

CONTRADICTIONS: Final = (
    Problem(
        {"email_verification": "mandatory", "email_provider": "file"},
        "no mail would leave, so nobody could verify an address and log in",
        {"email_provider": "smtp"},
    ),
    Problem(
        {"tutorial_contract": "true", "login_with": "email"},
        "the tutorial logs in with a user name",
        {"login_with": "username"},
    ),
    Problem(
        {"tutorial_contract": "true", "email_verification": "mandatory"},
        "the tutorial logs in right after registering, perhaps without an e-mail address",
        {"email_verification": "none"},
    ),
    Problem(
        {"container": "true", "database": "sqlite"},
        "containers keep no files, and several of them share no SQLite",
        {"database": "postgresql"},
    ),
    Problem(
        {"registration": "invite", "email_provider": "file"},
        "no mail would leave, so nobody could be invited",
        {"email_provider": "smtp"},
    ),
    Problem(
        {"login_by_code": "true", "email_provider": "file"},
        "no mail would leave, so no code would arrive",
        {"email_provider": "smtp"},
    ),
    Problem(
        {"login_by_code": "true", "email_verification": "none"},
        "a code goes to verified addresses only, and nobody would be asked to verify one",
        {"email_verification": "optional"},
    ),
    *(
        Problem(
            {"tutorial_contract": "true", "registration": registration},
            "the tutorial's first request registers a user",
            {"registration": "open"},
        )
        for registration in ("invite", "closed")
    ),
    *(
        Problem(
            {"tutorial_contract": "true", "token_delivery": delivery},
            "the tutorial's token travels in bodies and in the Authorization header",
            {"token_delivery": "header"},
        )
        for delivery in ("cookie", "both")
    ),
)


def project_name(answers: Answers) -> Iterator[Problem]:
    r"""Stands in Python, TOML, HTML, mails and Markdown: no sign that is code in one of them.

    Valid: My API | O'Brien & Sons | Büro 2 | Мой API | Rocket 🚀
    Invalid: nothing | blanks only | " My API" | a "b" | a\b | <b>c</b> | $x | a brace | a newline
    """
    name = answers["project_name"]
    kept = "".join(c for c in name if (c.isprintable() or c in JOINERS) and c not in '"\\{}<>`$')
    if not name.strip():
        why = "a project needs a name"
    elif kept != name:
        why = 'holds a sign that means something in code: " \\ { } < > ` $ or a control character'
    elif name != name.strip():
        why = "begins or ends with white space"
    elif len(name) > MAX_NAME:
        why = f"is {len(name)} characters long, at most {MAX_NAME} are possible"
    else:
        return
    example = kept.strip()[:MAX_NAME].strip() or "My API"
    yield Problem({"project_name": name}, why, {"project_name": example})


def project_slug(answers: Answers) -> Iterator[Problem]:
    """Names the folder and the package, so it is kept to what every tool takes.

    Valid: my-api | shop | shop_api2
    Invalid: My-Api | 2api | my--api | -api | ../x | class | email | users | django
    """
    slug = answers["project_slug"]
    if why := slug_fault(slug):
        words = re.sub(r"[^a-z0-9]+", "-", slug.lower()).lstrip("-0123456789")[:MAX_SLUG].strip("-")
        guesses = ("" if slug == NO_SLUG else words, f"{words}-api")
        example = next((guess for guess in guesses if slug_fault(guess) is None), "my-api")
        yield Problem({"project_slug": slug}, why, {"project_slug": example})


def slug_fault(slug: str) -> str | None:
    """Say why this cannot be a slug, or None."""
    module = slug.replace("-", "_")
    faults: dict[str, object] = {
        "the project name has no letter to make a slug of: give one": slug in {"", NO_SLUG},
        "must be words of a-z and 0-9 joined by single - or _, and begin with a letter": (
            not re.fullmatch(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*", slug)
        ),
        f"is {len(slug)} characters long, at most {MAX_SLUG} are possible": len(slug) > MAX_SLUG,
        "is a Python keyword": keyword.iskeyword(module),
        "is the name of a standard library module of Python": module in sys.stdlib_module_names,
        "is the name of a package inside the project": module in OWN_PACKAGES,
        "is the name of a package that the project depends on": module in DEPENDENCIES,
    }
    return first_fault(faults)


def first_fault(faults: Mapping[str, object]) -> str | None:
    """Return the first reason that holds, or None."""
    return next((why for why, holds in faults.items() if holds), None)


def access_token_minutes(answers: Answers) -> Iterator[Problem]:
    """How long other services trust a token without asking.

    Valid: 1 | 15 | 1440
    Invalid: 0 | -1 | 1441 | 015 | 1.5 | 1e9 | abc | nothing
    """
    yield from whole_number(answers, "access_token_minutes", MAX_MINUTES, "15")


def refresh_token_days(answers: Answers) -> Iterator[Problem]:
    """How long a user may stay away and still be logged in.

    Valid: 1 | 14 | 90
    Invalid: 0 | -1 | 91 | +7 | 1e9 | abc | nothing
    """
    yield from whole_number(answers, "refresh_token_days", MAX_DAYS, "14")


def whole_number(answers: Answers, question: str, most: int, example: str) -> Iterator[Problem]:
    """Refuse what is not a number from 1 to `most` in plain ASCII digits."""
    if not is_whole_number(answers[question], most):
        why = f"must be a whole number from 1 to {most}, in plain digits"
        yield Problem({question: answers[question]}, why, {question: example})


def is_whole_number(value: str, most: int) -> bool:
    """Whether the value is such a number; the length is bounded before int() sees it."""
    return re.fullmatch(r"[1-9][0-9]{0,5}", value) is not None and int(value) <= most


def frontend_url(answers: Answers) -> Iterator[Problem]:
    """Where mailed links lead; a path like /verify-email#key=... is put behind it.

    Valid: nothing | https://app.example.com | https://example.com:8443/app | http://localhost:3000
    Invalid: app.example.com | http://example.com | https://a.example/ | https://a.example/?x=1
    """
    url = answers["frontend_url"]
    if url and (why := url_fault(url)):
        bare = re.sub(r"^[a-z]*:?/*", "", url.lower(), count=1).rstrip("/")
        guesses = (url.rstrip("/"), f"https://{bare}")
        fallback = "https://app.example.com"
        example = next((guess for guess in guesses if not url_fault(guess)), fallback)
        yield Problem({"frontend_url": url}, why, {"frontend_url": example})


def url_fault(url: str) -> str | None:
    """Say why mailed links cannot begin with this, or None."""
    shape = re.fullmatch(
        r"(https?)://([a-z0-9-]+(?:\.[a-z0-9-]+)*)(?::([1-9][0-9]{0,4}))?((?:/[\w.~%-]+)*)",
        url,
        re.ASCII,
    )
    scheme, host, port, path = shape.groups() if shape else ("https", "", None, "")
    faults: dict[str, object] = {
        f"is {len(url)} characters long, at most {MAX_URL} are possible": len(url) > MAX_URL,
        "must begin with https:// (or http:// for localhost)": not re.match("https?://", url),
        "names a user, which a public address must not": "@" in url,
        "has a query or a fragment; mailed links bring their own": re.search("[?#]", url),
        "ends with a slash; mailed links bring their own": url.endswith("/"),
        "is not https://host[:port][/path], in lower case up to the path and plain signs": (
            not shape or int(port or 1) > MAX_PORT or {".", ".."} & set(path.split("/"))
        ),
        "would send mailed secrets unencrypted; http:// is for localhost and 127.0.0.1": (
            scheme == "http" and host not in {"localhost", "127.0.0.1"}
        ),
    }
    return first_fault(faults)


def social_providers(answers: Answers) -> Iterator[Problem]:
    """Where else people may log in.

    Valid: nothing | google | google,github | openid_connect | google,github,openid_connect
    Invalid: facebook | Google | google,google | google, | , | "google, github" | github,google
    """
    value = answers["social_providers"]
    names = value.split(",")
    known = [name for name in SOCIAL_PROVIDERS if name in names]
    faults: dict[str, object] = {
        f"may name {', '.join(SOCIAL_PROVIDERS)}, with a comma and nothing else between": (
            set(names) - set(SOCIAL_PROVIDERS)
        ),
        "names a provider twice": len(names) > len(known),
        f"must keep the order {', '.join(SOCIAL_PROVIDERS)}": names != known,
    }
    if value and (why := first_fault(faults)):
        words = re.findall("[a-z_]+", value.lower())
        example = ",".join(name for name in SOCIAL_PROVIDERS if name in words)
        yield Problem({"social_providers": value}, why, {"social_providers": example})


def url_prefixes(answers: Answers) -> Iterator[Problem]:
    """Paths as they stand in the URL, between slashes that the project adds itself.

    Valid: api/auth | auth | v1.2/~auth_x
    Invalid: nothing | / | // | /api | api/ | api//auth | my api | api/../auth | "api?x"
    """
    auth = answers["auth_url_prefix"]
    for question in URL_QUESTIONS:
        value = answers[question]
        # The other two begin with the first one by default: its fault is told once.
        inherits = question != "auth_url_prefix" and path_fault(auth)
        if why := path_fault(value.removeprefix(f"{auth}/") if inherits else value):
            words = (
                re.sub(r"[^\w~.-]+", "-", s, flags=re.ASCII).strip("-") for s in value.split("/")
            )
            example = "/".join(word for word in words if word not in {"", ".", ".."})
            example = example[:MAX_EXAMPLE].strip("/.") or "api/auth"
            example = f"auth/{example}" if owner_of(example) else example
            yield Problem({question: value}, why, {question: example})


def path_fault(path: str) -> str | None:
    """Say why this cannot be a path of the project, or None."""
    segments, length = path.split("/"), len(path)
    faults: dict[str, object] = {
        "must not be empty": not path.strip("/"),
        "must not begin or end with a slash: the project adds them": path != path.strip("/"),
        f"is {length} characters long, at most {MAX_PREFIX} are possible": length > MAX_PREFIX,
        "has two slashes in a row": "" in segments,
        "has a segment . or .., which clients resolve away": {".", ".."} & set(segments),
        "may hold letters a-z, digits and - _ ~ . between single slashes": (
            not re.fullmatch(r"[\w~./-]*", path, re.ASCII)
        ),
    }
    return first_fault(faults)


def reserved_paths(answers: Answers) -> Iterator[Problem]:
    """Keep the prefixes out of what the project serves besides.

    Valid: api/auth | api | administration
    Invalid: admin | admin/auth | health | static/x | api/docs | .well-known
    """
    for question in URL_QUESTIONS:
        value = answers[question]
        if not path_fault(value) and (owner := owner_of(value)):
            example = f"auth/{value.removeprefix('.')}"[:MAX_EXAMPLE].rstrip("/.")
            yield Problem({question: value}, f"belongs to {owner}", {question: example})


def owner_of(path: str) -> str | None:
    """Name what the project serves there besides, or None."""
    roots = RESERVED_ROOTS.items()
    return next((owner for root, owner in roots if f"{path}/".startswith(f"{root}/")), None)


def colliding_paths(answers: Answers) -> Iterator[Problem]:
    """Let no two endpoints answer the same path; equal and nested prefixes are fine otherwise.

    Valid: auth, auth/registration, auth/refresh | auth, auth, refresh | a/b, a, a/c
    Invalid: auth, auth/login, refresh | auth, sign-up, auth/sessions/new | auth, sign-up, sign-up
    """
    if any(path_fault(answers[question]) for question in URL_QUESTIONS):
        return
    auth = answers["auth_url_prefix"]
    guesses = {
        "registration_url_prefix": (f"{auth}/registration", f"{auth}/sign-up", "sign-up", "join"),
        "refresh_url": (f"{auth}/token/refresh", f"{auth}/refresh", "refresh", "renew"),
    }
    for (first, second), (one, other) in collisions(answers).items():
        given = {first: answers[first], second: answers[second]}
        why = f"{one} and {other} would both be served there"
        fitting = (guess for guess in guesses[second] if not path_fault(guess))
        free = (g for g in fitting if not involved(second, {**answers, second: g}))
        yield Problem(given, why, {second: next(free)})


def collisions(answers: Answers) -> dict[tuple[str, str], tuple[str, str]]:
    """Map two questions to the first two endpoints of theirs that would share a path."""
    auth, registration, refresh = (answers[question] for question in URL_QUESTIONS)
    served = [("auth_url_prefix", f"{auth}/{name}", name) for name in AUTH_ENDPOINTS]
    served += [
        ("registration_url_prefix", f"{registration}/{name}".rstrip("/"), f"registration {name}")
        for name in REGISTRATION_ENDPOINTS
    ]
    served += [("refresh_url", refresh, "token refresh")]
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for (question, path, name), (other, other_path, other_name) in combinations(served, 2):
        is_below = path.endswith("/") and f"{other_path}/".startswith(path)
        if question != other and (path == other_path or is_below):
            found.setdefault((question, other), (name.strip("/ "), other_name.strip()))
    return found


def involved(question: str, answers: Answers) -> bool:
    """Whether this question's endpoints collide with those of another one."""
    return any(question in pair for pair in collisions(answers))


def contradictions(answers: Answers) -> Iterator[Problem]:
    """Refuse answers that are fine alone and cannot work together.

    Valid: verification optional + provider file | tutorial + user names + verification none
    Invalid: verification mandatory + provider file | tutorial + log in with e-mail
    """
    for problem in CONTRADICTIONS:
        if problem.given.items() <= answers.items():
            yield problem
    minutes, days = answers["access_token_minutes"], answers["refresh_token_days"]
    if is_whole_number(minutes, MAX_MINUTES) and days == "1" and int(minutes) >= MAX_MINUTES:
        given = {"access_token_minutes": minutes, "refresh_token_days": days}
        why = "an access token must end before the refresh token does"
        yield Problem(given, why, {"access_token_minutes": "15"})


VALIDATORS: Final[tuple[Validator, ...]] = (
    project_name,
    project_slug,
    frontend_url,
    access_token_minutes,
    refresh_token_days,
    social_providers,
    url_prefixes,
    reserved_paths,
    colliding_paths,
    contradictions,
)


def problems(answers: Answers) -> list[Problem]:
    """Return every reason why these answers cannot be rendered; none means go ahead."""
    return [problem for validate in VALIDATORS for problem in validate(answers)]


def report(found: list[Problem], *, colour: bool) -> str:
    """Put the problems in words, each with what was given and what would do."""
    red, bold, plain = ("\x1b[31m", "\x1b[1m", "\x1b[0m") if colour else ("", "", "")
    count = "one problem" if len(found) == 1 else f"{len(found)} problems"
    lines = [f"{red}Nothing was rendered: the answers have {count}.{plain}"]
    for given, why, example in found:
        lines += ["", f"  {bold}{shown(given)}{plain}", f"    {why}", f"    try: {shown(example)}"]
    # Cookiecutter follows a refusal with a traceback of its own, which no hook can hold back.
    return "\n".join([*lines, "", "What follows is cookiecutter's way to say that it stopped."])


def shown(answers: Answers) -> str:
    """Put answers in one line, with every sign that a terminal would obey escaped."""
    return ", ".join(f"{question} = {value[:MAX_URL]!r}" for question, value in answers.items())


def main(context: Mapping[str, Any]) -> int:
    """Check the answers of cookiecutter's context and return the exit code."""
    answers = {
        question: str(value).lower() if isinstance(value, bool) else str(value)
        for question, value in context.items()
        if not question.startswith("_")
    }
    if found := problems(answers):
        colour = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
        print(report(found, colour=colour), file=sys.stderr, flush=True)
    return bool(found)


if __name__ == "__main__":
    # A raw string, because tojson escapes what it must with backslashes, and never emits three
    # quotes in a row: no answer can end the string or run as code.
    sys.exit(main(json.loads(r""" {{ cookiecutter | tojson }} """)))
