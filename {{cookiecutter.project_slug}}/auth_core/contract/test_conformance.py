"""The suite is complete: each row that is due has a test or a reason, and never both."""

import pytest

from auth_core.contract.asvs import requirements, statement
from auth_core.contract.registry import CORE, Row, load

ROWS = load()


@pytest.mark.parametrize(
    "row", [row for row in ROWS.values() if row.is_due], ids=lambda row: row.id
)
def test_a_row_is_tested_or_not_applicable(row: Row) -> None:
    assert bool(row.tests) != bool(row.not_applicable), row


def test_a_test_speaks_of_rows_that_are_due() -> None:
    assert [row.id for row in ROWS.values() if row.tests and not row.is_due] == []


def test_docs_asvs_says_what_the_rows_say() -> None:
    document = (CORE.parent / "docs" / "asvs.md").read_text(encoding="utf-8")
    assert document == statement(), "Run `python -m auth_core.contract.asvs > docs/asvs.md`."


def test_rows_and_requirements_know_each_other() -> None:
    every = {it.id: it for it in requirements()}
    assert {number for row in ROWS.values() for number in row.asvs.split()} <= every.keys()
    assert [it.id for it in every.values() if it.result != "met" and not it.text] == []
