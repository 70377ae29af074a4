"""Carries the recorded answers to another version of the questions."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from regenerate.git import Refused

# Of cookiecutter.json: {"new name": "old name"}, {"question": {"old value": "new value"}}, and
# what a project did before a question existed, where that is not the question's default.
RENAMES, RETIRED, BEFORE = "_answer_renames", "_retired_choices", "_answers_before"

Answers = Mapping[str, Any]


class Change(NamedTuple):
    """An answer that is not simply the recorded one, and why."""

    question: str
    why: str  # set, renamed, retired, new or dropped
    before: Any
    after: Any


def questions_of(template: Answers) -> dict[str, Any]:
    """Return what is asked, with the defaults."""
    return {name: given for name, given in template.items() if not name.startswith("_")}


def carry(
    recorded: Answers, old: Answers, new: Answers, chosen: Mapping[str, str]
) -> dict[str, Any]:
    """Answer the new questions from the recorded answers and those that were chosen now.

    A question that is missing in the result takes its default. `old` and `new` are the contents
    of cookiecutter.json.
    """
    questions = questions_of(new)
    refuse_unknown(chosen, questions, old, new)
    answers: dict[str, Any] = {}
    for name, given in questions.items():
        if name in chosen:
            answers[name] = fitting(name, chosen[name], given)
        elif (source := source_of(name, recorded, old, new)) is not None:
            answers[name] = carried(name, recorded[source], given, new.get(RETIRED, {}))
        elif name in new.get(BEFORE, {}):
            answers[name] = new[BEFORE][name]
    return answers


def refuse_unknown(
    chosen: Mapping[str, str], questions: Answers, old: Answers, new: Answers
) -> None:
    """Refuse names that no question has, with the one that was probably meant."""
    for name in chosen:
        if name not in questions:
            renamed = [question for question in questions if name in names_of(question, old, new)]
            close = renamed or get_close_matches(name, questions, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(questions)}"
            raise Refused(f"no question is called {name}: {hint}")


def names_of(question: str, old: Answers, new: Answers) -> list[str]:
    """List the names that a question has had, also in a version that is left for an older one."""
    links = {**{b: a for a, b in old.get(RENAMES, {}).items()}, **new.get(RENAMES, {})}
    names = [question]
    while (following := links.get(names[-1])) and following not in names:
        names.append(following)
    return names


def source_of(question: str, recorded: Answers, old: Answers, new: Answers) -> str | None:
    """Find the name under which a question's answer is recorded."""
    return next((name for name in names_of(question, old, new) if name in recorded), None)


def carried(question: str, value: Any, given: Any, retired: Mapping[str, Answers]) -> Any:
    """Return the recorded value, or what has taken its place."""
    following, seen = retired.get(question, {}), set[str]()
    while not fits(value, given) and str(value) in following and str(value) not in seen:
        seen.add(str(value))
        value = following[str(value)]
    return fitting(question, value, given)


def fits(value: Any, given: Any) -> bool:
    """Whether a question takes this value."""
    if isinstance(given, bool):
        return truth(value) is not None
    return value in given if isinstance(given, list) else isinstance(value, str)


def fitting(question: str, value: Any, given: Any) -> Any:
    """Return the value in the question's type, or refuse it with those that would do."""
    if not fits(value, given):
        options = given if isinstance(given, list) else ["text"]
        can_be = "true or false" if isinstance(given, bool) else " or ".join(map(str, options))
        raise Refused(f"{question} cannot be {value!r}, only {can_be}: --set {question}=...")
    return truth(value) if isinstance(given, bool) else value


def truth(value: Any) -> bool | None:
    """Read a boolean as cookiecutter does."""
    word = str(value).strip().lower()
    if word in {"1", "true", "t", "yes", "y", "on"}:
        return True
    return False if word in {"0", "false", "f", "no", "n", "off"} else None


def changes(
    recorded: Answers, final: Answers, old: Answers, new: Answers, chosen: Mapping[str, str]
) -> list[Change]:
    """Tell what became of each answer that was not carried as it was."""
    found, used = list[Change](), set[str]()
    for name, after in final.items():
        source = source_of(name, recorded, old, new)
        if source is None:
            found.append(Change(name, "set" if name in chosen else "new", None, after))
            continue
        used.add(source)
        before = recorded[source]
        if source != name:
            found.append(Change(name, f"renamed from {source}", before, after))
        elif before != after:
            found.append(Change(name, "set" if name in chosen else "retired", before, after))
    dropped = [name for name in questions_of(recorded) if name not in used]
    return found + [Change(name, "dropped", recorded[name], None) for name in dropped]
