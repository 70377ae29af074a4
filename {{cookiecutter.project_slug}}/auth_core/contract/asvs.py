"""What this project is to each requirement of OWASP ASVS 5.0.0; `python -m auth_core.contract.asvs` writes it.

asvs.csv gives each requirement a status. `rows` is met by the rows of conformance.csv that carry its
number, where its text, if any, was chosen; of the others the text says what to do, or why it is so.
The document is the same whatever was chosen: an update must not tear it apart.
"""

import csv
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from .registry import CORE, LATER, Row, load

CHAPTERS = (
    "Encoding and sanitization",
    "Validation and business logic",
    "Web frontend security",
    "API and web service",
    "File handling",
    "Authentication",
    "Session management",
    "Authorization",
    "Self-contained tokens",
    "OAuth and OIDC",
    "Cryptography",
    "Secure communication",
    "Configuration",
    "Data protection",
    "Secure coding and architecture",
    "Security logging and error handling",
    "WebRTC",
)
LEVELS = ("L1", "L2", "L3")
# Each result: its heading, which is also its column in the count, and what it means.
RESULTS = {
    "met": (
        "Met",
        "Every row named is proved by a test of `make contract`, or cannot apply, as conformance.md says.",
    ),
    "chosen": ("Met where chosen", "The same, in a project with the answer that is named."),
    "operator": (
        "Left to deployment",
        "Nothing inside this repository can prove these: whoever deploys it must do what is said. The rows are this\nproject's part.",
    ),
    "client": ("Left to the client", "What the application that people see must do."),
    "open": ("Not met, or not shown", "Known gaps, and why they are there."),
    "later": (
        "Not yet",
        "These ask for nothing but what this version of the template does not have.",
    ),
    "absent": ("Not applicable", "There is nothing here that these speak of."),
}
INTRODUCTION = """# OWASP ASVS 5.0.0

What this project is to each requirement of the
[Application Security Verification Standard](https://github.com/OWASP/ASVS/tree/v5.0.0), for a security review to
start from: its authors' statement, not a certificate, and without the endpoints that you add. It is the same whatever
was chosen; [conformance.md](conformance.md) has the rows of what was. Written by `python -m auth_core.contract.asvs`.

## Count

Requirements of level 1 / 2 / 3.
"""


@dataclass
class Requirement:
    id: str
    level: str
    result: str
    text: str
    rows: list[str]

    @property
    def number(self) -> str:
        return self.id.removeprefix("V")

    @property
    def chapter(self) -> int:
        return int(self.number.split(".")[0])


def requirements() -> list[Requirement]:
    """Join the requirements with the rows that carry them and are not of a later version."""
    rows = load().values()
    with (CORE / "contract" / "asvs.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))[1:]
    found = []
    for number, level, status, text in lines:
        carrying = [row for row in rows if number in row.asvs.split()]
        built = [row for row in carrying if row.id not in LATER]
        result, why = (status, text) if status != "rows" else judge(built, text)
        found.append(Requirement(number, level, result, why, [row.id for row in built]))
    return found


def judge(built: list[Row], condition: str) -> tuple[str, str]:
    """Say what the rows of a requirement make of it, and why."""
    if not built:
        return "later", "rows of a later version"
    untested = [row.id for row in built if row.is_due and not row.tests and not row.not_applicable]
    if untested:
        return "later", f"tests of {' '.join(untested)}"
    if condition:
        return "chosen", condition
    if all(row.not_applicable for row in built):
        return "absent", built[0].not_applicable
    return "met", ""


def statement() -> str:
    every = requirements()
    lines = [INTRODUCTION, *count(every)]
    for result, (heading, what) in RESULTS.items():
        chosen = [it for it in every if it.result == result]
        layout = table if result in {"met", "chosen", "operator"} else by_reason
        lines += [f"\n## {heading}\n", f"{what}\n", *layout(chosen)]
    return "\n".join([*lines, ""])


def count(every: list[Requirement]) -> Iterator[str]:
    yield "| chapter | " + " | ".join(heading.lower() for heading, _ in RESULTS.values()) + " |"
    yield "|---" * (1 + len(RESULTS)) + "|"
    for number, name in enumerate(CHAPTERS, 1):
        yield counted(f"V{number} {name}", [it for it in every if it.chapter == number])
    yield counted("all", every)


def counted(name: str, some: list[Requirement]) -> str:
    numbers = Counter((it.result, it.level) for it in some)
    cells = (" / ".join(str(numbers[it, level]) for level in LEVELS) for it in RESULTS)
    return f"| {name} | " + " | ".join("" if it == "0 / 0 / 0" else it for it in cells) + " |"


def table(some: list[Requirement]) -> Iterator[str]:
    yield "| requirement | level | rows | note |"
    yield "|---|---|---|---|"
    for it in some:
        yield f"| {it.number} | {it.level} | {' '.join(it.rows)} | {it.text} |"


def by_reason(some: list[Requirement]) -> Iterator[str]:
    reasons = defaultdict(list)
    for it in some:
        reasons[it.text].append(f"{it.number} {it.level}")
    for reason, numbers in reasons.items():
        yield f"- {reason}: {', '.join(numbers)}"


if __name__ == "__main__":
    sys.stdout.write(statement())
