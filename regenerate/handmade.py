"""Reads the answers out of a project that was made by hand, without running it."""

import ast
import operator
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from regenerate.answers import questions_of
from regenerate.check import own_file, visible
from regenerate.git import git, words
from regenerate.record import OPENERS


class Found(NamedTuple):
    """An answer, and where it stands."""

    question: str
    value: str
    where: str


def minutes(value: timedelta) -> float:
    """Count the minutes of a duration."""
    return value / timedelta(minutes=1)


def days(value: timedelta) -> float:
    """Count the days of a duration."""
    return value / timedelta(days=1)


def first(value: Any) -> str:
    """Return a word, or the first of several."""
    return str(value if isinstance(value, str) else next(iter(value)))


def login(value: Any) -> str:
    """Translate what django-allauth calls methods."""
    methods = {value} if isinstance(value, str) else set(value)
    return (
        "username_or_email" if len(methods) > 1 or methods == {"username_email"} else first(value)
    )


def cookie(value: Any) -> str:
    """Tell from the name of a cookie, or None, how tokens travel."""
    return "cookie" if value else "header"


def database(value: str) -> str:
    """Tell from the name of a backend which database it is."""
    return "postgresql" if re.search("postg", value) else "sqlite"


Setting = tuple[str, Callable[[Any], Any]]
SETTINGS: Final[dict[str, Setting]] = {
    "SIMPLE_JWT.ACCESS_TOKEN_LIFETIME": ("access_token_minutes", minutes),
    "SIMPLE_JWT.REFRESH_TOKEN_LIFETIME": ("refresh_token_days", days),
    "SIMPLE_JWT.AUTH_HEADER_TYPES": ("auth_header_type", first),
    "SIMPLE_JWT.ALGORITHM": ("signing_algorithm", str),
    "JWT_AUTH.JWT_EXPIRATION_DELTA": ("access_token_minutes", minutes),
    "JWT_AUTH.JWT_REFRESH_EXPIRATION_DELTA": ("refresh_token_days", days),
    "JWT_AUTH.JWT_AUTH_HEADER_PREFIX": ("auth_header_type", str),
    "JWT_AUTH.JWT_ALGORITHM": ("signing_algorithm", str),
    "REST_AUTH.JWT_AUTH_COOKIE": ("token_delivery", cookie),
    "ACCOUNT_EMAIL_VERIFICATION": ("email_verification", str),
    "ACCOUNT_LOGIN_METHODS": ("login_with", login),
    "ACCOUNT_AUTHENTICATION_METHOD": ("login_with", login),
    "DATABASES.default.ENGINE": ("database", database),
}
# Of a file of settings or URLs in bytes, of an expression in it in nodes, of a number.
LARGEST: Final = 256 * 1024
SHORT: Final = 50
LARGEST_NUMBER: Final = 10**12
# What the libraries do where nothing is said, by a setting or an application that tells of them.
IMPLIED: Final = {
    "JWT_AUTH": {"auth_header_type": "JWT", "tutorial_contract": "true"},
    "allauth.account": {"login_with": "username", "email_verification": "optional"},
}
# What is served below or at a path, by the end of what stands there.
URLS: Final = {
    r"rest_auth\.urls['\"]\)$": "auth_url_prefix",
    r"rest_auth\.registration\.urls['\"]\)$": "registration_url_prefix",
    r"refresh_jwt_token$|TokenRefreshView\.as_view\(\)$": "refresh_url",
}


def answers_in(project: Path) -> list[Found]:
    """Find what settings and URLs say; the last of several wins, as it does in Django."""
    implied, said = dict[str, Found](), dict[str, Found]()
    for name in words(git(project, "ls-files", "-z", "--", "*.py")):
        path = own_file(project, name, LARGEST)
        # What is computed can be too large, or nested too deeply, for a number or for a parser.
        with suppress(
            SyntaxError, ValueError, OSError, ArithmeticError, RecursionError, MemoryError
        ):
            tree = ast.parse(path.read_bytes() if path else b"")
            every = ((implied, in_silence(tree)), (said, in_settings(tree)), (said, in_urls(tree)))
            for kind, found in every:
                for each in found:
                    # What is no answer of a person's is left out, and takes the default.
                    if each.value.isprintable() and not any(o in each.value for o in OPENERS):
                        kind[each.question] = each._replace(where=f"{name}:{each.where}")
    return list((implied | said).values())


def in_silence(tree: ast.Module) -> Iterator[Found]:
    """Find what follows from the defaults of what is used."""
    for name, given, line in assignments(tree):
        told = {name, *(given if isinstance(given, list) else ())}
        for sign in told & IMPLIED.keys():
            for question, value in IMPLIED[sign].items():
                yield Found(question, value, f"{line}, the default with {sign}")


def in_settings(tree: ast.Module) -> Iterator[Found]:
    """Find settings that are assigned; what is computed is left out."""
    for assigned, given, line in assignments(tree):
        with suppress(ValueError, TypeError, ArithmeticError):
            for name, value in flat(assigned, given).items():
                if name in SETTINGS:
                    question, translated = SETTINGS[name]
                    yield Found(question, text_of(translated(value)), f"{line}, {name}")


def assignments(tree: ast.Module) -> Iterator[tuple[str, Any, int]]:
    """Yield what a module assigns and does not compute: name, value and line."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            with suppress(ValueError, TypeError, ArithmeticError, RecursionError):
                yield node.targets[0].id, evaluated(node.value), node.lineno


def in_urls(tree: ast.Module) -> Iterator[Found]:
    """Find the paths under which the libraries' URLs stand."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(args=[ast.Constant(value=str(route)), target, *_]) if is_short(target):
                view = ast.unparse(target)
                for end, question in URLS.items():
                    if re.search(end, view):
                        yield Found(question, route.strip("^$/"), f"{node.lineno}, {view}")


def is_short(node: ast.expr) -> bool:
    """Whether an expression is as short as a view, or an include(), in a list of URLs."""
    return sum(1 for _ in islice(ast.walk(node), SHORT)) < SHORT


def evaluated(node: ast.expr) -> Any:
    """Compute constants, durations and dictionaries of them; raise ValueError for anything else."""
    match node:
        case ast.Call(func=ast.Name(id="timedelta") | ast.Attribute(attr="timedelta")):
            given = {each.arg: evaluated(each.value) for each in node.keywords if each.arg}
            return timedelta(*map(evaluated, node.args), **given)
        case ast.Dict():
            entries = {}
            for key, value in zip(node.keys, node.values, strict=True):
                with suppress(ValueError):
                    entries[ast.literal_eval(key or node)] = evaluated(value)
            return entries
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            factors = evaluated(left), evaluated(right)
            # A text, repeated, or a number of a million digits could fill the memory.
            if all(map(is_small, factors)):
                return operator.mul(*factors)
    return ast.literal_eval(node)


def is_small(value: Any) -> bool:
    """Whether a value is a duration or a number, as settings have them."""
    return isinstance(value, timedelta) or (
        isinstance(value, int | float) and abs(value) < LARGEST_NUMBER
    )


def flat(name: str, value: Any) -> dict[str, Any]:
    """Name what is in dictionaries by its path, as far as it leads to a setting."""
    if not any(f"{setting}.".startswith(f"{name}.") for setting in SETTINGS):
        return {}
    if not isinstance(value, Mapping):
        return {name: value}
    return {k: v for key, each in value.items() for k, v in flat(f"{name}.{key}", each).items()}


def text_of(value: Any) -> str:
    """Spell an answer as it would be typed."""
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def report(
    found: list[Found], questions: Mapping[str, Any], template: str, given: Mapping[str, Any]
) -> Iterator[str]:
    """Say in paragraphs of Markdown which answers make a project like this one."""
    yield "## This project was made by hand"
    yield (
        "There is no auth_core/ to keep up to date, so nothing was changed. A new project with "
        "these answers has the same contract; move your own applications into it. What is "
        "different all the same, and why, stands in its docs/contract.md."
    )
    assigned = (f"{name}={text_of(value)}" for name, value in given.items())
    yield "    " + shlex.join(["cookiecutter", template, "--no-input", *assigned])
    yield "### Read from your settings and URLs"
    lines = [f"- `{each.question}`: {visible(f'{each.value} ({each.where})')}" for each in found]
    yield "\n".join(lines or ["Nothing: do they stand elsewhere?"])
    yield "### Not found: the template's default"
    known = {each.question for each in found} | given.keys()
    missing = {name: v for name, v in questions_of(questions).items() if name not in known}
    yield "\n".join(f"- `{name}`: {default(value)}" for name, value in missing.items())


def default(given: Any) -> str:
    """Return what a question is answered with by itself."""
    value = text_of(given[0] if isinstance(given, list) else given)
    return "follows from the others" if "{{" in value else value or "(empty)"
