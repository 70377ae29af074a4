"""The variants that are tested: every pair of answers, in as few projects as that takes.

The table follows from cookiecutter.json, the samples below and the hooks' own refusals. `make rows`
writes it to rows.json, because to find few rows takes minutes: after a new question, value or
contradiction a test asks for it.

    STRENGTH=3   every three answers together, not every two
    SHARES=1     each project runs all of its own tests, not one of five shares of them
"""

import json
import os
import shlex
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any, Final

from covertable.main import Controller

from tests.project import (
    COMBINATIONS,
    COOKIECUTTER,
    DEFAULTS,
    PRESETS,
    QUESTIONS,
    ROOT,
    Answers,
    complete,
    pre_gen,
)

# Values of the questions that are answered in free text, besides the default.
SAMPLES: Final[dict[str, list[str]]] = {
    "project_name": ["O'Brien & Söhne", "Мой API 🚀", "N" * 60],
    "project_slug": ["shop_api2", "s" * 50],
    "frontend_url": ["https://app.example.com/portal", "http://localhost:3000"],
    "access_token_minutes": ["1", "1440"],
    "refresh_token_days": ["1", "90"],
    "auth_url_prefix": ["a", "v1.2/~a_b-c", "p" * 80],
    "registration_url_prefix": ["api/auth", "r" * 100],
    "refresh_url": ["refresh", "f" * 100],
    "social_providers": ["google", "github,openid_connect", "google,github,openid_connect"],
}
STRENGTH: Final = int(os.environ.get("STRENGTH", "2"))
SHARES: Final = int(os.environ.get("SHARES", "5"))
STORED: Final = ROOT / "tests" / "rows.json"
IS_STORED: Final = (STRENGTH, SHARES) == (2, 5) and STORED.exists()
# Not asked, but varied alike: the interpreter, and which share of the tests runs.
PYTHON, SHARE = "python", "share"


@dataclass(frozen=True)
class Row:
    """A project to render, and how to test it."""

    number: int
    answers: Answers
    python: str
    share: int

    @property
    def name(self) -> str:
        return f"row{self.number:02}"


def command_of(answers: Answers) -> str:
    """Return the command that renders these answers, to be run in the template's folder."""
    words = (f"{k}={str(v).lower() if isinstance(v, bool) else v}" for k, v in answers.items())
    return shlex.join(["cookiecutter", "--no-input", ".", *words])


def factors() -> dict[str, list[Any]]:
    """Map each question to its values; None leaves it unanswered."""
    found: dict[str, list[Any]] = {}
    for question, given in QUESTIONS.items():
        if isinstance(given, str):
            found[question] = [None, *SAMPLES[question]]
        else:
            found[question] = given if isinstance(given, list) else [given, not given]
    pythons = sorted({python for python, _ in COMBINATIONS})
    return found | {PYTHON: pythons, SHARE: list(range(SHARES))}


def given(some: Answers) -> Answers:
    """Return what of these values is an answer to a question."""
    return {k: v for k, v in some.items() if v is not None and k in QUESTIONS}


def is_possible(some: Answers) -> bool:
    """Whether these values alone are no reason to refuse, whatever the others are."""
    python, django = some.get(PYTHON), some.get("django_version")
    if python and django and (python, django) not in COMBINATIONS:
        return False
    return not any(p.given.keys() <= some.keys() for p in pre_gen.problems(complete(given(some))))


def constraints(values: dict[str, list[Any]]) -> list[Answers]:
    """Tell, in covertable's terms, which values exclude each other."""
    # Prefixes collide in pairs, of which one may follow from the third.
    groups = [*combinations(values, 2), tuple(pre_gen.URL_QUESTIONS)]
    found = []
    for names in groups:
        every = list(product(*(values[name] for name in names)))
        possible = {each for each in every if is_possible(dict(zip(names, each, strict=True)))}
        if len(possible) < len(every):

            def evaluate(row: Answers, names: Any = names, possible: Any = possible) -> bool:
                return tuple(row[name] for name in names) in possible

            found.append({"operator": "fn", "requires": list(names), "evaluate": evaluate})
    return found


def covering(strength: int, seconds: int = 0) -> list[Answers]:
    """Return rows in which every possible combination of so many values occurs.

    With `seconds`, simulated annealing makes them fewer for so long.
    """
    values = factors()
    # Of the tolerances that were tried this one gives the fewest rows.
    maker = Controller(values, strength=strength, constraints=constraints(values), tolerance=2)
    made = list(maker.make_async())
    if seconds:
        made = maker.optimize(made, {"budget_ms": seconds * 1000, "min_collateral_samples": 4})
    return [{name: row[name] for name in values} for row in made]


def table() -> list[Row]:
    rows = json.loads(STORED.read_text("utf-8")) if IS_STORED else covering(STRENGTH)
    return [
        Row(number, given(row), row[PYTHON], row[SHARE]) for number, row in enumerate(rows, start=1)
    ]


def store() -> None:
    """Write rows.json: a line for each row."""
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in covering(STRENGTH, 300))
    STORED.write_text(f"[\n{lines}\n]\n", "utf-8")


def pairs_for_types(answers: Answers) -> set[Any]:
    """Return the pairs of facts on which types depend: the Django, and which files are there.

    Other answers are values of constants, whose declared types are the same in every project.
    """
    optional = [kept for path, kept in COOKIECUTTER["_optional"].items() if "auth_core" in path]
    whole = DEFAULTS | answers
    facts = {"django_version": whole["django_version"]}
    for question in {question for kept in optional for question in kept}:
        decided = (whole[question] in kept[question] for kept in optional if question in kept)
        facts[question] = tuple(decided)
    return set(combinations(sorted(facts.items()), 2))


def enough_for_types(rows: list[Row]) -> list[Row]:
    """Choose rows in which every such pair occurs that occurs in any row."""
    pairs = {row.number: pairs_for_types(row.answers) for row in rows}
    missing, chosen = set[Any]().union(*pairs.values()), list[Row]()
    while missing:
        chosen.append(max(rows, key=lambda row: len(pairs[row.number] & missing)))
        missing -= pairs[chosen[-1].number]
    return sorted(chosen, key=lambda row: row.number)


ROWS: Final = table()
TYPED: Final = enough_for_types(ROWS)
# The first row of each share that has PostgreSQL: there, statements are prepared.
PREPARING: Final = {
    row.share: row.number for row in reversed(ROWS) if row.answers["database"] == "postgresql"
}.values()
# All that is rendered and looked at; only rows are spread over interpreters and shares.
VARIANTS: Final[dict[str, Answers]] = (
    {"defaults": {}}
    | {row.name: row.answers for row in ROWS}
    | {f"preset {name}": answers for name, answers in PRESETS.items()}
)
