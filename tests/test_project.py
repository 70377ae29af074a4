"""The default project as a team has it: by make alone, with all of its own tests."""

from pathlib import Path

import pytest

from tests.project import Bake
from tests.test_failures import THEIRS, skip_with
from tests.test_variants import preparing

pytestmark = pytest.mark.slow

# One process each: the tests of the template already occupy every core.
ALONE = "ARGS=--numprocesses=0"


def test_the_slow_tests_pass_on_postgresql(bake: Bake, home: Path, database: str) -> None:
    """The others are dealt to the rows of the table, half of which run on PostgreSQL.

    Those that stop a PostgreSQL of their own are among them, and must not be skipped.
    """
    project = bake(database="postgresql")
    variables = {"DATABASE_URL": database}
    done = project.make("test", home, f"{ALONE} -m slow -rs", variables=variables)
    assert " passed" in done.stdout
    project.manage(home, "migrate", variables=variables)
    skip_with(done.stdout, THEIRS)


PREPARED = """
from django.contrib.auth import get_user_model
from django.db import connection

for _ in range(7):
    get_user_model().objects.filter(username="ada").first()
with connection.cursor() as cursor:
    cursor.execute("SELECT count(*) FROM pg_prepared_statements")
    print("prepared:", cursor.fetchone()[0])
"""


def test_statements_may_be_prepared(bake: Bake, home: Path, database: str) -> None:
    """As docs/operations.md says. One row of each share runs its own tests so: SQL could fail."""
    project = bake(database="postgresql")
    project.make(".env", home)
    (project.path / "config" / "settings_team.py").write_text(preparing(project), "utf-8")
    variables = {"DATABASE_URL": database}
    project.manage(home, "migrate", variables=variables)
    done = project.manage(home, "shell", "--command", PREPARED, variables=variables)
    assert "prepared: 1" in done.stdout


def test_a_newcomer_needs_make_alone(bake: Bake) -> None:
    """From its own pyproject into its own environment; what was made once is kept."""
    project = bake()
    project.run("make", "install")
    secrets = project.read(".env")
    assert (project.path / ".env").stat().st_mode & 0o077 == 0
    # The slow ones are dealt to the rows of the table, and run on PostgreSQL above.
    assert " passed" in project.run("make", "test-quick", ALONE).stdout
    project.run("make", "check")
    (project.path / "pyproject.toml").touch()
    project.run("make", "install")
    assert project.read(".env") == secrets


def test_tests_are_called_the_same_in_every_process(bake: Bake, home: Path) -> None:
    """Else pytest-xdist refuses to run them, which `make test` of a team does."""
    features = {"api_keys": True, "registration": "invite", "token_delivery": "both"}
    project = bake(**features, social_providers="google,github,openid_connect")
    project.make(".env", home)
    command = (home / "bin" / "python", "-m", "pytest", "--collect-only", "-q", "-p", "no:xdist")
    first, second = (
        project.run(*command, variables={"PYTHONHASHSEED": seed}).stdout.splitlines()[:-1]
        for seed in ("1", "2")
    )
    assert len(first) > 1000
    assert first == second


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
