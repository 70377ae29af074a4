"""A spread sample of projects, each with only what it declares, in an environment of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
import uv

from scripts.walk import clean_environment, free_port, serving
from tests.project import COMBINATIONS, QUESTIONS, Answers, Bake, BakedProject, interpreter, run
from tests.test_variants import PRODUCTION

pytestmark = pytest.mark.slow

# The last one for what is imported late: allauth draws the picture of a TOTP secret with qrcode.
SOME_TESTS: Final = (
    "users",
    "tests",
    "auth_core/contract/test_life_of_a_user.py",
    "auth_core/features/mfa/tests/test_mfa_enrolment.py",
)


@dataclass(frozen=True)
class Installation:
    """What is rendered, and with which Python and versions it is installed."""

    python: str
    resolution: str
    answers: Answers
    # Whether some of its own tests run too, with the group `dev`.
    is_tested: bool = field(default=False)

    @property
    def django(self) -> str:
        return str(self.answers["django_version"])


def sample(
    python: str,
    django: str,
    resolution: str,
    answers: str,
    *,
    breached_passwords: bool,
    is_tested: bool = False,
) -> Installation:
    names = ("database", "email_provider", "signing_algorithm")
    given: Answers = dict(zip(names, answers.split(), strict=True))
    given |= {"django_version": django, "breached_passwords": breached_passwords}
    given["metrics"] = is_tested
    if given["email_provider"] == "file":  # which the hooks refuse where mail must arrive
        given["email_verification"] = "optional"
    return Installation(python, resolution, given, is_tested)


EMAIL_URLS: Final = {
    "smtp": "smtps://user:password@mail.example.com:465",
    "postmark": "postmark://token@api",
    "mailgun": "mailgun://key@mg.example.com",
    "file": "",
}
FOR_TESTS: Final = {"tests", "contract", "testing"}
# A process for several commands: what takes long is to start one.
MANAGE = """
import sys
from django.core.management import execute_from_command_line

def manage(*commands):
    for command in commands:
        execute_from_command_line(["manage.py", *command.split()])
"""
IMPORT = """
import django, importlib, sys
django.setup()
for name in sys.argv[1:]:
    importlib.import_module(name)
manage("check --fail-level=WARNING")
"""
DEPLOY = """
manage("migrate --verbosity=0", "check --deploy --fail-level=WARNING", "collectstatic --noinput")
"""
LOWEST, HIGHEST = "lowest-direct", "highest"
SAMPLES: Final = (
    sample("3.11", "5.2", LOWEST, "sqlite smtp HS256", breached_passwords=True, is_tested=True),
    sample("3.12", "6.1", LOWEST, "postgresql mailgun EdDSA", breached_passwords=True),
    sample("3.13", "6.1", HIGHEST, "sqlite file RS256", breached_passwords=False, is_tested=True),
    sample("3.13", "5.2", HIGHEST, "postgresql postmark ES256", breached_passwords=False),
    sample("3.12", "5.2", HIGHEST, "sqlite smtp EdDSA", breached_passwords=True),
)


def test_every_value_is_in_the_sample() -> None:
    """What decides about dependencies, and each Python and Django together."""
    assert {(each.python, each.django) for each in SAMPLES} == set(COMBINATIONS)
    assert {each.resolution for each in SAMPLES} == {LOWEST, HIGHEST}
    for name in ("database", "email_provider", "signing_algorithm"):
        assert {each.answers[name] for each in SAMPLES} == set(QUESTIONS[name]), name
    assert {each.answers["breached_passwords"] for each in SAMPLES} == {True, False}


def fill(project: BakedProject, environment: Path, resolution: str, *groups: str) -> None:
    """Install what the project declares, from its own file."""
    words = ["--python", str(environment / "bin" / "python"), "--resolution", resolution]
    words += ["--requirements", "pyproject.toml", *(f"--group={group}" for group in groups)]
    project.run(uv.find_uv_bin(), "pip", "install", "--quiet", *words)


@pytest.mark.parametrize(
    "sample", SAMPLES, ids=lambda each: f"{each.python}-{each.django}-{each.resolution}"
)
def test_it_starts_with_only_what_it_declares(
    sample: Installation, bake: Bake, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    executable = interpreter(sample.python)
    project, environment = bake(**sample.answers), tmp_path / "environment"
    run(tmp_path, uv.find_uv_bin(), "venv", "--quiet", "--python", executable, environment)
    fill(project, environment, sample.resolution)
    assert not (environment / "bin" / "pytest").exists()
    project.run(environment / "bin" / "python", "-m", "auth_core.secrets_file", ".env")

    modules = production_modules(project)
    assert "auth_core.accounts.views" in modules
    manage(project, environment, IMPORT, *modules)

    variables = PRODUCTION | {"ALLOWED_HOSTS": "127.0.0.1"}
    variables["EMAIL_URL"] = EMAIL_URLS[sample.answers["email_provider"]]
    variables["DATABASE_URL"] = (
        request.getfixturevalue("database")
        if sample.answers["database"] == "postgresql"
        else "sqlite:///var/production.sqlite3"
    )
    serve(project, environment, variables)
    if sample.is_tested:
        fill(project, environment, sample.resolution, "dev")
        project.run(environment / "bin" / "python", "-m", "pytest", "-q", *SOME_TESTS)


def manage(
    project: BakedProject,
    environment: Path,
    code: str,
    *arguments: str,
    variables: Mapping[str, str] | None = None,
) -> None:
    """Run code that may use manage.py's commands, with every warning an error."""
    python = environment / "bin" / "python"
    given = {"DJANGO_SETTINGS_MODULE": "config.settings", **(variables or {})}
    project.run(python, "-W", "error", "-c", MANAGE + code, *arguments, variables=given)


def production_modules(project: BakedProject) -> list[str]:
    """Name every module that is no test, so that none imports what only tests have."""
    files = (Path(name) for name in project.files() if name.endswith(".py"))
    modules = sorted(".".join(file.with_suffix("").parts) for file in files)
    # The engine that a DATABASE_URL of PostgreSQL names needs its driver.
    left_out = FOR_TESTS | ({"postgresql"} if project.answers["database"] == "sqlite" else set())
    return [
        module
        for module in modules
        if module.startswith(("auth_core.", "config.", "users."))
        and not left_out & set(module.split("."))
    ]


def serve(project: BakedProject, environment: Path, variables: Mapping[str, str]) -> None:
    """Go through a deployment, until gunicorn answers."""
    manage(project, environment, DEPLOY, variables=variables)
    port = free_port()
    command = [str(environment / "bin" / "gunicorn"), "config.wsgi", f"--bind=127.0.0.1:{port}"]
    production = clean_environment(**variables, WEB_CONCURRENCY="1", PYTHONWARNINGS="error")
    with serving(command, project.path, production, port):
        pass
