"""The rendered table of conformance says what the rendered tests say."""

import sys

import pytest

from tests.project import Bake


@pytest.mark.parametrize("delivery", ["header", "both"])
def test_the_table_is_what_the_tests_claim(bake: Bake, delivery: str) -> None:
    project = bake(token_delivery=delivery)
    table = project.run(sys.executable, "-m", "auth_core.contract.registry").stdout
    assert table == project.read("docs/conformance.md"), "Run `make conformance`."
