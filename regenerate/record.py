"""Reads what a project records of its template. A record is data: nothing in it is run or fetched.

Everybody with a right to commit to a project can write its `.cruft.json`. An update runs with the
rights of another person, so it must not run code of a record.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NoReturn

from regenerate.check import visible
from regenerate.git import LOCK, Refused

# What begins a tag of Jinja. Text without them renders to itself.
OPENERS: Final = ("{{", "{%", "{#")
COMMIT: Final = re.compile(r"[0-9a-f]{7,64}")
# A record has three levels.
DEEPEST: Final = 20
# Of a value in a message, in characters.
LONGEST: Final = 200


def parse(text: str, name: str = LOCK) -> dict[str, Any]:
    """Return the record, of which parts may be missing.

    Raises Refused, which names the field, where the text is no record: where it is no JSON, where a
    value is of another type, or where one holds template syntax.
    """
    try:
        record = json.loads(text, parse_constant=refuse_constant)
        every = list(texts(record))
        "".join(value for _, value in every).encode()
        answers = record.get("context", {}).get("cookiecutter", {})
        refuse_answers(answers, name)
    except (ValueError, RecursionError, AttributeError, TypeError) as error:
        raise Refused(f"{name} cannot be read: {error!r}"[:LONGEST]) from error
    template, commit = record.get("template"), record.get("commit")
    if template is not None and not (isinstance(template, str) and template.isprintable()):
        raise Refused(f"{name}: template is {template!r}, which is no address of a repository")
    if commit is not None and not (isinstance(commit, str) and COMMIT.fullmatch(commit)):
        raise Refused(
            f"{name}: commit is {commit!r}, not the hash of a commit, like "
            "7c55c903fd96: `git log` in a clone of the template lists them"
        )
    for where, value in every:
        if not where.startswith("context."):
            refuse_syntax(where, value, name)
    return dict(record)


def parse_whole(text: str, name: str = LOCK) -> dict[str, Any]:
    """Return a record that names a template, a commit, which may be null, and answers."""
    record = parse(text, name)
    if not record.get("template") or not {"commit", "context"} <= record.keys():
        raise Refused(f"{name} cannot be read: template, commit and context are needed")
    if "cookiecutter" not in record["context"]:
        raise Refused(f"{name} cannot be read: context has no answers for cookiecutter")
    return record


def refuse_constant(name: str) -> NoReturn:
    """Refuse NaN and infinities, which JSON does not have."""
    raise ValueError(f"{name} is no JSON")


def refuse_answers(
    answers: Mapping[str, Any], source: str, openers: Iterable[str] = OPENERS
) -> None:
    """Refuse an answer that could be run by a template engine, or that is of no type of an answer.

    What begins with an underscore is the template's own, is recorded by cookiecutter, and is never
    read.
    """
    for question, value in answers.items():
        if question.startswith("_"):
            continue
        is_number = isinstance(value, int | float) and math.isfinite(value)
        if not isinstance(value, str) and not is_number:
            raise Refused(
                f"{source}: {visible(question)} is {shown(value)}: an answer is text, a number, "
                "true or false"
            )
        refuse_syntax(question, str(value), source, openers)


def refuse_syntax(name: str, value: str, source: str, openers: Iterable[str] = OPENERS) -> None:
    """Refuse a text that a template engine would evaluate."""
    for opener in openers:
        if opener in value:
            raise Refused(
                f"{source}: {visible(name)} is {shown(value)}, and holds {opener!r}, which begins "
                "a template tag: no answer can have one, because tags are run. Take it out"
            )


def shown(value: Any) -> str:
    """Put a value in few words."""
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def texts(value: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yield each text in nested values, keys included, with the path to it.

    Raises ValueError where they are nested too deeply.
    """
    if depth > DEEPEST:
        raise ValueError("it is nested too deeply")
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            where = f"{path}.{key}".lstrip(".")
            yield where, str(key)
            yield from texts(each, where, depth + 1)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each, path, depth + 1)
