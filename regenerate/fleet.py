"""Looks at many projects at once: version, lag, drift, and the answers against a policy."""

import html
import json
import operator
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from regenerate import check
from regenerate.answers import questions_of
from regenerate.git import LOCK, Refused, git
from regenerate.template import clone, release
from regenerate.update import update

Say = Callable[[str], object]
COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "==": operator.eq,
    "!=": operator.ne,
}


class Rule(NamedTuple):
    """One line of a policy: an answer, a comparison, and what it is compared with."""

    question: str
    sign: str
    value: str

    def is_kept_by(self, answers: dict[str, Any]) -> bool:
        """Whether a project's answer is as the rule wants it; one that is missing is not."""
        given = answers.get(self.question)
        text = str(given).lower() if isinstance(given, bool) else str(given)
        if given is None:
            return False
        if self.sign == "in":
            return text in [each.strip() for each in self.value.split(",")]
        pair = (text, self.value)
        try:
            return COMPARISONS[self.sign](*map(int, pair))
        except ValueError:
            return self.sign in {"==", "!="} and COMPARISONS[self.sign](*pair)


@dataclass
class Report:
    """What is known of one project."""

    path: str
    version: str = ""
    template: str = ""
    lag: int | None = None
    drift: list[str] = field(default_factory=list)
    waived: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)
    branch: str = ""
    conflicts: int = 0
    error: str = ""

    @property
    def details(self) -> list[str]:
        """List what stands behind the numbers."""
        return [*self.drift, *self.waived, *self.violations]

    @property
    def is_well(self) -> bool:
        """Whether there is nothing to do but, perhaps, an update."""
        return not (self.drift or self.violations or self.conflicts or self.error)


def read_policy(path: Path) -> list[Rule]:
    """Read lines like `access_token_minutes <= 15` or `token_delivery in header, cookie`."""
    rules = []
    for number, line in enumerate(read(path).splitlines(), 1):
        if text := line.partition("#")[0].strip():
            found = re.fullmatch(r"(\w+)\s*(<=|>=|==|!=|<|>|\bin\b)\s*(.+)", text)
            if not found:
                raise Refused(f"{path}:{number}: not like `access_token_minutes <= 15`: {text}")
            rules.append(Rule(*found.groups()))
    return rules


def read_paths(path: Path) -> list[Path]:
    """Read a project's folder from each line, relative to the file."""
    lines = (line.partition("#")[0].strip() for line in read(path).splitlines())
    return [path.parent / line for line in lines if line]


def read(path: Path) -> str:
    """Read a file that the command line names."""
    try:
        return path.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise Refused(f"{path} cannot be read: {error}") from error


def look_at(path: Path, rules: Sequence[Rule]) -> Report:
    """Report on one project, offline; what keeps it from being read is its error."""
    report = Report(str(path))
    try:
        lock = json.loads((path / LOCK).read_text("utf-8"))
        report.template = lock["template"]
        context = lock["context"]["cookiecutter"]
        report.version = context.get("_template_version", "")
        report.answers = questions_of(context)
        found, report.waived = check.findings(path, datetime.now(UTC).date())
        report.drift = [str(each) for each in found]
    except FileNotFoundError as error:
        report.error = f"no {Path(error.filename).name}"
    except (OSError, ValueError, KeyError, TypeError, AttributeError, check.CheckError) as error:
        report.error = str(error) if isinstance(error, check.CheckError) else repr(error)
    else:
        broken = [rule for rule in rules if not rule.is_kept_by(report.answers)]
        report.violations = [
            f"{question} is {report.answers.get(question)!r}, not {sign} {value}"
            for question, sign, value in broken
        ]
    return report


def survey(
    paths: Sequence[Path], rules: Sequence[Rule], folder: Path, say: Say
) -> tuple[list[Report], dict[str, Path]]:
    """Report on every project, and return a copy of each template that could be had."""
    reports = list[Report]()
    with ThreadPoolExecutor() as pool:
        for report in pool.map(partial(look_at, rules=rules), paths):
            reports.append(report)
            say(f"{len(reports)}/{len(paths)} {report.path}")
    mirrors = dict[str, Path]()
    for number, address in enumerate(sorted({r.template for r in reports if r.template})):
        say(f"Fetching {address} ...")
        try:
            clone(address, folder / str(number), "--mirror")
        except Refused as reason:
            say(str(reason))
        else:
            mirrors[address] = folder / str(number)
    for address, copy in mirrors.items():
        numbers = [release(tag) for tag in git(copy, "tag").split()]
        for report in reports:
            if report.template == address and (own := release(report.version)):
                report.lag = sum(each > own for each in numbers if each)
    return reports, mirrors


def update_all(
    reports: Sequence[Report], mirrors: dict[str, Path], to: str | None, jobs: int | None, say: Say
) -> None:
    """Open a branch in each project that an update would change, several at a time."""
    with ProcessPoolExecutor(jobs) as pool:
        running = {
            pool.submit(update_one, report, mirrors.get(report.template), to): report
            for report in reports
            if not report.error
        }
        for number, done in enumerate(as_completed(running), 1):
            report = running[done]
            try:
                report.branch, report.conflicts = done.result()
            except Exception as error:  # one bad project must not stop the others
                report.error = str(error) or repr(error)
            result = report.error or report.branch or "nothing to update"
            say(f"{number}/{len(running)} {report.path}: {result}")


def update_one(report: Report, copy: Path | None, to: str | None) -> tuple[str, int]:
    """Update one project on a branch, from a copy of its template."""
    template = str(copy) if copy else None
    outcome = update(Path(report.path), to=to, template=template, branch=True)
    return outcome.branch, outcome.conflicts


def cells(report: Report) -> Iterator[str]:
    """Put a report in short words."""
    yield report.path
    yield report.version or "?"
    yield "?" if report.lag is None else str(report.lag)
    yield str(len(report.drift) or "-")
    yield str(len(report.violations) or "-")
    yield report.branch + (f", {report.conflicts} conflicts" if report.conflicts else "")
    yield report.error


HEADS: Final = ("project", "version", "behind", "drift", "policy", "branch", "error")


def as_table(reports: Sequence[Report]) -> str:
    """Align the reports, the details of each below it."""
    rows = [HEADS, *(tuple(cells(report)) for report in reports)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    for number in range(len(reports), 0, -1):
        report = reports[number - 1]
        lines[number + 1 : number + 1] = [f"    {line}" for line in report.details]
    return "\n".join([*lines, "", summary(reports)])


def summary(reports: Sequence[Report]) -> str:
    """Count."""
    behind = sum(bool(report.lag) for report in reports)
    well = sum(report.is_well for report in reports)
    return f"{len(reports)} projects: {well} well, {len(reports) - well} not; {behind} behind."


def as_json(reports: Sequence[Report]) -> str:
    """Give all that is known to another program."""
    return json.dumps([asdict(report) for report in reports], ensure_ascii=False, indent=2)


def as_html(reports: Sequence[Report]) -> str:
    """Make one page without scripts or other files, to be mailed or published."""
    rows = []
    for report in reports:
        listed = "".join(f"<li>{html.escape(line)}</li>" for line in report.details)
        columns = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells(report))
        state = "well" if report.is_well else "not"
        rows.append(f'<tr class="{state}">{columns}<td><ul>{listed}</ul></td></tr>')
    heads = "".join(f'<th scope="col">{head}</th>' for head in (*HEADS, "details"))
    return PAGE.format(summary=html.escape(summary(reports)), heads=heads, rows="\n".join(rows))


PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Projects of the template</title>
<style>
body {{ font: 1rem/1.4 system-ui, sans-serif; margin: 2rem; }}
table {{ border-collapse: collapse; }}
th, td {{ border-bottom: 1px solid #ccc; padding: .3rem .8rem; }}
th, td {{ text-align: left; vertical-align: top; }}
tr.not td:first-child {{ border-left: .4rem solid #b00020; }}
tr.well td:first-child {{ border-left: .4rem solid #2e7d32; }}
ul {{ margin: 0; padding-left: 1rem; }}
</style>
<h1>Projects of the template</h1>
<p>{summary}</p>
<table>
<thead><tr>{heads}</tr></thead>
<tbody>
{rows}
</tbody>
</table>
</html>
"""
FORMATS: Final = {"table": as_table, "json": as_json, "html": as_html}
