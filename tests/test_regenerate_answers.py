"""Answers survive a change of the questions, and nobody learns of a change by surprise."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from regenerate.answers import BEFORE, RENAMES, RETIRED, carry, fits, names_of, questions_of
from regenerate.git import Refused
from regenerate.template import release
from tests.conftest import git
from tests.project import COOKIECUTTER, ROOT

Questions = dict[str, Any]


def lost(old: Questions, new: Questions) -> Iterator[str]:
    """Name what a project may have answered and could not carry over, and what would do."""
    kept = {each for name in questions_of(new) for each in names_of(name, old, new)}
    for name, given in questions_of(old).items():
        if name not in kept:
            yield f"{name} is gone: {RENAMES} can say what it is called now"
        for value in given if isinstance(given, list) else [given]:
            try:
                carry({name: value}, old, new, {})
            except Refused as reason:
                yield f"{reason}: {RETIRED} can say what takes its place"


def unsaid(old: Questions, new: Questions, upgrading: str, changelog: str) -> Iterator[str]:
    """Name what is new or different with a project's answers, and is not written down."""
    for name, given in questions_of(new).items():
        before = [old[each] for each in names_of(name, old, new) if each in questions_of(old)]
        if not before and f"`{name}`" not in changelog:
            yield (
                f"{name} is new: name it in CHANGELOG.md as `{name}`, and if its default is not "
                f"what projects did until now, put into {BEFORE} what they did"
            )
        elif before and default(before[0]) != default(given) and f"`{name}`" not in upgrading:
            yield (
                f"the default of {name} was {default(before[0])!r} and is {default(given)!r}: "
                f"name it in UPGRADING.md as `{name}`"
            )
    for name, value in new.get(BEFORE, {}).items():
        if name not in questions_of(new) or not fits(value, new[name]):
            yield f"{BEFORE} answers {name} with {value!r}: there is no such question or choice"


def default(given: Any) -> Any:
    return given[0] if isinstance(given, list) else given


def since(number: str, document: str) -> str:
    """Return what a document says of later versions than this one."""
    return re.split(rf"^## \[?{re.escape(number)}\b", document, flags=re.MULTILINE)[0]


def test_the_answers_of_the_last_release_are_kept_and_each_change_is_written_down() -> None:
    upgrading, changelog = (
        (ROOT / f"{n}.md").read_text("utf-8") for n in ("UPGRADING", "CHANGELOG")
    )
    tags = [tag for tag in git(ROOT, "tag", "--merged", "HEAD").split() if release(tag)]
    dated = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - \d", changelog, re.MULTILINE)
    untagged = set(dated) - {tag.removeprefix("v") for tag in tags}
    untagged.discard(COOKIECUTTER["_template_version"])  # the tag follows
    assert untagged == set(), "their tags are not here: git fetch --tags (--unshallow)"
    if tags:  # before the first release there is nothing to keep
        last = max(tags, key=lambda tag: release(tag) or ())
        old = json.loads(git(ROOT, "show", f"{last}:cookiecutter.json"))
        texts = (since(last.removeprefix("v"), text) for text in (upgrading, changelog))
        found = [*lost(old, COOKIECUTTER), *unsaid(old, COOKIECUTTER, *texts)]
        assert found == [], "\n".join(found)


OLD: Questions = {"a": "1", "b": ["x", "y"]}
GONE = "a is gone: _answer_renames can say what it is called now"
NO_Y = "b cannot be 'y', only x: --set b=...: _retired_choices can say what takes its place"


@pytest.mark.parametrize(
    ("new", "names"),
    [
        ({"a": "1", "b": ["x", "y"]}, []),
        ({"a": "1", "b": ["x", "y", "z"], "c": True}, []),
        ({"b": ["x", "y"]}, [GONE]),
        ({"c": "1", "b": ["x", "y"], RENAMES: {"c": "a"}}, []),
        ({"d": "1", "b": ["x", "y"], RENAMES: {"c": "a", "d": "c"}}, []),
        ({"c": "1", "b": ["x", "y"], RENAMES: {"d": "a"}}, [GONE]),
        ({"a": "1", "b": ["x"]}, [NO_Y]),
        ({"a": "1", "b": ["x", "z"], RETIRED: {"b": {"y": "z"}}}, []),
        ({"a": "1", "b": ["x", "z"], RETIRED: {"b": {"y": "w", "w": "z"}}}, []),
        ({"a": "1", "b": ["x"], RETIRED: {"b": {"y": "y"}}}, [NO_Y]),
    ],
)
def test_what_is_lost_is_named(new: Questions, names: list[str]) -> None:
    assert list(lost(OLD, new)) == names


@pytest.mark.parametrize(
    ("new", "upgrading", "changelog", "said"),
    [
        ({"a": "1", "b": ["x", "y", "z"]}, "", "", []),
        ({"a": "2", "b": ["x", "y"]}, "", "`a`", ["the default of a was '1' and is '2'"]),
        ({"a": "2", "b": ["x", "y"]}, "The default of `a`", "", []),
        ({"a": "1", "b": ["y", "x"]}, "", "", ["the default of b was 'x' and is 'y'"]),
        ({"c": "2", "b": ["x"], RENAMES: {"c": "a"}}, "", "", ["the default of c was '1'"]),
        ({**OLD, "c": True}, "`c`", "a c, and `b`", ["c is new"]),
        ({**OLD, "c": True}, "", "A question `c`", []),
        ({**OLD, BEFORE: {"b": "z"}}, "", "", ["_answers_before answers b with 'z'"]),
        ({**OLD, BEFORE: {"c": "z"}}, "", "", ["_answers_before answers c with 'z'"]),
        ({**OLD, BEFORE: {"b": "y"}}, "", "", []),
    ],
)
def test_what_is_not_written_down_is_named(
    new: Questions, upgrading: str, changelog: str, said: list[str]
) -> None:
    named = list(unsaid(OLD, new, upgrading, changelog))
    assert len(named) == len(said)
    assert all(line.startswith(start) for line, start in zip(named, said, strict=True))


@pytest.mark.parametrize("head", ["## 1.0.0", "## [1.0.0] - 2030-01-31"])
def test_what_an_earlier_release_says_does_not_count(head: str) -> None:
    assert since("1.0.0", f"## 1.1.0\n\nnew\n\n{head}\n\nold\n") == "## 1.1.0\n\nnew\n\n"
