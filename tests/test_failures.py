"""What the rendered project's tests do with a PostgreSQL of their own is done, and not skipped.

The slow ones, in which it is stopped under load, run once: with all slow ones, in test_project.py.
"""

import re
from pathlib import Path

import pytest

from tests.project import Bake, run

pytestmark = pytest.mark.slow

FILES = [f"auth_core/contract/test_rel{name}.py" for name in ("", "_server", "_postgresql")]
# Where a skip of theirs is written down: in the file itself, or where it looks for the programs.
THEIRS = re.compile(rf"SKIPPED \[\d+\] (?:{'|'.join(FILES)}|auth_core/contract/databases\.py):")


def test_an_exhausted_or_silent_postgresql_is_survived(
    bake: Bake, home: Path, database: str
) -> None:
    """Full, silent; locks, deadlocks, isolation levels."""
    project = bake(database="postgresql")
    project.make(".env", home)
    command: list[str | Path] = [home / "bin" / "python", "-m", "pytest", "--quiet", "-rs", *FILES]
    command += ["-m", "not slow"]
    report = run(project.path, *command, variables={"DATABASE_URL": database}).stdout
    skip_with(report, re.compile("SKIPPED"))


def skip_with(report: str, skips: re.Pattern[str]) -> None:
    """Skip what has skipped some of its own tests, but those that ask for SQLite."""
    lines = report.splitlines()
    skipped = [line for line in lines if skips.match(line) and "SQLite" not in line]
    if skipped:
        pytest.skip(reason="\n".join(skipped))
