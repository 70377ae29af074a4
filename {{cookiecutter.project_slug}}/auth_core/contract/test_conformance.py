"""The suite is complete: each row that is due has a test or a reason, and never both."""

import pytest

from auth_core.contract.registry import Row, load

ROWS = load()


@pytest.mark.parametrize(
    "row", [row for row in ROWS.values() if row.is_due], ids=lambda row: row.id
)
def test_a_row_is_tested_or_not_applicable(row: Row) -> None:
    assert bool(row.tests) != bool(row.not_applicable), row


def test_a_test_speaks_of_rows_that_are_due() -> None:
    assert [row.id for row in ROWS.values() if row.tests and not row.is_due] == []
