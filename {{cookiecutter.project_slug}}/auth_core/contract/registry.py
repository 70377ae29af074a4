"""Which test proves which row of conformance.csv; `python -m auth_core.contract.registry` writes the table.

A test names its rows at the beginning of its docstring ("TOK-01: ..."); a file lists rows that cannot
apply in NOT_APPLICABLE. Row ids are this suite's own; `asvs` holds OWASP ASVS 5.0.0 numbers.
"""

import ast
import csv
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

CORE = Path(__file__).parent.parent
IDS = re.compile(r"\A((?:[A-Z]{2,4}-\d\d(?:, )?)+):")
# Rows that a later version of the template proves; nothing is claimed of them.
LATER = {
    "ENU-14",
    "HTTP-15",
    "HTTP-16",
    "HTTP-17",
    "REF-19",
    "REF-20",
    "REF-21",
    "REF-22",
    "REF-23",
    "THR-19",
    "THR-20",
    "THR-21",
    "THR-22",
    "THR-23",
    "THR-24",
    "THR-25",
    "THR-26",
    "THR-27",
}
# Which feature's folder holds the tests of a scope.
FEATURE_OF_SCOPE = {
    "apikey": "api_keys",
    "code": "login_by_code",
    "cookie": "cookies",
    "mfa": "mfa",
    "social": "social",
}
# Rows that are due either way: a feature's tests prove them, and without it they cannot apply.
FEATURE_OF_ROW = {
    "PWD-07": "breached_passwords",
    "PWD-08": "breached_passwords",
    "CFG-09": "container",
    "CFG-12": "container",
    "CRY-07": "mfa",
    "MFA-12": "passkeys",
}

INTRODUCTION = """# Conformance

What a security review asks of this project, row by row, and the test that proves it; `make contract` runs
them all, `make contract BASE_URL=https://... NAME=... PASSWORD=...` those that need no inside access against a running server,
as an account of it. Raise `RATE_LIMITS` and `LOGIN_FREE_FAILURES` there: limits are waited for, a minute each, and what takes longer is skipped.
Written by `python -m auth_core.contract.registry`. ASVS: OWASP Application Security Verification Standard 5.0.0.
Files are relative to `auth_core/`.
"""


@dataclass
class Row:
    id: str
    scope: str
    asvs: str
    level: str
    requirement: str
    tests: set[str] = field(default_factory=set)
    not_applicable: str = ""

    @property
    def is_due(self) -> bool:
        """Say whether this version of the template, with these features, owes a test or a reason."""
        return self.id not in LATER and is_chosen(FEATURE_OF_SCOPE.get(self.scope))

    @property
    def result(self) -> str:
        if self.not_applicable:
            return f"not applicable: {self.not_applicable}"
        return "passed: " + ", ".join(sorted(self.tests))

    @property
    def line(self) -> str:
        cells = (self.id, self.asvs.replace("V", ""), self.level, self.requirement, self.result)
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def is_chosen(feature: str | None) -> bool:
    return feature is None or (CORE / "features" / feature).is_dir()


def reason_without(feature: str) -> str:
    return f"{feature} was not chosen"


def _files() -> Iterator[Path]:
    yield from sorted(CORE.glob("contract/test_*.py"))
    yield from sorted(CORE.glob("features/*/tests/test_*.py"))


def load() -> dict[str, Row]:
    """Read the rows and what the test files say of them; an unknown id is a KeyError."""
    with (CORE / "contract" / "conformance.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))[1:]
    rows = {a: Row(a, b, c, d, e) for a, b, c, d, e in lines}
    for path in _files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found = IDS.match(ast.get_docstring(node) or "")
                for row in found.group(1).split(", ") if found else ():
                    rows[row].tests.add(path.relative_to(CORE).as_posix())
            elif isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "NOT_APPLICABLE":
                for row, reason in ast.literal_eval(node.value or ast.Dict([], [])).items():
                    rows[row].not_applicable = reason
    for row, feature in FEATURE_OF_ROW.items():
        if not is_chosen(feature):
            rows[row].not_applicable = reason_without(feature)
    return rows


def table() -> str:
    """Write the rows that are due as a document, group by group."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in load().values():
        if row.is_due:
            groups[row.id[:-3]].append(row)
    lines = [INTRODUCTION]
    for name, rows in groups.items():
        lines += [
            f"\n## {name}\n",
            "| id | ASVS | level | requirement | result |",
            "|---|---|---|---|---|",
        ]
        lines += [row.line for row in rows]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.stdout.write(table())
