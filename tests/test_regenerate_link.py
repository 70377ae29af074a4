"""`regenerate link` takes in a project without a record, and says what differs."""

import json
import shlex
import shutil
from pathlib import Path

import pytest

from regenerate.cli import main
from regenerate.handmade import answers_in as handmade_answers
from tests.conftest import git
from tests.project import PRESETS, QUESTIONS, Bake
from tests.regenerating import Story, committed, snapshot


@pytest.fixture
def story(tmp_path: Path) -> Story:
    story = Story(tmp_path)
    story.start()
    return story


def forget(story: Story) -> None:
    git(story.project, "rm", "--quiet", ".cruft.json")
    story.commit()


def test_a_linked_project_is_as_if_it_had_been_recorded(
    story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    before = snapshot(story.project)
    forget(story)
    story.release("1.1.0", {"docs/more.md": "more\n"})
    url = f"file://{story.template}"
    assert main(["link", str(story.project), "--template", url, "--dry-run"]) == 0
    assert story.status() == ""
    assert main(["link", str(story.project), "--template", url]) == 0
    assert "files are as rendered, 0 differ, 0 are missing" in capsys.readouterr().out
    linked = json.loads(before[".cruft.json"])
    assert story.lock() == linked
    story.commit()
    assert story.update() == 0
    assert story.read("docs/more.md") == "more\n"
    assert main(["link", str(story.project), "--template", url]) == 2
    assert "is linked already" in capsys.readouterr().err


def test_it_says_what_differs(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    forget(story)
    story.edit("docs/guide.md", "paragraph 3\n", "ours\n")
    git(story.project, "rm", "--quiet", "config/settings.py")
    story.commit()
    words = ["link", str(story.project), "--template", str(story.template)]
    assert main([*words, "--to", "1.0.0", "--set", "docker=no"]) == 0
    out = capsys.readouterr().out
    assert "1 differ, 1 are missing" in out
    assert "- differs: `docs/guide.md`" in out
    assert "- missing: `config/settings.py`" in out
    assert story.answers()["docker"] is False
    assert story.lock()["template"] == str(story.template)


def test_answers_are_read_from_the_policy(bake: Bake, template: Path, tmp_path: Path) -> None:
    baked = bake(**PRESETS["tutorial"] | {"access_token_minutes": "45"})
    project = committed(shutil.copytree(baked.path, tmp_path / "project"))
    git(project, "rm", "--quiet", ".cruft.json")
    git(project, "commit", "--quiet", "--message", "Without a record")
    given = ["--set", "tutorial_contract=yes"]  # the policy has no constant of it
    assert main(["link", str(project), "--template", str(template), *given]) == 0
    lock = json.loads((project / ".cruft.json").read_text("utf-8"))
    found = lock["context"]["cookiecutter"]
    assert {q: found[q] for q in QUESTIONS} == {q: baked.answers[q] for q in QUESTIONS}
    assert lock == json.loads(baked.read(".cruft.json"))


# As the tutorial has it.
SETTINGS = """
import datetime
SECRET_KEY = compute()
INSTALLED_APPS = ["rest_framework", "rest_auth", "allauth", "allauth.account"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
REST_USE_JWT = True
JWT_AUTH = {
    "JWT_ALLOW_REFRESH": True,
    "JWT_SECRET_KEY": SECRET_KEY,
    "JWT_EXPIRATION_DELTA": datetime.timedelta(hours=1),
    "JWT_REFRESH_EXPIRATION_DELTA": datetime.timedelta(days=7),
}
"""
URLS = """
urlpatterns = [
    url(r"^rest-auth/", include("rest_auth.urls")),
    url(r"^rest-auth/registration/", include("rest_auth.registration.urls")),
    url(r"^refresh-token/", refresh_jwt_token),
    path("admin/", admin.site.urls),
]
"""


@pytest.fixture
def handmade(tmp_path: Path) -> Path:
    folder = tmp_path / "handmade"
    (folder / "api").mkdir(parents=True)
    (folder / "api" / "settings.py").write_text(SETTINGS)
    (folder / "api" / "urls.py").write_text(URLS)
    (folder / "api" / "broken.py").write_text("def\n")
    return committed(folder)


def test_of_a_project_made_by_hand_it_says_which_answers_make_its_like(
    handmade: Path, template: Path, bake: Bake, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the tutorial: its preset, but for what that leaves out of a project for trying."""
    assert main(["link", str(handmade), "--template", str(template)]) == 0
    out = capsys.readouterr().out
    (line,) = (line for line in out.splitlines() if line.startswith("    cookiecutter"))
    program, given, option, *words = shlex.split(line)
    assert (program, given, option) == ("cookiecutter", str(template), "--no-input")
    answers = dict(word.split("=", 1) for word in words)
    assert answers == {
        "access_token_minutes": "60",
        "auth_header_type": "JWT",
        "auth_url_prefix": "rest-auth",
        "database": "sqlite",
        "email_verification": "optional",
        "login_with": "username",
        "refresh_token_days": "7",
        "refresh_url": "refresh-token",
        "registration_url_prefix": "rest-auth/registration",
        "tutorial_contract": "true",
    }
    assert bake(**answers).answers["tutorial_contract"] is True
    lifetime = "- `access_token_minutes`: 60 (api/settings.py:7, JWT_AUTH.JWT_EXPIRATION_DELTA)"
    assert lifetime in out
    assert "- `registration`: open" in out
    assert git(handmade, "status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('SIMPLE_JWT = {"ACCESS_TOKEN_LIFETIME": timedelta(minutes=5)}', "access_token_minutes: 5"),
        ('SIMPLE_JWT = {"ACCESS_TOKEN_LIFETIME": timedelta(0, 60 * 7)}', "access_token_minutes: 7"),
        ('SIMPLE_JWT = {"REFRESH_TOKEN_LIFETIME": timedelta(weeks=1)}', "refresh_token_days: 7"),
        ('SIMPLE_JWT = {"AUTH_HEADER_TYPES": ("JWT", "Bearer")}', "auth_header_type: JWT"),
        (
            'SIMPLE_JWT = {"ALGORITHM": "RS256", "SIGNING_KEY": env("K")}',
            "signing_algorithm: RS256",
        ),
        ('REST_AUTH = {"USE_JWT": True, "JWT_AUTH_COOKIE": "jwt"}', "token_delivery: cookie"),
        ('REST_AUTH = {"JWT_AUTH_COOKIE": None}', "token_delivery: header"),
        ('ACCOUNT_EMAIL_VERIFICATION = "mandatory"', "email_verification: mandatory"),
        ('ACCOUNT_LOGIN_METHODS = {"email"}', "login_with: email"),
        ('ACCOUNT_LOGIN_METHODS = {"email", "username"}', "login_with: username_or_email"),
        ('ACCOUNT_AUTHENTICATION_METHOD = "username_email"', "login_with: username_or_email"),
        ('DATABASES = {"default": {"ENGINE": "a.postgresql"}}', "database: postgresql"),
        ('u = [path("api/refresh/", TokenRefreshView.as_view())]', "refresh_url: api/refresh"),
        ('u = [path("v1/", include("dj_rest_auth.urls"))]', "auth_url_prefix: v1"),
    ],
)
def test_settings_and_urls_are_read_without_running_them(
    text: str, answer: str, tmp_path: Path
) -> None:
    (tmp_path / "some.py").write_text(f"import this_is_not_installed\n{text}\n")
    committed(tmp_path)
    (found,) = handmade_answers(tmp_path)
    assert f"{found.question}: {found.value}" == answer


def test_answers_that_the_template_refuses_are_told_with_its_words(
    handmade: Path, template: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = handmade / "api" / "settings.py"
    settings.write_text(SETTINGS.replace("days=7", "days=365"))
    assert main(["link", str(handmade), "--template", str(template)]) == 1
    assert "refresh_token_days = '365'" in capfd.readouterr().out
    given = ["--set", "refresh_token_days=90"]
    assert main(["link", str(handmade), "--template", str(template), *given]) == 0
    assert "refresh_token_days=90" in capfd.readouterr().out
