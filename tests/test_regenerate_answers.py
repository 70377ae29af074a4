"""Answers survive a change of the questions: what was released can still be carried."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from regenerate.answers import RENAMES, RETIRED, carry, questions_of
from regenerate.git import Refused
from regenerate.template import release
from tests.conftest import git
from tests.project import COOKIECUTTER, ROOT


def lost(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """Name what a project may have answered and could not carry over."""
    kept = questions_of(new).keys() | set(new.get(RENAMES, {}).values())
    yield from (name for name in questions_of(old) if name not in kept)
    for name, given in questions_of(old).items():
        for value in given if isinstance(given, list) else [given]:
            try:
                carry({name: value}, old, new, {})
            except Refused as reason:
                yield str(reason)


def test_no_answer_of_the_last_release_is_lost() -> None:
    tags = [tag for tag in git(ROOT, "tag").split() if release(tag)]
    if tags:  # before the first release there is nothing to lose
        last = max(tags, key=lambda tag: release(tag) or ())
        assert (
            list(lost(json.loads(git(ROOT, "show", f"{last}:cookiecutter.json")), COOKIECUTTER))
            == []
        )


@pytest.mark.parametrize(
    ("new", "names"),
    [
        ({"a": "1", "b": ["x", "y"]}, []),
        ({"a": "1", "b": ["x", "y", "z"], "c": True}, []),
        ({"b": ["x", "y"]}, ["a"]),
        ({"c": "1", "b": ["x", "y"], RENAMES: {"c": "a"}}, []),
        ({"a": "1", "b": ["x"]}, ["b cannot be 'y', only x: --set b=..."]),
        ({"a": "1", "b": ["x", "z"], RETIRED: {"b": {"y": "z"}}}, []),
        ({"a": "1", "b": ["x", "z"], RETIRED: {"b": {"y": "w", "w": "z"}}}, []),
        (
            {"a": "1", "b": ["x"], RETIRED: {"b": {"y": "y"}}},
            ["b cannot be 'y', only x: --set b=..."],
        ),
    ],
)
def test_what_is_lost_is_named(new: dict[str, Any], names: list[str]) -> None:
    assert list(lost({"a": "1", "b": ["x", "y"]}, new)) == names
