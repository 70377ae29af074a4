"""The documents say what is so: commands, files, questions and dependencies."""

import re
import sys
import tomllib
from pathlib import Path

import pytest

from tests.project import COOKIECUTTER, QUESTIONS, ROOT, Bake, run

DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    "UPGRADING.md",
    "CHANGELOG.md",
    "docs/benchmarks.md",
    "docs/dependencies.md",
    "docs/regenerating.md",
)


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def make_targets(makefile: Path) -> set[str]:
    return set(re.findall(r"^([a-z-]+):", makefile.read_text("utf-8"), re.MULTILINE))


def question_table() -> str:
    """Return the table of the README: each question, its answers with the default first."""
    lines = ["| question | answers, the default first | |", "|---|---|---|"]
    for question, given in QUESTIONS.items():
        prompt = COOKIECUTTER["__prompts__"][question]
        text = prompt if isinstance(prompt, str) else prompt["__prompt__"]
        values = given if isinstance(given, list) else [given or "empty"]
        if isinstance(given, bool):
            values = [str(given).lower()]
        values = [re.sub(r"\{\{ cookiecutter\.(\w+).*?\}\}", r"{\1}", value) for value in values]
        answers = ", ".join(f"`{value}`" for value in values)
        plain = re.sub(r"\[.*?\]", "", text)
        lines.append(f"| `{question}` | {answers} | {plain} |")
    return "\n".join(lines)


def test_the_readme_lists_the_questions() -> None:
    assert question_table() in read("README.md"), f"Put this into README.md:\n{question_table()}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_and_files_exist(document: str, bake: Bake) -> None:
    text, project = read(document), bake(container=True, database="postgresql").path
    targets = make_targets(ROOT / "Makefile") | make_targets(project / "Makefile")
    named = set(re.findall(r"(?:^|`| )make ([a-z-]+)", "\n".join(code_of(text)), re.MULTILINE))
    assert named <= targets
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        if not link.startswith("http"):
            assert (ROOT / document).parent.joinpath(link).exists(), link
    for path in re.findall(r"(?<!/)\b(?:presets|hooks|tests|scripts|docs)/[\w./-]+\b", text):
        assert (ROOT / path).exists() or (project / path).exists(), path


@pytest.mark.slow
def test_the_site_is_built_without_warnings() -> None:
    """No link leads nowhere, in the documents of the default project neither."""
    done = run(ROOT, sys.executable, "-m", "scripts.site")
    assert (done.stdout, done.stderr) == ("", "")
    pages = ROOT / ".cache" / "site" / "html"
    assert (pages / "index.html").exists()
    assert (pages / "project" / "docs" / "security" / "index.html").exists()


def code_of(text: str) -> list[str]:
    """Return what stands in backticks or indented: commands, not prose."""
    return re.findall(r"`([^`\n]+)`", text) + re.findall(r"^ {4}(\S.*)$", text, re.MULTILINE)


def test_every_question_has_a_prompt_and_every_choice_a_label() -> None:
    prompts = COOKIECUTTER["__prompts__"]
    assert list(prompts) == list(QUESTIONS)
    for question, given in QUESTIONS.items():
        if isinstance(given, list):
            labels = {key: text for key, text in prompts[question].items() if key != "__prompt__"}
            assert list(labels) == given
            assert all(text.startswith(value) for value, text in labels.items())


def test_every_dependency_has_its_reason(bake: Bake) -> None:
    document = read("docs/dependencies.md")
    _, template, rendered, _ = re.split(r"^## .*$", document, flags=re.MULTILINE)
    own = tomllib.loads(read("pyproject.toml"))
    groups = [line for group in own["dependency-groups"].values() for line in group]
    lines = own["project"]["dependencies"] + [line for line in groups if isinstance(line, str)]
    assert reasons(template) == names(lines)
    lines = []
    for provider in ("postmark", "mailgun"):
        project = bake(
            database="postgresql",
            email_provider=provider,
            social_providers="google",
            mfa="totp_and_passkeys",
            metrics=True,
        )
        declared = tomllib.loads(project.read("pyproject.toml"))
        lines += declared["project"]["dependencies"] + declared["dependency-groups"]["dev"]
    assert reasons(rendered) == names(lines)


def reasons(section: str) -> set[str]:
    return set(re.findall(r"^\| ([a-z0-9-]+) \| \S.* \|$", section, re.MULTILINE)) - {"package"}


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^a-z0-9-]", line)[0] for line in requirements}


def test_the_versions_agree() -> None:
    version = tomllib.loads(read("pyproject.toml"))["project"]["version"]
    assert COOKIECUTTER["_template_version"] == version
    for document in ("CHANGELOG.md", "UPGRADING.md"):
        assert re.search(rf"^## .*{re.escape(version)}", read(document), re.MULTILINE)
