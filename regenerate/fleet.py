"""Looks at many projects at once: version, lag, drift, and the answers against a policy."""

import html
import json
import operator
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from regenerate import addresses, check, record
from regenerate.answers import questions_of
from regenerate.check import visible
from regenerate.git import LOCK, Refused, git
from regenerate.template import clone, release
from regenerate.update import update

Say = Callable[[str], object]
# Of a cell that holds what a project says, in characters.
LONGEST: Final = 40
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


class Policy(NamedTuple):
    """What projects must answer, and the templates that they may be of."""

    rules: Sequence[Rule] = ()
    templates: Sequence[str] = ()

    def violations(self, answers: dict[str, Any], template: str) -> Iterator[str]:
        """Say what a project has that the policy does not allow."""
        if self.templates and not addresses.known(template, self.templates):
            yield f"template is {template!r}, not in {', '.join(self.templates)}"
        for rule in self.rules:
            if not rule.is_kept_by(answers):
                question, sign, value = rule
                yield f"{question} is {answers.get(question)!r}, not {sign} {value}"


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
        return [visible(line) for line in (*self.drift, *self.waived, *self.violations)]

    @property
    def is_well(self) -> bool:
        """Whether there is nothing to do but, perhaps, an update."""
        return not (self.drift or self.violations or self.conflicts or self.error)


def read_policy(path: Path) -> Policy:
    """Read lines like `access_token_minutes <= 15` or `token_delivery in header, cookie`.

    A line like `template in gh:acme/api, gh:acme/tool` names templates, whose code may run.
    """
    rules, templates = list[Rule](), list[str]()
    for number, line in enumerate(read(path).splitlines(), 1):
        if text := line.partition("#")[0].strip():
            found = re.fullmatch(r"(\w+)\s*(<=|>=|==|!=|<|>|\bin\b)\s*(.+)", text)
            if not found:
                raise Refused(f"{path}:{number}: not like `access_token_minutes <= 15`: {text}")
            rule = Rule(*found.groups())
            if rule.question != "template":
                rules.append(rule)
            elif rule.sign == "in":
                templates += [each.strip() for each in rule.value.split(",")]
            else:
                raise Refused(f"{path}:{number}: not like `template in gh:acme/api`: {text}")
    return Policy(rules, templates)


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


def look_at(path: Path, policy: Policy) -> Report:
    """Report on one project, offline; what keeps it from being read is its error."""
    report = Report(str(path))
    try:
        lock = record.parse_whole(check.text_of(path, LOCK, check.LARGEST_RECORD))
        report.template = lock["template"]
        context = lock["context"]["cookiecutter"]
        report.version = str(context.get("_template_version", ""))
        report.answers = questions_of(context)
        found, report.waived = check.findings(path, datetime.now(UTC).date())
        report.drift = [str(each) for each in found]
    except FileNotFoundError:
        report.error = f"no {LOCK}"
    except (Refused, check.CheckError) as error:
        report.error = str(error)
    except check.UNREADABLE as error:
        report.error = repr(error)
    else:
        report.violations = list(policy.violations(report.answers, report.template))
    return report


def survey(
    paths: Sequence[Path], policy: Policy, named: Sequence[str], folder: Path, say: Say
) -> tuple[list[Report], dict[str, Path]]:
    """Report on every project, and return a copy of each template that could be had.

    A template is fetched if the caller named it, or if this program is from it; how far a project
    of another one lags behind is unknown.
    """
    reports = list[Report]()
    with ThreadPoolExecutor() as pool:
        for report in pool.map(partial(look_at, policy=policy), paths):
            reports.append(report)
            say(f"{len(reports)}/{len(paths)} {report.path}")
    mirrors, fetchable = dict[str, Path](), [*named, *addresses.own()]
    for number, recorded in enumerate(sorted({r.template for r in reports if r.template})):
        address = addresses.known(recorded, fetchable)
        if address is None:
            continue
        say(f"Fetching {address} ...")
        try:
            clone(address, folder / str(number), "--mirror")
        except Refused as reason:
            say(str(reason))
        else:
            mirrors[recorded] = folder / str(number)
    for address, copy in mirrors.items():
        numbers = [release(tag) for tag in git(copy, f"--git-dir={copy}", "tag").split()]
        for report in reports:
            if report.template == address and (own := release(report.version)):
                report.lag = sum(each > own for each in numbers if each)
    return reports, mirrors


def update_all(
    reports: Sequence[Report],
    mirrors: dict[str, Path],
    named: Sequence[str],
    say: Say,
    *,
    to: str | None,
    jobs: int | None,
) -> None:
    """Open a branch in each project that an update would change, several at a time.

    Code of a template runs only if the caller named that template.
    """
    with ProcessPoolExecutor(jobs) as pool:
        running = {}
        for report in reports:
            address = addresses.known(report.template, named) if report.template else None
            if address and not report.error:
                copy = str(mirrors.get(report.template, address))
                running[pool.submit(update_one, report, copy, to)] = report
            elif not report.error:
                report.error = not_named(report.template)
        for number, done in enumerate(as_completed(running), 1):
            report = running[done]
            try:
                report.branch, report.conflicts = done.result()
            except Exception as error:  # one bad project must not stop the others
                report.error = str(error) or repr(error)
            result = report.error or report.branch or "nothing to update"
            say(f"{number}/{len(running)} {report.path}: {result}")


def not_named(template: str) -> str:
    """Say why a project is not updated, and what names its template."""
    return (
        "not updated: you did not name its template. To run its code with your rights, give "
        f"--template {shlex.quote(template)}, or add a line to the policy: template in {template}"
    )


def update_one(report: Report, template: str, to: str | None) -> tuple[str, int]:
    """Update one project on a branch, from a copy of its template."""
    outcome = update(Path(report.path), to=to, template=template, branch=True)
    return outcome.branch, outcome.conflicts


def cells(report: Report) -> Iterator[str]:
    """Put a report in short words."""
    yield visible(report.path)
    yield visible(report.version)[:LONGEST] or "?"
    yield "?" if report.lag is None else str(report.lag)
    yield str(len(report.drift) or "-")
    yield str(len(report.violations) or "-")
    yield report.branch + (f", {report.conflicts} conflicts" if report.conflicts else "")
    yield visible(report.error)


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
    return json.dumps([asdict(report) for report in reports], indent=2)


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
