"""How long rendering takes beside what cookiecutter itself needs.

    python -m benchmarks.generation

The floor is a template of as many files of the same sizes as this one has, those of every feature
included, without tags and hooks: once with all of them rendered, once merely copied
(`_copy_without_render`). Each time is that of a process.
"""

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.servers import ROOT, publish, run, system

OURS, RENDERED, COPIED = "this template", "as many plain files, rendered", "the same, copied"
NAME: Final = "{{cookiecutter.project_slug}}"


def render(template: Path, output: Path) -> float:
    """Render with all defaults; return the seconds it took."""
    began = time.perf_counter()
    words = ("-m", "cookiecutter", "--no-input", "--overwrite-if-exists", "--output-dir", output)
    run(sys.executable, *words, template, TEMPLATE_REGENERATE="1")
    return time.perf_counter() - began


def plain(template: Path, *, copied: bool) -> Path:
    """Make a template of as many files as this one has, in which nothing is left to render."""
    answers = {"project_slug": "my-api", "_copy_without_render": ["*" if copied else "*.mo"]}
    template.mkdir()
    (template / "cookiecutter.json").write_text(json.dumps(answers), "utf-8")
    tracked = run("git", "ls-files", "-z", "--", f":(literal){NAME}").split("\0")
    for name in filter(None, tracked):
        target = template / NAME / re.sub(r"[{}']", "", name.removeprefix(f"{NAME}/"))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes().replace(b"{", b"("))
    return template


def measure(rounds: int) -> Iterator[str]:
    """Yield the lines of the report."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        templates = {
            OURS: ROOT,
            RENDERED: plain(folder / "rendered", copied=False),
            COPIED: plain(folder / "copied", copied=True),
        }
        files = sum(path.is_file() for path in (folder / "copied" / NAME).rglob("*"))
        times: dict[str, list[float]] = {title: [] for title in templates}
        for _ in range(rounds):
            for title, template in templates.items():
                times[title].append(render(template, folder / "output" / template.name))
    medians = {title: median(each) for title, each in times.items()}
    yield "| template | seconds | times the floor |"
    yield "|---|---|---|"
    for title, seconds in medians.items():
        yield f"| {title} | {seconds:.2f} | {seconds / medians[RENDERED]:.2f}x |"
    yield ""
    yield f"{files} files; {system()}; {rounds} rounds."


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.generation", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--output", type=Path, default=ROOT / "docs", help="a folder")
    arguments = parser.parse_args()
    report = "\n".join(measure(arguments.rounds))
    publish("generation", report, arguments.output)


if __name__ == "__main__":
    main()
