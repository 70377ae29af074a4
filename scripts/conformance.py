"""Write the table of conformance that is rendered: every row, and conditions around some.

A row of a feature's scope is there with the feature alone. One of FEATURE_OF_ROW is there without
it, too, and says why it cannot apply.
"""

import importlib
import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
SOURCE: Final = ROOT / "{{cookiecutter.project_slug}}"
OPTIONAL: Final = json.loads((ROOT / "cookiecutter.json").read_text("utf-8"))["_optional"]


def condition(feature: str) -> str:
    """Say in Jinja's words when the feature's folder is rendered."""
    answers = OPTIONAL[f"auth_core/features/{feature}"].items()
    return " and ".join(f"cookiecutter.{name} in {json.dumps(kept)}" for name, kept in answers)


def line(registry: Any, row: Any) -> str:
    """Return a row's line, in its condition where it has one."""
    feature = registry.FEATURE_OF_ROW.get(row.id) or registry.FEATURE_OF_SCOPE.get(row.scope)
    if feature is None:
        return str(row.line)
    lines = [f"{{%- if {condition(feature)} %}}", row.line]
    if row.id in registry.FEATURE_OF_ROW:
        without = replace(row, not_applicable=registry.reason_without(feature))
        lines += ["{%- else %}", without.line]
    return "\n".join([*lines, "{%- endif %}"])


def part(registry: Any, rows: dict[str, Any], text: str) -> str:
    """Return a group of rows, each in its condition, or all in that of the scope they share."""
    ids = re.findall(r"^\| ([A-Z]+-\d\d) \|", text, flags=re.MULTILINE)
    features = {registry.FEATURE_OF_SCOPE.get(rows[each].scope) for each in ids}
    shared = features.pop() if len(features) == 1 else None
    own = [each for each in ids if shared is None or each in registry.FEATURE_OF_ROW]
    pattern = re.compile(rf"^\| ({'|'.join(own)}) \|.*$", flags=re.MULTILINE)
    if own:
        text = pattern.sub(lambda found: line(registry, rows[found[1]]), text)
    return f"\n{{%- if {condition(shared)} %}}{text}\n{{%- endif %}}" if shared else text


def main() -> None:
    """Read the sources as they stand: unrendered, they hold every feature and its tests."""
    sys.path.insert(0, str(SOURCE))
    registry = importlib.import_module("auth_core.contract.registry")
    rows = registry.load()
    for row in rows.values():
        row.requirement = row.requirement.replace("{{", '{{ "{{" }}')  # some speak of braces
    parts = re.split(r"(?=\n\n## )", registry.table())
    table = "".join(part(registry, rows, each) for each in parts)
    (SOURCE / "docs" / "conformance.md").write_text(table, "utf-8")


if __name__ == "__main__":
    main()
