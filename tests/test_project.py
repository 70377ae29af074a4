"""The rendered project's own tests and checks, on each Python and Django, for each answer."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.project import COMBINATIONS, PRESETS, ROWS, Bake, BakedProject

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


@pytest.fixture(params=COMBINATIONS, ids="-".join)
def combination(request: pytest.FixtureRequest) -> tuple[str, str]:
    pair: tuple[str, str] = request.param
    return pair


def test_the_defaults_pass_everything_on_every_combination(
    combination: tuple[str, str], bake: Bake, place: Callable[[str, str], Path]
) -> None:
    passes_everything(bake(django_version=combination[1]), place(*combination))


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


@pytest.mark.parametrize("answers", [*ROWS, *PRESETS.values()])
def test_each_answer_passes_everything(
    answers: dict[str, Any], bake: Bake, home: Path, place: Callable[[str, str], Path]
) -> None:
    """Each value of each question is in one of the rows at least."""
    environment = place("3.12", "6.1") if answers.get("django_version") == "6.1" else home
    passes_everything(bake(**answers), environment)


@pytest.mark.parametrize("django", ["5.2", "6.1"])
def test_the_tests_pass_on_postgresql(
    django: str, bake: Bake, place: Callable[[str, str], Path], database: str
) -> None:
    environment = place("3.12", django)
    project = bake(django_version=django, database="postgresql")
    tests = project.make("test", environment, ALONE, variables={"DATABASE_URL": database})
    assert " passed" in tests.stdout
    project.make(".env", environment)
    project.manage(environment, "migrate", variables={"DATABASE_URL": database})


def test_a_newcomer_needs_make_alone(bake: Bake) -> None:
    """From its own pyproject into its own environment; what was made once is kept."""
    project = bake()
    project.run("make", "install")
    secrets = project.read(".env")
    assert (project.path / ".env").stat().st_mode & 0o077 == 0
    assert " passed" in project.run("make", "test", ALONE).stdout
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
    project.make(".env", home)
    project.make("test", home, ALONE)
    project.make("check", home)
    project.make("migrate", home)
    project.run("git", "init", "--quiet", ".")
    project.run("git", "add", "--all")
    assert set(project.run("git", "ls-files").stdout.split()) == rendered
