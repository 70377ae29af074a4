"""The rendered continuous integration: linted, and its steps run in order, as a forge would.

No forge is here. `actions/...` steps are played by what they do (a clone, files carried over), and
GitHub's `gh` by a stub that writes down what it is asked; git, uv and the template are real.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from cookiecutter.main import cookiecutter

from tests.conftest import git
from tests.project import COMBINATIONS, COOKIECUTTER, ROOT, SOURCE, Answers, Bake, BakedProject, run
from tests.regenerating import commit, committed
from tests.test_docs import make_targets
from tests.test_supply_chain import UV, osv

BIN = Path(sys.executable).parent
SCHEMAS = {"github": "vendor.github-workflows", "gitlab": "vendor.gitlab-ci"}
NOW, NEXT = COOKIECUTTER["_template_version"], "99.0.0"
UPDATES = {"render", "publish", "render template update", "publish template update"}


def documents(project: BakedProject) -> dict[str, Answers]:
    names = sorted(n for n in project.files() if n.startswith(".git") and n.endswith(".yml"))
    # YAML 1.1 takes the key `on` for a boolean.
    return {n: yaml.safe_load(project.read(n).replace("\non:", '\n"on":')) for n in names}


def jobs_of(project: BakedProject) -> dict[str, Answers]:
    """Return the jobs of all files by their names."""
    found: dict[str, Answers] = {}
    for document in documents(project).values():
        jobs = document.get("jobs", document)
        found |= {k: v for k, v in jobs.items() if {"steps", "script"} & set(v)}
    return found


def commands_of(job: Answers) -> list[str]:
    return job.get("script") or [step["run"] for step in job["steps"] if "run" in step]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database_answer(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=SCHEMAS)
def project(request: pytest.FixtureRequest, database_answer: str, bake: Bake) -> BakedProject:
    return bake(ci=request.param, database=database_answer)


def test_its_files_are_what_the_forge_reads(project: BakedProject) -> None:
    """By the forges' own schemas, and by zizmor's rules on permissions, pins and injection."""
    ci = project.answers["ci"]
    names = sorted(documents(project))
    assert names == {
        "github": [".github/workflows/ci.yml", ".github/workflows/template-update.yml"],
        "gitlab": [".gitlab-ci.yml"],
    }.get(ci)
    project.run(BIN / "check-jsonschema", "--builtin-schema", SCHEMAS[ci], *names)
    if ci == "github":
        said = project.run(BIN / "zizmor", "--offline", "--no-progress", ".").stdout
        assert "No findings" in said


def test_what_runs_foreign_code_can_neither_write_nor_knows_a_secret(bake: Bake) -> None:
    project = bake(ci="github")
    assert [each["permissions"] for each in documents(project).values()] == [{}, {}]
    for name, job in jobs_of(project).items():
        assert job["steps"][0]["with"] == {"persist-credentials": False}, name
        if name != "publish":
            assert job["permissions"] == {"contents": "read"}, name
            assert "secrets." not in json.dumps(job), name
    assert not any("make" in line or "python" in line for line in publishing(project))
    project = bake(ci="gitlab")
    using = {n for n, job in jobs_of(project).items() if "TOKEN" in json.dumps(job)}
    assert using == {n for n, job in jobs_of(project).items() if "environment" in job}
    assert using == {"publish template update"}
    assert not any("make" in line or "python" in line for line in publishing(project))


def publishing(project: BakedProject) -> list[str]:
    (job,) = (job for name, job in jobs_of(project).items() if name.startswith("publish"))
    return commands_of(job)


def test_an_action_is_pinned_to_one_commit_everywhere(bake: Bake) -> None:
    project = bake(ci="github")
    text = "".join(project.read(name) for name in documents(project))
    used = re.findall(r"uses: (\S+)(.*)", text)
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", name) for name, _ in used)
    assert len({name for name, _ in used}) == len({name.partition("@")[0] for name, _ in used})
    assert all(re.fullmatch(r" # v\d+\.\d+\.\d+", version) for _, version in used)


def test_both_forges_do_the_same_by_make(bake: Bake) -> None:
    """Each target exists; `make contract` is not there, because `make test` runs the same."""
    found = {}
    for ci in SCHEMAS:
        project = bake(ci=ci)
        jobs = {name: job for name, job in jobs_of(project).items() if name not in UPDATES}
        found[ci] = {name: commands_of(job) for name, job in jobs.items()}
        targets = {line.removeprefix("make ") for each in found[ci].values() for line in each}
        assert targets <= make_targets(project.path / "Makefile")
        texts = "".join(map(project.read, documents(project)))
        pythons = set(re.findall(r"python(?:-version)?: ?\"?(3\.\d+)", texts))
        assert pythons == {python for python, _ in COMBINATIONS[-1:]}
        # The update takes the same uv.
        uv = re.search(r"pip install .* ('uv.*?')", project.read("Makefile"))
        assert uv
        assert uv[1] in texts
    assert found["github"] == found["gitlab"]
    assert 'testpaths = ["auth_core"' in project.read("pyproject.toml")


@pytest.mark.slow
def test_its_steps_succeed_in_order(bake: Bake, home: Path) -> None:
    """But for most of the tests, which run elsewhere; osv.dev is played."""
    project = bake(ci="github")
    # Older than the environment, which is then not installed into again.
    os.utime(project.path / "pyproject.toml", (0, 0))
    # What mypy knows of the stubs from an earlier run; of each worker its own.
    worker = os.environ.get("PYTEST_XDIST_WORKER", "alone")
    mypy = str(ROOT / ".cache" / "mypy" / f"{home.name}-check-{worker}")
    always = {"VENV": str(home), "MYPY_CACHE_DIR": mypy}
    with osv("no-package-of-ours") as url:
        given = {"make test": "--numprocesses=0 tests", "make audit": f"--service-url {url}"}
        for name in ("test", "dependencies"):
            for number, command in enumerate(commands_of(jobs_of(project)[name])):
                variables = always | {"MAKEFLAGS": UV, "ARGS": given.get(command, "")}
                project.run("bash", "-e", "-c", command, variables=variables)
                if number == 0:  # as the first installation does, of which the stamp is there
                    project.make("lock", home, UV)
        (project.path / "auth_core" / "urls.py").write_text(
            f"{project.read('auth_core/urls.py')}# Ours.\n"
        )
        done = project.run("make", "check", check=False, variables=always)
        assert (done.returncode, "MODIFIED  auth_core/urls.py" in done.stdout) == (2, True)
    assert json.loads(project.read("var/sbom.json"))["bomFormat"] == "CycloneDX"


# What a forge does around the steps.


@dataclass
class Forge:
    """A project's bare repository, and its pipeline as the project has it."""

    ci: str
    folder: Path
    project: Path
    status: str = ""
    known: int = 0
    log: str = ""

    def __post_init__(self) -> None:
        git(self.folder, "clone", "--quiet", "--bare", str(self.project), str(self.origin))
        git(self.origin, "config", "receive.advertisePushOptions", "true")
        hook = self.origin / "hooks" / "pre-receive"
        hook.write_text(f'#!/bin/sh\nenv | grep "^GIT_PUSH_OPTION_" > {self.folder}/options\n')
        hook.chmod(0o755)
        git(self.project, "remote", "add", "origin", str(self.origin))
        stub = self.folder / "bin" / "gh"
        stub.parent.mkdir()
        stub.write_text(
            f'#!/bin/sh\nprintf "%s\\n" "$@" > {self.folder}/gh-"$1-$2"\n'
            f'case "$1 $2" in\n"pr list") cat {self.folder}/known ;;\n'
            f'"pr create") cat > {self.folder}/body ;;\nesac\n'
        )
        stub.chmod(0o755)

    @property
    def origin(self) -> Path:
        return self.folder / "origin.git"

    def jobs(self) -> list[Answers]:
        baked = BakedProject(self.project, {}, {})
        return [job for name, job in jobs_of(baked).items() if name in UPDATES]

    def clone(self, name: str) -> Path:
        """Check out as forges do: the last commit alone, and on GitLab no branch."""
        place = self.folder / name
        shutil.rmtree(place, ignore_errors=True)
        git(self.folder, "clone", "--quiet", "--depth=1", f"file://{self.origin}", str(place))
        if self.ci == "gitlab":
            git(place, "checkout", "--quiet", "--detach")
        return place

    def execute(self, job: Answers, place: Path) -> int:
        """Run the commands of a job, but for the installation of uv, and return the exit code."""
        variables = {
            "PATH": os.pathsep.join([str(self.folder / "bin"), str(BIN), os.environ["PATH"]]),
            "GITHUB_OUTPUT": str(self.folder / "output"),
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary"),
            "GITHUB_REF_NAME": "main",
            "STATUS": self.status,
            "CI": "true",
            "CI_COMMIT_BRANCH": "main",
            "CI_PROJECT_URL": f"file://{self.folder}/origin",
            "TEMPLATE_UPDATE_TOKEN": "secret",
        }
        (self.folder / "known").write_text(f"{self.known}\n")
        shell = ["bash", "-e", *(["-o", "pipefail"] if self.ci == "gitlab" else [])]
        for command in commands_of(job):
            if "pip install" not in command:
                done = run(place, *shell, "-c", command, check=False, variables=variables)
                self.log = done.stdout + done.stderr
                if done.returncode:
                    return done.returncode
        return 0

    def render(self) -> int:
        """Run the first job; what it leaves behind is the artifact of the second."""
        (self.folder / "output").write_text("")
        place = self.clone("rendering")
        code = self.execute(self.jobs()[0], place)
        self.status = (self.folder / "output").read_text().strip().removeprefix("status=")
        if (place / "update.status").exists():
            self.status = (place / "update.status").read_text().strip()
        assert (place / "update.bundle").exists() == bool(self.status)
        return code

    def publish(self) -> int:
        """Run the second job, which GitHub skips where there is nothing."""
        if self.ci == "github" and not self.status:
            return 0
        place = self.clone("publishing")
        for file in (self.folder / "rendering").glob("update.*"):
            shutil.copy(file, place)
        for file in self.folder.glob("gh-*"):
            file.unlink()
        (self.folder / "options").unlink(missing_ok=True)
        return self.execute(self.jobs()[1], place)

    def request(self) -> dict[str, str] | None:
        """Return the pull or merge request that was opened: draft, target, title and body."""
        if self.ci == "github":
            if not (self.folder / "gh-pr-create").exists():
                return None
            words = (self.folder / "gh-pr-create").read_text().splitlines()
            of = dict(pairwise(words))
            found = {"target": of["--base"], "title": of["--title"]}
            found["body"] = (self.folder / "body").read_text()
            return found | ({"draft": ""} if "--draft" in words else {})
        if not (self.folder / "options").exists():
            return None
        options = re.findall(r"=merge_request\.(\w+)=?(.*)", (self.folder / "options").read_text())
        found = dict(options)
        assert found.pop("create") == ""
        # As GitLab does.
        return found | {"body": found.pop("description").replace("\\n", "\n")}

    def branches(self) -> list[str]:
        return git(self.origin, "for-each-ref", "--format=%(refname:short)", "refs/heads").split()


@pytest.fixture(scope="module")
def releases(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the template, and make two releases of it."""
    folder = tmp_path_factory.mktemp("releases") / "template"
    git(template, "clone", "--quiet", str(template), str(folder))
    git(folder, "tag", f"v{NOW}")
    for name, old, new in (
        ("cookiecutter.json", f'version": "{NOW}"', f'version": "{NEXT}"'),
        ("UPGRADING.md", f"## {NOW}", f"## {NEXT}\n\nNothing to do.\n\n## {NOW}"),
        (f"{SOURCE}/manage.py", "#!/usr/bin/env python", "#!/usr/bin/env python3"),
    ):
        text = (folder / name).read_text("utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1), "utf-8")
    commit(folder, NEXT)
    git(folder, "tag", f"v{NEXT}")
    git(folder, "tag", "v100.0.0-rc.1")
    return folder


@pytest.fixture(scope="module")
def rendered(releases: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Render a project for a forge from the first release, once, and commit it."""

    @cache
    def render(ci: str) -> Path:
        folder = str(tmp_path_factory.mktemp("rendered"))
        options = {"no_input": True, "output_dir": folder, "extra_context": {"ci": ci}}
        return committed(Path(cookiecutter(f"git+file://{releases}", f"v{NOW}", **options)))

    return render


@pytest.fixture(params=SCHEMAS)
def forge(request: pytest.FixtureRequest, rendered: Callable[[str], Path], tmp_path: Path) -> Forge:
    source = rendered(request.param)
    project = shutil.copytree(source, tmp_path / source.name, symlinks=True)
    return Forge(request.param, tmp_path, project)


@pytest.mark.slow
def test_a_release_becomes_a_request_once(forge: Forge) -> None:
    assert (forge.render(), forge.status) == (0, "0"), forge.log
    assert forge.publish() == 0, forge.log
    assert forge.branches() == ["main", f"regenerate/{NEXT}"]
    assert git(forge.origin, "rev-list", "--count", f"main..regenerate/{NEXT}").strip() == "1"
    assert "python3" in git(forge.origin, "show", f"regenerate/{NEXT}:manage.py")
    request = forge.request()
    assert request
    assert request.pop("body").startswith(f"## Template {NOW} → {NEXT}\n")
    assert request == {"target": "main", "title": f"Template {NOW} → {NEXT}"}

    # What the team has done to it since then stays, and nothing is opened again.
    git(forge.project, "fetch", "--quiet", "origin", f"regenerate/{NEXT}")
    git(forge.project, "checkout", "--quiet", "-b", "theirs", "FETCH_HEAD")
    commit(forge.project, "The team's work")
    git(forge.project, "push", "--quiet", "origin", f"theirs:regenerate/{NEXT}")
    theirs = git(forge.project, "rev-parse", "HEAD")
    forge.known = 1
    assert (forge.render(), forge.publish()) == (0, 0), forge.log
    assert forge.request() is None
    assert git(forge.origin, "rev-parse", f"regenerate/{NEXT}") == theirs

    # Merged, there is nothing to do.
    git(forge.project, "push", "--quiet", "origin", "theirs:main")
    assert (forge.render(), forge.status) == (0, ""), forge.log
    assert forge.publish() == 0, forge.log
    assert forge.request() is None


@pytest.mark.slow
def test_a_closed_request_was_a_no(forge: Forge) -> None:
    """On GitHub with or without its branch; on GitLab the branch is what tells."""
    forge.known = 1
    if forge.ci == "gitlab":
        git(forge.project, "push", "--quiet", "origin", f"main:regenerate/{NEXT}")
    before = forge.branches()
    assert (forge.render(), forge.publish()) == (0, 0), forge.log
    assert forge.branches() == before
    assert forge.request() is None


@pytest.mark.slow
@pytest.mark.parametrize("forge", ["github"], indirect=True)
def test_a_branch_without_a_request_gets_one_and_is_not_overwritten(forge: Forge) -> None:
    """As after a run that was stopped between the two; on GitLab one push does both."""
    git(forge.project, "push", "--quiet", "origin", f"main:regenerate/{NEXT}")
    assert (forge.render(), forge.publish()) == (0, 0), forge.log
    assert forge.request()
    branch, main = (git(forge.origin, "rev-parse", n) for n in (f"regenerate/{NEXT}", "main"))
    assert branch == main


@pytest.mark.slow
def test_conflicts_become_a_draft_whose_check_fails(forge: Forge) -> None:
    file = forge.project / "manage.py"
    file.write_text(file.read_text().replace("env python", "env python3.13"))
    commit(forge.project, "The team's work")
    git(forge.project, "push", "--quiet", "origin", "main")
    assert (forge.render(), forge.status) == (0, "1"), forge.log
    assert forge.publish() == 0, forge.log
    request = forge.request()
    assert request
    assert "draft" in request
    assert "### Conflicts: 1\n\n- `manage.py`: " in request["body"]
    git(forge.project, "fetch", "--quiet", "origin", f"regenerate/{NEXT}")
    git(forge.project, "checkout", "--quiet", "FETCH_HEAD")
    checked = run(forge.project, sys.executable, ".template/check.py", check=False)
    assert (checked.returncode, "CONFLICT  manage.py" in checked.stdout) == (1, True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("of", "said"),
    [
        ('"commit": "', "no commit"),
        ('"template": "', "cannot be listed"),
    ],
)
def test_what_is_refused_fails_and_publishes_nothing(of: str, said: str, forge: Forge) -> None:
    lock = forge.project / ".cruft.json"
    lock.write_text(lock.read_text("utf-8").replace(of, f"{of}0", 1), "utf-8")
    commit(forge.project, "The record is broken")
    git(forge.project, "push", "--quiet", "origin", "main")
    assert forge.render() == 2
    assert said in forge.log
    assert forge.status == ""
    assert forge.branches() == ["main"]


def load_update() -> dict[str, Any]:
    namespace: dict[str, Any] = {"__file__": "/project/.template/update.py", "__name__": "update"}
    text = (ROOT / SOURCE / ".template" / "update.py").read_text("utf-8")
    exec(compile(text, "update.py", "exec"), namespace)  # noqa: S102
    return namespace


@pytest.mark.parametrize(
    ("recorded", "in_ci", "elsewhere"),
    [
        ("https://example.com/o/t.git", None, None),
        ("gh:o/t", "https://github.com/o/t", "https://github.com/o/t"),
        ("git@example.com:o/t.git", "https://example.com/o/t.git", "ssh://git@example.com/o/t.git"),
        ("ssh://git@example.com/o/t", "https://example.com/o/t", "ssh://git@example.com/o/t"),
        ("/srv/a template", "file:///srv/a%20template", "file:///srv/a%20template"),
    ],
)
def test_an_address_is_spelled_for_uv(
    recorded: str, in_ci: str | None, elsewhere: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    assert load_update()["address_of"](recorded) == (in_ci or recorded)
    monkeypatch.delenv("CI")
    assert load_update()["address_of"](recorded) == (elsewhere or recorded)


def test_the_newest_release_is_found_by_its_numbers(tmp_path: Path) -> None:
    newest = load_update()["newest"]
    repository = committed(tmp_path)
    assert newest(str(repository)) is None
    for tag in ("v0.9.0", "0.10.0", "v0.11.0-rc.1", "nightly"):
        git(repository, "tag", tag)
    assert newest(str(repository)) == "0.10.0"
    with pytest.raises(subprocess.CalledProcessError):
        newest(str(tmp_path / "nowhere"))
