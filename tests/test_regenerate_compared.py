"""With `regenerate` nothing is lost; with cruft and copier is what the document says of them."""

import re
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.comparing import Copied, Crufted, Regenerated, Told, Wanted, verdict, verdict_of_check
from tests.conftest import git
from tests.project import ROOT
from tests.regenerating import FILES, changed, commit, committed

SETTINGS, CORE, GUIDE = (
    FILES[n] for n in ("config/settings.py", "auth_core/core.py", "docs/guide.md")
)
OURS, THEIRS = "of the team", "of the template"
TEAM, TEMPLATE, ANSWER = "the team's edit", "the template's change", "the answer"
HARMLESS: Final = {"merged", "conflict, exit 1", "refused, exit 2", "found, exit 1"}
RANDOM: Final = "{{ range(99999) | random }}-{{ range(99999) | random }}"

Happens = Callable[[Told], list[Wanted]]


class Scenario(NamedTuple):
    """What the team and the template did, and what must be found of both afterwards."""

    name: str
    happens: Happens
    answers: dict[str, str]
    is_check: bool

    @property
    def row(self) -> str:
        title = (self.happens.__doc__ or "").rstrip(".")
        return f"{self.name}: {title[0].lower()}{title[1:]}"


SCENARIOS: Final = list[Scenario]()


def scenario(
    name: str, *, answers: dict[str, str] | None = None, is_check: bool = False
) -> Callable[[Happens], Happens]:
    """List a scenario under its name in the research; the docstring is its row in the table."""

    def listed(happens: Happens) -> Happens:
        SCENARIOS.append(Scenario(name, happens, answers or {}, is_check))
        return happens

    return listed


@scenario("S1")
def same_line(story: Told) -> list[Wanted]:
    """Both change the same line."""
    story.start()
    story.edit("config/settings.py", "setting 3\n", f"{OURS}\n")
    story.release("1.1.0", {"config/settings.py": changed(SETTINGS, 3, THEIRS)})
    return both("config/settings.py")


@scenario("S1b", is_check=True)
def same_line_checked(story: Told) -> list[Wanted]:
    """The check, after that was committed with its markers."""
    same_line(story)
    story.updated()
    story.commit()
    return []


@scenario("S3")
def formatted(story: Told) -> list[Wanted]:
    """Formatted before the first commit; both change lines that are near."""
    story.render(story.folder, "1.0.0")
    (story.project / "config" / "settings.py").write_text(changed(SETTINGS, 3, OURS))
    committed(story.project)
    story.release("1.1.0", {"config/settings.py": changed(SETTINGS, 5, THEIRS)})
    return both("config/settings.py")


@scenario("S4a")
def deleted(story: Told) -> list[Wanted]:
    """The team deleted a file that the template changes."""
    story.start()
    git(story.project, "rm", "--quiet", "docs/guide.md")
    story.commit()
    story.release("1.1.0", {"docs/guide.md": changed(GUIDE, 3, THEIRS)})
    return [Wanted(TEMPLATE, "docs/guide.md", THEIRS)]


@scenario("S4b")
def deleted_folder(story: Told) -> list[Wanted]:
    """The team deleted a folder to which the template adds a file."""
    story.start()
    git(story.project, "rm", "--quiet", "docs/guide.md")
    story.commit()
    story.release("1.1.0", {"docs/more.md": THEIRS})
    return [Wanted(TEMPLATE, "docs/more.md", THEIRS)]


@scenario("S4c")
def moved(story: Told) -> list[Wanted]:
    """The team moved a folder in which the template changes and adds files."""
    story.start()
    (story.project / "src").mkdir()
    git(story.project, "mv", "auth_core", "src/auth_core")
    story.edit("src/auth_core/core.py", "line 18", OURS)
    story.release("1.1.0", {"auth_core/core.py": changed(CORE, 3, THEIRS), "auth_core/new.py": "1"})
    added = Wanted(TEMPLATE, "src/auth_core/new.py", "1")
    return [*both("src/auth_core/core.py"), added, Wanted(TEAM, "auth_core/core.py", None)]


@scenario("S5")
def dropped(story: Told) -> list[Wanted]:
    """The template deletes a file that the team edited."""
    story.start()
    story.edit("docs/guide.md", "paragraph 3\n", f"{OURS}\n")
    story.release("1.1.0", {"docs/guide.md": None})
    return [Wanted(TEAM, "docs/guide.md", OURS), Wanted(TEMPLATE, "docs/guide.md", None)]


@scenario("S6")
def added_by_both(story: Told) -> list[Wanted]:
    """Both add the same file."""
    story.start()
    (story.project / "docs" / "more.md").write_text(f"{OURS}\n")
    story.commit()
    story.release("1.1.0", {"docs/more.md": f"{THEIRS}\n"})
    return both("docs/more.md")


@scenario("S7")
def renamed(story: Told) -> list[Wanted]:
    """The template renames a file that the team edited."""
    story.start()
    story.edit("docs/guide.md", "paragraph 3\n", f"{OURS}\n")
    story.release("1.1.0", {"docs/guide.md": None, "docs/handbook.md": GUIDE})
    return [Wanted(TEAM, "docs/handbook.md", OURS), Wanted(TEMPLATE, "docs/guide.md", None)]


@scenario("S8")
def random(story: Told) -> list[Wanted]:
    """Something random is in a file."""
    story.release("1.1.0", {"docs/build.md": f"{RANDOM}\n"})
    story.start("1.1.0")
    story.release("1.2.0", {"docs/guide.md": changed(GUIDE, 3, THEIRS)})
    return [kept(story, "docs/build.md"), Wanted(TEMPLATE, "docs/guide.md", THEIRS)]


@scenario("S8b")
def secret(story: Told) -> list[Wanted]:
    """A random value that the template computes is in a file."""
    story.release("1.1.0", {"docs/build.md": "{{ cookiecutter.__secret }}\n"}, __secret=RANDOM)
    story.start("1.1.0")
    story.release("1.2.0", {"docs/guide.md": changed(GUIDE, 3, THEIRS)})
    return [kept(story, "docs/build.md"), Wanted(TEMPLATE, "docs/guide.md", THEIRS)]


@scenario("S10", answers={"minutes": "5", "delivery": "cookie"})
def answered(story: Told) -> list[Wanted]:
    """Two answers are changed; one of them brings a folder."""
    story.start()
    policy = Wanted(ANSWER, "auth_core/policy.py", "MINUTES = 5\n# cookie")
    return [policy, Wanted(ANSWER, "auth_core/cookies/__init__.py", "cookie 1")]


@scenario("S10b", answers={"minuets": "5"})
def mistyped(story: Told) -> list[Wanted]:
    """A question is mistyped, to change its answer."""
    story.start()
    return [Wanted(ANSWER, "auth_core/policy.py", "MINUTES = 5")]


@scenario("S11")
def repository(story: Told) -> list[Wanted]:
    """A hook makes a repository with a first commit."""
    identity = '"-c", "user.name=Hook", "-c", "user.email=hook@example.com"'
    calls = ('"init", "--quiet"', '"add", "."', f'{identity}, "commit", "--quiet", "-m", "First"')
    runs = [f'subprocess.run(["git", {call}], check=True)' for call in calls]
    story.hook("\n".join(["import subprocess", *runs]))
    story.release("1.1.0", {})
    story.start("1.1.0")
    story.release("1.2.0", {"docs/guide.md": changed(GUIDE, 3, THEIRS)})
    return [Wanted(TEMPLATE, "docs/guide.md", THEIRS)]


@scenario("S13", is_check=True)
def weakened(story: Told) -> list[Wanted]:
    """The check, after a setting of the core was weakened."""
    story.start()
    story.edit("auth_core/policy.py", "MINUTES = 15", "MINUTES = 1500")
    return []


@scenario("S14")
def unreleased(story: Told) -> list[Wanted]:
    """Rendered from a tag; there is a newer one, and commits after that."""
    story.start()
    story.release("1.1.0", {"docs/guide.md": changed(GUIDE, 3, THEIRS)})
    story.write({"docs/more.md": "not released\n"})
    commit(story.template, "Not released")
    tag = Wanted("the recorded tag", "docs/more.md", None)
    return [Wanted(TEMPLATE, "docs/guide.md", THEIRS), tag]


@scenario("S17")
def retired(story: Told) -> list[Wanted]:
    """The recorded choice is there no more."""
    story.start(delivery="cookie")
    story.release("1.1.0", {}, delivery=["header", "jar"], _optional={})
    return [Wanted(ANSWER, "auth_core/policy.py", "# cookie")]


@scenario("S17b")
def question_renamed(story: Told) -> list[Wanted]:
    """A question is renamed."""
    story.start(minutes="45")
    policy = FILES["auth_core/policy.py"].replace("cookiecutter.minutes", "cookiecutter.lifetime")
    story.release(
        "1.1.0",
        {"auth_core/policy.py": policy},
        minutes=None,
        lifetime="15",
        _answer_renames={"lifetime": "minutes"},
    )
    return [Wanted(ANSWER, "auth_core/policy.py", "MINUTES = 45")]


@scenario("S21")
def shallow(story: Told) -> list[Wanted]:
    """A shallow clone; both change lines that are near."""
    story.start()
    story.edit("config/settings.py", "setting 3\n", f"{OURS}\n")
    upstream = story.project.rename(story.folder / "upstream")
    git(story.folder, "clone", "--quiet", "--depth", "1", f"file://{upstream}", str(story.project))
    story.release("1.1.0", {"config/settings.py": changed(SETTINGS, 5, THEIRS)})
    return both("config/settings.py")


@scenario("S25")
def ignored(story: Told) -> list[Wanted]:
    """A hook writes something random into a file that git ignores."""
    story.hook("import uuid\nopen('.env', 'w').write(f'{uuid.uuid4()}\\n')")
    story.release("1.1.0", {})
    story.start("1.1.0")
    story.release("1.2.0", {"docs/guide.md": changed(GUIDE, 3, THEIRS)})
    return [kept(story, ".env"), Wanted(TEMPLATE, "docs/guide.md", THEIRS)]


@scenario("S27", is_check=True)
def missing(story: Told) -> list[Wanted]:
    """The check, after a file of the core was deleted."""
    story.start()
    git(story.project, "rm", "--quiet", "auth_core/urls.py")
    story.commit()
    return []


def both(path: str) -> list[Wanted]:
    return [Wanted(TEAM, path, OURS), Wanted(TEMPLATE, path, THEIRS)]


def kept(story: Told, path: str) -> Wanted:
    """Want what was made once, and differently for each project."""
    assert len(story.read(path)) > 5
    return Wanted("what was there", path, story.read(path))


TOOLS: Final = (
    Regenerated,
    pytest.param(Crufted, marks=pytest.mark.slow),
    pytest.param(Copied, marks=pytest.mark.slow),
)
DOCUMENT: Final = "docs/regenerating.md"


def column(tool: str) -> str:
    """Head a column with the tool and the version that is compared; ours is the one at hand."""
    return tool if tool == Regenerated.tool else f"{tool} {version(tool).rpartition('.')[0]}"


def documented() -> tuple[list[str], dict[str, list[str]]]:
    """Read the table: its head, and the cells of each row."""
    lines = re.findall(r"^\| (.*) \|$", (ROOT / DOCUMENT).read_text("utf-8"), re.MULTILINE)
    cells = [line.split(" | ") for line in lines]
    (head,) = (row for row in cells if row[0] == "What happened")
    return head, {row[0]: row[1:] for row in cells if re.match(r"S\d", row[0])}


def test_the_table_has_every_scenario_and_the_versions_at_hand() -> None:
    head, rows = documented()
    assert head == ["What happened", *(column(tool) for tool in ("regenerate", "cruft", "copier"))]
    assert list(rows) == [scenario.row for scenario in SCENARIOS]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[scenario.name for scenario in SCENARIOS])
@pytest.mark.parametrize("told", TOOLS)
def test_what_becomes_of_it(
    scenario: Scenario,
    told: type[Told],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    story = told(tmp_path)
    wanted = scenario.happens(story)
    if scenario.is_check:
        found = verdict_of_check(story)
    else:
        found = verdict(story, story.updated(**scenario.answers), wanted)
    record_property("compared", (scenario.row, column(told.tool), found))
    if told is Regenerated:
        assert found in HARMLESS
    head, rows = documented()
    (said,) = (
        c for c, h in zip(rows[scenario.row], head[1:], strict=True) if h.startswith(told.tool)
    )
    assert found == said, f"{column(told.tool)} is not (or no longer) as {DOCUMENT} says"
