"""Reads what a project records of its template. A record is data: nothing in it is run or fetched.

Anybody who can commit to a project can write its `.cruft.json`; whoever updates a fleet of projects
must not run what stands in it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from regenerate.check import visible
from regenerate.git import LOCK, Refused

# Jinja's openers. Text without them renders to itself.
SYNTAX: Final = re.compile(r"\{[{%#]")
COMMIT: Final = re.compile(r"[0-9a-f]{7,64}")


def parse(text: str, name: str = LOCK) -> dict[str, Any]:
    """Return the record, of which parts may be missing.

    Raises Refused, which names the field, where the text is no record: where it is no JSON, where a
    value is of another type, or where one holds template syntax.
    """
    try:
        record = json.loads(text)
        answers = record.get("context", {}).get("cookiecutter", {})
        refuse_answers(answers, name)
    except (ValueError, RecursionError, AttributeError, TypeError) as error:
        raise Refused(f"{name} cannot be read: {error!r}") from error
    template, commit = record.get("template"), record.get("commit")
    if template is not None and not (isinstance(template, str) and template.isprintable()):
        raise Refused(f"{name}: template is {template!r}, which is no address of a repository")
    if commit is not None and not (isinstance(commit, str) and COMMIT.fullmatch(commit)):
        raise Refused(
            f"{name}: commit is {commit!r}, not the hash of a commit, like "
            "7c55c903fd96: `git log` in a clone of the template lists them"
        )
    rest = {field: value for field, value in record.items() if field != "context"}
    for where, value in texts(rest):
        refuse_syntax(where, value, name)
    return dict(record)


def refuse_answers(answers: Mapping[str, Any], source: str) -> None:
    """Refuse an answer that could be run by a template engine, or that is of no type of an answer.

    What begins with an underscore is the template's own, is recorded by cookiecutter, and is never
    read.
    """
    for question, value in answers.items():
        if question.startswith("_"):
            continue
        if not isinstance(value, str | bool | int | float):
            raise Refused(
                f"{source}: {visible(question)} is {value!r}: an answer is text, a number, "
                "true or false"
            )
        refuse_syntax(question, str(value), source)


def refuse_syntax(name: str, value: str, source: str) -> None:
    """Refuse a text that Jinja would evaluate."""
    if found := SYNTAX.search(value):
        raise Refused(
            f"{source}: {visible(name)} is {value!r}, and holds {found[0]!r}, the beginning of a "
            "template tag: no answer can have one, because tags are run. Take it out"
        )


def texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield each text in nested values, keys included, with the path to it."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield f"{path}.{key}".lstrip("."), str(key)
            yield from texts(each, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for each in value:
            yield from texts(each, path)
