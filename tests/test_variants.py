"""Each row of the table: types, Django's checks, the documents' requests, and its own tests.

What is cheap is asked of the same rows in test_render.py.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from itertools import combinations, product
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from tests.project import PRESETS, QUESTIONS, ROOT, Bake, BakedProject, pre_gen
from tests.variants import (
    PREPARING,
    PYTHON,
    ROWS,
    SAMPLES,
    SHARE,
    SHARES,
    TYPED,
    Row,
    command_of,
    factors,
    is_possible,
    pairs_for_types,
)

INSIDE = ROOT / "tests" / "inside"
PRODUCTION = {
    "DJANGO_ENV": "production",
    "ALLOWED_HOSTS": "api.example.com",
    "FRONTEND_URL": "https://app.example.com",
    "DATABASE_URL": "postgresql://user:password@127.0.0.1:5432/name",
    "EMAIL_URL": "smtps://user:password@mail.example.com:465",
    "SOCIAL_REDIRECT_URIS": "https://app.example.com/social",
    "OPENID_CONNECT_ISSUER": "https://login.example.com",
    **{
        f"{provider.upper()}_CLIENT_{part}": "xxxxxxxx"
        for provider in pre_gen.SOCIAL_PROVIDERS
        for part in ("ID", "SECRET")
    },
}
every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name, scope="module")
typed_row = pytest.mark.parametrize("row", TYPED, ids=lambda row: row.name, scope="module")
Place = Callable[[str, str], Path]


def test_every_question_in_free_text_has_samples() -> None:
    assert {name for name, value in QUESTIONS.items() if isinstance(value, str)} == set(SAMPLES)


def test_every_possible_pair_occurs() -> None:
    """Counted here anew: what makes the table is not asked."""
    values = factors()
    defaults = dict.fromkeys(values)
    rows = [defaults | row.answers | {PYTHON: row.python, SHARE: row.share} for row in ROWS]
    unknown = [(n, v) for row in rows for n, v in row.items() if v not in values.get(n, [])]
    assert unknown == [], "Run `make rows`."
    occurring = {pair for row in rows for pair in combinations(row.items(), 2)}
    missing = [
        pair
        for (one, ones), (other, others) in combinations(values.items(), 2)
        for pair in product(((one, v) for v in ones), ((other, v) for v in others))
        if is_possible(dict(pair)) and pair not in occurring
    ]
    assert missing == [], "Run `make rows`."


def test_every_pair_that_types_depend_on_occurs_in_a_row_whose_types_are_checked() -> None:
    """Each optional folder is there in one of them at the least, beside each other and without."""
    every, typed = (
        set[Any]().union(*(pairs_for_types(row.answers) for row in rows)) for rows in (ROWS, TYPED)
    )
    assert typed == every


def test_each_share_runs_with_prepared_statements_once() -> None:
    preparing = [row for row in ROWS if row.number in PREPARING]
    assert sorted(row.share for row in preparing) == list(range(SHARES))
    assert {row.answers["database"] for row in preparing} == {"postgresql"}


def test_what_is_excluded_is_what_the_hooks_refuse() -> None:
    """Else a wrong word of the table's constraints would hide a pair from every test."""
    values = factors()
    excluded = {
        frozenset((one, other))
        for (one, ones), (other, others) in combinations(values.items(), 2)
        for each in product(ones, others)
        if not is_possible({one: each[0], other: each[1]})
    }
    assert excluded == {
        frozenset(pair.split())
        for pair in """
        access_token_minutes refresh_token_days
        container database
        django_version python
        email_provider email_verification
        email_provider login_by_code
        email_provider registration
        email_verification login_by_code
        email_verification tutorial_contract
        login_with tutorial_contract
        registration tutorial_contract
        token_delivery tutorial_contract
        """.strip().splitlines()
    }


def test_a_row_is_told_as_the_command_that_renders_it() -> None:
    answers = {
        "project_name": "O'Brien & Söhne",
        "breached_passwords": False,
        "auth_url_prefix": "a",
    }
    assert command_of(answers) == (
        "cookiecutter --no-input . 'project_name=O'\"'\"'Brien & Söhne' "
        "breached_passwords=false auth_url_prefix=a"
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_passes_everything(name: str, bake: Bake, home: Path) -> None:
    """One share of its own tests: each pair of its answers occurs in a row, too."""
    project = bake(**PRESETS[name], django_version="5.2")
    project.make(".env", home)
    share = list(PRESETS).index(name) % SHARES
    own_tests(project, home, "-m", "not slow", "--share", f"{share}/{SHARES}")
    checks(project, home)
    types(project, home)


@pytest.fixture(scope="module")
def project(row: Row, bake: Bake, home: Path) -> BakedProject:
    """Give the row's project, with secrets."""
    project = bake(**row.answers)
    project.make(".env", home)
    return project


@pytest.fixture
def environment(row: Row, project: BakedProject, place: Place) -> Path:
    return place(row.python, project.answers["django_version"])


@pytest.mark.slow
@every_row
def test_its_own_tests_pass(
    row: Row, project: BakedProject, environment: Path, request: pytest.FixtureRequest
) -> None:
    """One of five shares of the files, and few slow ones: each test meets each value."""
    variables = {}
    team = project.path / "config" / "settings_team.py"
    settings = team.read_text("utf-8")
    if project.answers["database"] == "postgresql":
        # Where there is none SQLite stands in, as it does for a team.
        with suppress(pytest.skip.Exception):
            variables["DATABASE_URL"] = request.getfixturevalue("database")
            if row.number in PREPARING:
                team.write_text(preparing(project), "utf-8")
    slow = "0/1" if SHARES == 1 else f"{row.number - 1}/{len(ROWS)}"
    shares = ("--share", f"{row.share}/{SHARES}", "--slow-share", slow)
    try:
        own_tests(project, environment, *shares, **variables)
    finally:
        team.write_text(settings, "utf-8")


@pytest.mark.slow
@every_row
def test_its_checks_are_clean(project: BakedProject, environment: Path) -> None:
    """Django's checks, migrations and schema, and the requests in its documents."""
    checks(project, environment)


@pytest.mark.slow
@typed_row
def test_its_types_are_right(project: BakedProject, place: Place) -> None:
    # The interpreter makes no difference to mypy, which is told the version.
    django = project.answers["django_version"]
    types(project, place({"5.2": "3.11", "6.1": "3.13"}[django], django))


def preparing(project: BakedProject) -> str:
    """Return the settings of docs/operations.md with which PostgreSQL prepares statements."""
    text = project.read("docs/operations.md")
    return text.partition("`config/settings_team.py`:\n\n```python\n")[2].partition("```")[0]


def own_tests(project: BakedProject, environment: Path, *options: str, **variables: str) -> None:
    python = environment / "bin" / "python"
    words = ["-m", "pytest", "-q", "--no-header", "--tb=short", "-p", "no:xdist", "-p", "deal"]
    variables |= {"PYTHONPATH": str(INSIDE)}
    done = project.run(python, *words, *options, variables=variables)
    assert " passed" in done.stdout


def checks(project: BakedProject, environment: Path) -> None:
    python = environment / "bin" / "python"
    for mode, variables in {"development": {}, "production": PRODUCTION}.items():
        project.run(python, "-W", "error", INSIDE / "checks.py", mode, variables=variables)


def types(project: BakedProject, environment: Path) -> None:
    # Of each worker its own, lest one waits for the other.
    worker = os.environ.get("PYTEST_XDIST_WORKER", "alone")
    cache = ROOT / ".cache" / "mypy" / f"{environment.name}-{worker}"
    with FileLock(f"{cache}.lock"):
        project.run(environment / "bin" / "python", INSIDE / "typed.py", cache)
