"""The rendered table of conformance says what the rendered tests say."""

import sys

from tests.project import Bake


def test_the_table_is_what_the_tests_claim(bake: Bake) -> None:
    """With every feature that has tests of its own; `make conformance` writes it anew."""
    project = bake(token_delivery="both")
    table = project.run(sys.executable, "-m", "auth_core.contract.registry").stdout
    assert table == project.read("docs/conformance.md"), "Run `make conformance`."
