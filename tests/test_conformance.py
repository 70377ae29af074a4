"""The rendered table of conformance says what the rendered tests say."""

import sys
from typing import Any

import pytest

from tests.project import Answers, Bake

OTHERS: list[Answers] = [
    {"token_delivery": "both"},
    {"breached_passwords": False},
    {"mfa": "none"},
    {"mfa": "totp_and_passkeys"},
    {"social_providers": "google"},
    {"api_keys": True},
    {"login_by_code": True},
    {"metrics": True},
    {"container": True, "database": "postgresql"},
]


@pytest.mark.parametrize(
    "answers", [{}, *(pytest.param(it, marks=pytest.mark.slow) for it in OTHERS)], ids=str
)
def test_the_table_is_what_the_tests_claim(bake: Bake, answers: dict[str, Any]) -> None:
    project = bake(**answers)
    table = project.run(sys.executable, "-m", "auth_core.contract.registry").stdout
    assert table == project.read("docs/conformance.md"), "Run `make conformance`."


def test_the_asvs_statement_is_what_the_rows_say(bake: Bake) -> None:
    """It is the same whatever was chosen: the checks of each row in test_variants.py say so."""
    project = bake()
    statement = project.run(sys.executable, "-m", "auth_core.contract.asvs").stdout
    assert statement == project.read("docs/asvs.md"), "Run `make conformance`."
