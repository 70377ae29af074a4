"""The command line. Exit codes: 0 done, 1 conflicts or findings, 2 refused."""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any, Final, NoReturn

from regenerate import check, fleet
from regenerate.git import Refused
from regenerate.link import link
from regenerate.update import Outcome, update

DONE: Final = 0
FOUND: Final = 1
REFUSED: Final = 2
INTERRUPTED: Final = 130


def assignment(text: str) -> tuple[str, str]:
    """Read question=answer."""
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form question=answer")
    return name, value


def parser() -> argparse.ArgumentParser:
    """Describe the commands."""
    root = argparse.ArgumentParser(prog="regenerate")
    commands = root.add_subparsers(required=True, metavar="COMMAND")

    about = "bring a project to another version of its template, or to other answers"
    one = commands.add_parser("update", help=about, description=about)
    one.set_defaults(run=run_update)
    one.add_argument("path", nargs="?", type=Path, default=Path(), metavar="PATH")
    one.add_argument("--template", metavar="URL", help="the template, whose code will run")
    one.add_argument(
        "--branch", action="store_true", help="commit on a branch of its own, conflicts included"
    )

    about = "record the template in a project that has no record of it, and say what differs"
    adopt = commands.add_parser("link", help=about, description=about)
    adopt.set_defaults(run=run_link)
    adopt.add_argument("path", nargs="?", type=Path, default=Path(), metavar="PATH")
    adopt.add_argument("--template", metavar="URL", required=True)
    for each in (one, adopt):
        each.add_argument(
            "--to", metavar="VERSION", help="a version, branch or commit (latest release)"
        )
        each.add_argument(
            "--set",
            dest="chosen",
            action="append",
            default=[],
            type=assignment,
            metavar="QUESTION=ANSWER",
            help="change an answer; may be repeated",
        )
        each.add_argument("--dry-run", action="store_true", help="print the changes, make none")

    about = "say which files that the template owns are changed, missing or added"
    two = commands.add_parser("check", help=about, description=about)
    two.set_defaults(run=lambda given: check.main(given.path))
    two.add_argument("path", nargs="?", type=Path, default=Path(), metavar="PATH")

    about = "compare many projects: version, lag, drift, and answers against a policy"
    many = commands.add_parser("fleet", help=about, description=about)
    many.set_defaults(run=run_fleet)
    many.add_argument("paths", nargs="*", type=Path, metavar="PATH")
    many.add_argument("--from-file", type=Path, metavar="FILE", help="one PATH a line")
    many.add_argument("--policy", type=Path, metavar="FILE", help="access_token_minutes <= 15")
    about = "a template whose code may run, if a project is of it; may be repeated"
    many.add_argument("--template", action="append", default=[], metavar="URL", help=about)
    many.add_argument("--format", choices=fleet.FORMATS, default="table")
    many.add_argument("--update", action="store_true", help="open a branch in each project")
    many.add_argument("--to", metavar="VERSION", help="with --update (latest release)")
    many.add_argument("--jobs", type=int, metavar="N", help="with --update (one for each core)")
    return root


def run_update(options: argparse.Namespace) -> int:
    """Update one project."""
    where = {"template": options.template, "branch": options.branch}
    return tell(update(options.path, **where, **given(options)), options)


def run_link(options: argparse.Namespace) -> int:
    """Record the template in one project."""
    return tell(link(options.path, options.template, **given(options)), options)


def given(options: argparse.Namespace) -> dict[str, Any]:
    """Return what both of them take."""
    chosen = dict(options.chosen)
    return {"to": options.to, "chosen": chosen, "dry_run": options.dry_run, "say": say}


def tell(outcome: Outcome, options: argparse.Namespace) -> int:
    """Print what was done, or would be."""
    if options.dry_run:
        print(harmless(outcome.diff) if sys.stdout.isatty() else outcome.diff)
    print(harmless(outcome.report))
    return FOUND if outcome.conflicts else DONE


def run_fleet(options: argparse.Namespace) -> int:
    """Report on many projects, and perhaps update them."""
    paths = [*options.paths, *(fleet.read_paths(options.from_file) if options.from_file else [])]
    if not paths:
        raise Refused("no project is named: give a PATH, or --from-file")
    policy = fleet.read_policy(options.policy) if options.policy else fleet.Policy()
    named = [*options.template, *policy.templates]
    with TemporaryDirectory(prefix="regenerate-") as folder:
        reports, mirrors = fleet.survey(paths, policy, named, Path(folder), say)
        if options.update:
            fleet.update_all(reports, mirrors, named, say, to=options.to, jobs=options.jobs)
    print(fleet.FORMATS[options.format](reports))
    if any(report.error for report in reports):
        return REFUSED
    return DONE if all(report.is_well for report in reports) else FOUND


def harmless(text: str) -> str:
    """Escape what a terminal would obey, and keep the lines."""
    return "\n".join("\t".join(map(check.visible, line.split("\t"))) for line in text.split("\n"))


def say(line: str) -> None:
    """Tell how far it is, beside the result."""
    print(harmless(line), file=sys.stderr, flush=True)


def stop(number: int, _frame: FrameType | None) -> NoReturn:
    """Leave by the same way as on Ctrl-C, which removes what is temporary."""
    raise KeyboardInterrupt(number)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; what stops it is a message, not a traceback."""
    signal.signal(signal.SIGTERM, stop)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        options = parser().parse_args(arguments)
        return int(options.run(options))
    except Refused as reason:
        print(f"regenerate: {harmless(str(reason))}", file=sys.stderr)
        return REFUSED
    except (OSError, MemoryError, RecursionError) as error:
        print(f"regenerate: {check.visible(repr(error))}", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        print("regenerate: interrupted", file=sys.stderr)
        return INTERRUPTED
