"""What the rendered project's tests do with a PostgreSQL of their own is done, and not skipped."""

from pathlib import Path

import pytest

from tests.project import Bake, run

pytestmark = pytest.mark.slow

FILES = [f"auth_core/contract/test_rel{name}.py" for name in ("", "_server", "_postgresql")]


def test_a_stopped_or_exhausted_postgresql_is_survived(
    bake: Bake, home: Path, database: str
) -> None:
    """Stopped under load, full, silent; locks, deadlocks, isolation levels."""
    project = bake(database="postgresql")
    project.make(".env", home)
    command: list[str | Path] = [home / "bin" / "python", "-m", "pytest", "--quiet", "-rs", *FILES]
    report = run(project.path, *command, variables={"DATABASE_URL": database}).stdout
    skipped = [
        line for line in report.splitlines() if line.startswith("SKIPPED") and "SQLite" not in line
    ]
    if skipped:
        pytest.skip(reason="\n".join(skipped))
