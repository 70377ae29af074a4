"""How long `regenerate fleet` takes for many projects: `python -m benchmarks.fleet`.

Renders projects of 24 kinds, each a repository, releases a version of the template aside, and
times the report and the update as commands of their own.
"""

import argparse
import os
import subprocess
import sys
import time
from itertools import cycle, islice, product
from pathlib import Path
from tempfile import TemporaryDirectory

from cookiecutter.main import cookiecutter

from tests.conftest import git
from tests.regenerating import committed, release_of_ours

ROOT = Path(__file__).resolve().parent.parent
KINDS = {
    "token_delivery": ["header", "cookie", "both"],
    "registration": ["open", "invite"],
    "signing_algorithm": ["HS256", "EdDSA"],
    "database": ["sqlite", "postgresql"],
}


def make_projects(template: Path, output: Path, count: int) -> list[Path]:
    """Render projects with the version that is tagged, each in a repository of its own."""
    projects = []
    answers = (dict(zip(KINDS, each, strict=True)) for each in cycle(product(*KINDS.values())))
    for number, given in enumerate(islice(answers, count)):
        context = given | {"project_slug": f"project-{number:03}"}
        options = {"no_input": True, "output_dir": str(output), "extra_context": context}
        projects.append(committed(Path(cookiecutter(str(template), **options))))
    return projects


def timed(*words: str) -> tuple[float, str]:
    """Run a command of ours; return its seconds, and the last line that it printed."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "regenerate", *words]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return time.perf_counter() - begin, done.stdout.strip().rpartition("\n")[2]


def main() -> None:
    """Make the fleet and print the seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--projects", type=int, default=100)
    count = parser.parse_args().projects
    os.environ["TEMPLATE_REGENERATE"] = "1"  # the hooks print nothing
    with TemporaryDirectory(prefix="fleet-") as temporary:
        folder = Path(temporary)
        template = folder / "template"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(template)], check=True)
        git(template, "remote", "remove", "origin")  # which the projects would record
        git(template, "tag", "--force", "v0.1.0")
        projects = make_projects(template, folder / "projects", count)
        (folder / "projects.txt").write_text("\n".join(map(str, projects)))
        release_of_ours(template, "0.2.0")
        where = ("fleet", "--template", str(template), "--from-file", str(folder / "projects.txt"))
        for name, words in {"report": where, "update": (*where, "--update")}.items():
            seconds, said = timed(*words)
            print(f"{name}: {seconds:.1f} s ({said})")


if __name__ == "__main__":
    main()
