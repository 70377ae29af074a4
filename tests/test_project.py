"""The rendered project's own tests and checks, on each Python and Django, for each answer."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.project import COMBINATIONS, PRESETS, ROWS, Answers, Bake, BakedProject

pytestmark = pytest.mark.slow

# One process each: the tests of the template already occupy every core.
ALONE = "ARGS=--numprocesses=0"
PRODUCTION = {
    "DJANGO_ENV": "production",
    "ALLOWED_HOSTS": "api.example.com",
    "FRONTEND_URL": "https://app.example.com",
    "DATABASE_URL": "postgresql://user:password@127.0.0.1:5432/name",
    "EMAIL_URL": "smtps://user:password@mail.example.com:465",
}


def projects() -> list[tuple[tuple[str, str], Answers]]:
    """Deal the rows and presets out over the combinations: each is in one pair at least."""
    pool = [*ROWS, *PRESETS.values()]
    dealt = range(max(len(pool), len(COMBINATIONS)))
    pairs = [(COMBINATIONS[n % len(COMBINATIONS)], pool[n % len(pool)]) for n in dealt]
    return [(pair, answers | {"django_version": pair[1]}) for pair, answers in pairs]


@pytest.mark.parametrize(("combination", "answers"), projects())
def test_each_answer_and_each_combination_passes_everything(
    combination: tuple[str, str],
    answers: Answers,
    bake: Bake,
    place: Callable[[str, str], Path],
) -> None:
    passes_everything(bake(**answers), place(*combination))


def passes_everything(project: BakedProject, environment: Path) -> None:
    """Run the project's own tests and checks, then Django's with every warning an error."""
    assert " passed" in project.make("test", environment, ALONE).stdout
    project.make("check", environment)
    project.manage(environment, "check", "--fail-level", "WARNING")
    project.manage(environment, "makemigrations", "--check", "--dry-run")
    document = ("--validate", "--fail-on-warn", "--file", os.devnull)
    project.manage(environment, "spectacular", *document)
    deploy = ("check", "--deploy", "--fail-level", "WARNING")
    project.manage(environment, *deploy, variables=PRODUCTION)


def test_the_tests_pass_on_postgresql(bake: Bake, home: Path, database: str) -> None:
    project = bake(database="postgresql")
    variables = {"DATABASE_URL": database}
    assert " passed" in project.make("test", home, ALONE, variables=variables).stdout
    project.manage(home, "migrate", variables=variables)


def test_a_newcomer_needs_make_alone(bake: Bake) -> None:
    """From its own pyproject into its own environment; what was made once is kept."""
    project = bake()
    project.run("make", "install")
    secrets = project.read(".env")
    assert (project.path / ".env").stat().st_mode & 0o077 == 0
    assert " passed" in project.run("make", "test", ALONE).stdout
    project.run("make", "check")
    (project.path / "pyproject.toml").touch()
    project.run("make", "install")
    assert project.read(".env") == secrets


def test_secrets_differ_from_project_to_project(bake: Bake, home: Path) -> None:
    texts = []
    for _ in range(2):
        project = bake()
        project.make(".env", home)
        texts.append(project.read(".env"))
    assert texts[0] != texts[1]


def test_what_running_leaves_behind_is_ignored_by_git(bake: Bake, home: Path) -> None:
    project = bake()
    rendered = project.files()
    project.make("test", home, f"{ALONE} tests")
    project.make("check", home)
    project.make("migrate", home)
    project.run("git", "init", "--quiet", ".")
    project.run("git", "add", "--all")
    assert set(project.run("git", "ls-files").stdout.split()) == rendered
