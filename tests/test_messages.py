"""The translations of the built-in pages: compiled as they stand in their sources."""

from pathlib import Path

import pytest

from scripts.messages import SOURCE, compiled

FILES = sorted(SOURCE.rglob("*.po"))


@pytest.mark.parametrize("file", FILES, ids=lambda it: it.relative_to(SOURCE).as_posix())
def test_what_is_committed_is_compiled_from_its_source(file: Path) -> None:
    assert file.with_suffix(".mo").read_bytes() == compiled(file), "make messages"


def test_every_part_of_the_pages_has_every_language() -> None:
    languages = {file.parts[-3] for file in FILES}
    places = {file.parents[3] for file in FILES}
    assert len(languages) > 1
    assert {file.parents[1].name for file in FILES} == languages
    assert len(FILES) == len(places) * len(languages)
    assert {file.with_suffix(".mo") for file in FILES} == set(SOURCE.rglob("*.mo"))
