"""Builds the documents as a site: those of the template, and those of the default project.

python -m scripts.site
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from cookiecutter.main import cookiecutter

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / ".cache" / "site" / "pages"
OWN = ("CHANGELOG.md", "CONTRIBUTING.md", "UPGRADING.md", "LICENSE", "benchmarks/*.md")
PROJECT = ("README.md", "docs/*.md", "auth_core/README.md", "auth_core/client/README.md")


def collect() -> None:
    """Put the README first, and docs/ beside it."""
    shutil.rmtree(PAGES, ignore_errors=True)
    shutil.copytree(ROOT / "docs", PAGES)
    copy(ROOT, PAGES, OWN)
    for page in PAGES.rglob("*.md"):
        page.write_text(
            moved(page.read_text("utf-8").replace("../benchmarks/", "benchmarks/")), "utf-8"
        )
    overview = moved((ROOT / "README.md").read_text("utf-8"))
    (PAGES / "index.md").write_text(overview, "utf-8")
    with tempfile.TemporaryDirectory() as folder:
        project = cookiecutter(str(ROOT), no_input=True, output_dir=folder)
        copy(Path(project), PAGES / "project", PROJECT)


def moved(text: str) -> str:
    """Follow what stood in docs/ to the top."""
    return re.sub(r"(\]\(|src=\")docs/", r"\1", text)


def copy(source: Path, target: Path, patterns: tuple[str, ...]) -> None:
    """Copy the files of some patterns to the same places elsewhere."""
    for pattern in patterns:
        for file in source.glob(pattern):
            place = target / file.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, place)


def main() -> int:
    """Return what mkdocs does: not 0 where it warns."""
    collect()
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict"]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
