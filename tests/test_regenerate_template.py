"""`regenerate update` on the template itself: any answers to any others, and killed at any time."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from regenerate.cli import main
from tests.conftest import git
from tests.project import QUESTIONS, Bake, run
from tests.regenerating import commit, committed, release_of_ours, render, snapshot
from tests.variants import VARIANTS

pytestmark = pytest.mark.slow

# The other transitions and moments are tried at night: TRANSITIONS=60.
SOME = int(os.environ.get("TRANSITIONS", "9"))
PAIRS = list(permutations(VARIANTS, 2))
TRANSITIONS = [
    pytest.param(old, new, id=f"{old} to {new}") for old, new in PAIRS[:: len(PAIRS) // SOME]
]


Update = Callable[..., int]


@pytest.fixture
def project(tmp_path: Path, bake: Bake, request: pytest.FixtureRequest) -> Path:
    """Return a committed project with the answers that the test is parametrised with."""
    given = VARIANTS[request.getfixturevalue("old")] if "old" in request.fixturenames else {}
    folder = tmp_path / "project"
    shutil.copytree(bake(**given).path, folder)
    return committed(folder)


@pytest.fixture
def update(project: Path, template: Path) -> Update:
    """Update the project from the template that it was rendered from."""
    return lambda *words: main(["update", str(project), "--template", str(template), *words])


def words(answers: dict[str, Any]) -> list[str]:
    return [word for name, value in answers.items() for word in ("--set", f"{name}={value}")]


@pytest.mark.parametrize(("old", "new"), TRANSITIONS)
def test_other_answers_make_a_fresh_render_and_the_old_ones_bring_it_back(
    old: str, new: str, project: Path, bake: Bake, update: Update
) -> None:
    before, fresh = bake(**VARIANTS[old]), bake(**VARIANTS[new])
    first = snapshot(project)
    assert update(*words({q: fresh.answers[q] for q in QUESTIONS})) == 0
    folder = shutil.copytree(fresh.path, project.parent / "fresh")
    assert snapshot(project) == snapshot(committed(folder))
    commit(project, "Other answers")
    assert update() == 0
    assert git(project, "status", "--porcelain") == ""
    assert update(*words({q: before.answers[q] for q in QUESTIONS})) == 0
    assert snapshot(project) == first
    assert git(project, "diff", "HEAD~1", "--") == ""


def test_answers_that_cannot_work_are_refused_in_the_templates_words(
    project: Path, update: Update, capfd: pytest.CaptureFixture[str]
) -> None:
    given = words({"access_token_minutes": "9999", "refresh_token_days": "0"})
    assert update(*given) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert "access_token_minutes = '9999'\n    must be a whole number from 1 to 1440" in err
    assert "refresh_token_days = '0'" in err
    assert "Traceback" not in err
    assert "cookiecutter's" not in err
    assert git(project, "status", "--porcelain") == ""


@pytest.mark.parametrize("number", range(0, 20, -(-60 // SOME)))
def test_a_kill_at_any_moment_leaves_all_or_nothing(
    number: int, project: Path, template: Path, update: Update
) -> None:
    """At moments spread over the whole run; the last step goes on by itself, and to its end."""
    command = [sys.executable, "-m", "regenerate", "update", str(project), "--dry-run"]
    command += ["--template", str(template)]
    changes = words({"token_delivery": "both", "registration": "invite", "frontend_url": ""})
    before, head = snapshot(project), git(project, "rev-parse", "HEAD")
    start = time.perf_counter()
    subprocess.run([*command, *changes], check=True, capture_output=True)
    seconds = time.perf_counter() - start
    command.remove("--dry-run")
    with subprocess.Popen(
        [*command, *changes], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0
    ) as process:
        time.sleep(seconds * (number + 1) / 20)
        os.killpg(process.pid, (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)[number % 3])
    lock = project / ".git" / "index.lock"
    while lock.exists():
        time.sleep(0.01)
    assert git(project, "rev-parse", "HEAD") == head
    assert git(project, "fsck", "--no-dangling", "--no-progress") == ""
    if git(project, "status", "--porcelain") == "":
        assert snapshot(project) == before
        assert update(*changes) == 0
    after = snapshot(project)
    assert git(project, "diff", "--name-only") == ""
    git(project, "reset", "--quiet", "--hard")
    assert snapshot(project) == before
    assert update(*changes) == 0
    assert snapshot(project) == after


# What a team does at each extension point: a text of a file is replaced, or a file is written.
EDITS = [
    (
        "users/models.py",
        "    objects: ",
        '    nickname = models.CharField(max_length=40, default="", blank=True)\n\n    objects: ',
    ),
    ("users/serializers.py", "Meta.fields,)", 'Meta.fields, "nickname")'),
    (
        "config/urls.py",
        "import URLPattern, URLResolver",
        "import URLPattern, URLResolver, include, path",
    ),
    (
        "config/urls.py",
        '# path("api/orders/", include("orders.urls"))',
        'path("shop/", include("shop.urls"))',
    ),
    ("pyproject.toml", "    # Yours.\n", '    # Yours.\n    "sqlparse>=0.5",\n'),
    (
        "pyproject.toml",
        'testpaths = ["auth_core"',
        'pythonpath = ["src"]\ntestpaths = ["src/auth_core"',
    ),
    (
        "manage.py",
        'if __name__ == "__main__":\n',
        'if __name__ == "__main__":\n    sys.path.append("src")\n',
    ),
    ("README.md", "# My API\n", "# Our shop\n"),
]
FILES = {
    "config/settings_team.py": (
        "from auth_core.settings import INSTALLED_APPS\n\n"
        'INSTALLED_APPS += ["shop"]\n'
        "USE_THOUSAND_SEPARATOR = True\n"
    ),
    "users/migrations/0002_user_nickname.py": (
        "from django.db import migrations, models\n\n\n"
        "class Migration(migrations.Migration):\n"
        '    dependencies = [("users", "0001_initial")]\n'
        "    operations = [\n"
        "        migrations.AddField(\n"
        '            "user", "nickname", models.CharField(blank=True, default="", max_length=40)\n'
        "        )\n"
        "    ]\n"
    ),
    "shop/__init__.py": "",
    "shop/urls.py": (
        "from django.urls import path\n"
        "from rest_framework.response import Response\n"
        "from rest_framework.views import APIView\n\n\n"
        "class Shop(APIView):\n"
        "    def get(self, request):\n"
        '        return Response({"buyer": request.user.nickname})\n\n\n'
        'urlpatterns = [path("", Shop.as_view())]\n'
    ),
    "tests/test_shop.py": (
        "def test_a_buyer_has_a_nickname(api, account):\n"
        '    assert api.get("/shop/").status == 401\n'
        "    client = account.log_in()\n"
        '    assert client.patch("rest_user_details", {"nickname": "Ann"}).status == 200\n'
        '    assert client.get("/shop/").body == {"buyer": "Ann"}\n'
    ),
}


def work(project: Path, edits: Iterable[tuple[str, str, str]], files: Mapping[str, str]) -> None:
    """Write files, and replace a text in others."""
    for name, text in files.items():
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text(text, "utf-8")
    for name, old, new in edits:
        text = (project / name).read_text("utf-8")
        assert old in text, name
        (project / name).write_text(text.replace(old, new, 1), "utf-8")


def customise(project: Path) -> None:
    """Work as a team does, with auth_core/ moved as a whole."""
    work(project, EDITS, FILES)
    (project / "src").mkdir()
    git(project, "mv", "auth_core", "src/auth_core")
    git(project, "rm", "--quiet", "docs/asvs.md")
    commit(project, "The team's work")


def test_a_teams_work_survives_an_update_across_two_versions(
    template: Path, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At every extension point; and the project still works."""
    source = tmp_path / "template"
    git(tmp_path, "clone", "--quiet", str(template), str(source))
    git(source, "tag", "v0.1.0")
    render(source, tmp_path, "v0.1.0")
    project = committed(tmp_path / "my-api")
    customise(project)
    release_of_ours(source, "0.2.0")
    release_of_ours(source, "0.3.0")

    team = ("users", "tests", "shop", "config")
    mine = {n: b for n, b in snapshot(project).items() if n.startswith(team)}
    given = {"access_token_minutes": "5", "token_delivery": "both"}
    assert main(["update", str(project), "--template", str(source), *words(given)]) == 0
    assert "`users/models.py` is yours and stays" in capsys.readouterr().out
    after = snapshot(project)
    assert {n: b for n, b in after.items() if n.startswith(team)} == mine
    assert "docs/asvs.md" not in after
    assert after["README.md"].startswith(b"# Our shop\n")
    assert after["Makefile"].endswith(b"# 0.2.0\n\n# 0.3.0\n")
    assert b"sqlparse" in after["pyproject.toml"]

    fresh = render(source, tmp_path / "fresh", "v0.3.0", **given)
    owned = {n: b for n, b in snapshot(committed(fresh)).items() if n.startswith("auth_core/")}
    assert "auth_core/http/new3.py" in owned
    moved = {n.removeprefix("src/"): b for n, b in after.items() if n.startswith("src/auth_core/")}
    assert moved == owned
    commit(project, "Updated")
    assert main(["check", str(project)]) == 0

    python = home / "bin" / "python"
    run(project, python, "-m", "auth_core.secrets_file", ".env", variables={"PYTHONPATH": "src"})
    run(project, python, "manage.py", "check", "--fail-level", "WARNING")
    run(project, python, "manage.py", "makemigrations", "--check", "--dry-run")
    contract = "src/auth_core/contract"
    files = ("test_life_of_a_user.py", "test_rev.py", "test_cfg.py")
    paths = ("tests", "users", *(f"{contract}/{name}" for name in files))
    done = run(project, python, "-m", "pytest", "-q", "-p", "no:xdist", "-m", "not slow", *paths)
    assert " passed" in done.stdout
