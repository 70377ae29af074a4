"""A bad environment stops the start-up with one line that names the variable and what would do."""

import secrets
from pathlib import Path

import pytest

from tests.project import Bake, BakedProject
from tests.test_variants import PRODUCTION

pytestmark = pytest.mark.slow

SECRETS = {
    "SECRET_KEY": secrets.token_urlsafe(64),
    "AUTH_SIGNING_KEYS": f"HS256:{secrets.token_urlsafe(32)}",
    "MFA_ENCRYPTION_KEYS": f"{secrets.token_urlsafe(32)}=",
}
BAD = [
    ("EMAIL_URL", "nonsense"),
    ("EMAIL_URL", "smtp://"),
    ("EMAIL_URL", "ftp://mail.example.com"),
    ("EMAIL_URL", "smtp://user:hunter2@mail.example.com:port"),
    ("EMAIL_URL", "smtps://user:hun/ter2[@mail.example.com"),
    ("DATABASE_URL", "nonsense"),
    ("DATABASE_URL", "mysql://user:hunter2@localhost/name"),
    ("DATABASE_URL", "sqlite:///"),
    ("DATABASE_URL", "sqlite://var/db.sqlite3"),
    ("DATABASE_URL", "sqlite:////no/such/folder/db.sqlite3"),
    ("DATABASE_URL", "postgresql://user:hunter2@localhost:port/name"),
    ("DATABASE_URL", "postgresql://user:hunter2@localhost"),
    ("CACHE_URL", "nonsense"),
    ("CACHE_URL", "memcached://localhost"),
    ("DJANGO_ENV", "prod"),
    ("SECRET_KEY", "short"),
    ("SECRET_KEY", "django-insecure-" + "x" * 50),
    ("AUTH_SIGNING_KEYS", "HS256:c2hvcnQ"),
    ("AUTH_SIGNING_KEYS", "none:" + "A" * 43),
    ("MFA_ENCRYPTION_KEYS", "c2hvcnQ="),
    ("FRONTEND_URL", "app.example.com"),
    ("CORS_ALLOWED_ORIGINS", "app.example.com"),
    ("ALLOWED_HOSTS", "*"),
    ("TRUSTED_PROXIES", "one"),
]
NEEDED = [*SECRETS, "ALLOWED_HOSTS", "EMAIL_URL", "FRONTEND_URL"]


@pytest.fixture(scope="module")
def project(bake: Bake) -> BakedProject:
    return bake(database="postgresql")


def stopped_by(project: BakedProject, home: Path, name: str, variables: dict[str, str]) -> str:
    done = project.manage(home, "check", check=False, variables=variables)
    assert done.returncode != 0
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith(f"{name}: ")
    return done.stderr


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_value_is_named(name: str, value: str, project: BakedProject, home: Path) -> None:
    line = stopped_by(project, home, name, {**SECRETS, name: value})
    assert "hunter2" not in line
    assert "for example" in line or "`make secret`" in line


def test_production_starts_with_what_it_needs(project: BakedProject, home: Path) -> None:
    project.manage(home, "check", variables=SECRETS | PRODUCTION)


@pytest.mark.parametrize("name", NEEDED)
def test_production_names_what_is_missing(name: str, project: BakedProject, home: Path) -> None:
    complete = SECRETS | PRODUCTION
    del complete[name]
    stopped_by(project, home, name, complete)


def test_production_refuses_sqlite_where_postgresql_was_chosen(
    project: BakedProject, home: Path
) -> None:
    variables = SECRETS | PRODUCTION | {"DATABASE_URL": "sqlite:///var/db.sqlite3"}
    stopped_by(project, home, "DATABASE_URL", variables)
