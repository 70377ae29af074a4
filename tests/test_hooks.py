"""The hooks: what is refused, in which words, and that a refusal leaves nothing behind."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.project import QUESTIONS, Answers, Bake, complete, load_hook, pre_gen
from tests.variants import SAMPLES

post_gen = load_hook("post_gen_project")

DEFAULTS = complete({})
NO_PATHS = ["", "/", "//", "/api", "api/", "api//auth", "my api", "api/../auth", ".", "..", "api?x"]
NO_PATHS += ["api#x", "a\nb", "ä", "{{ 7*7 }}", "<x>", "%2e", 'a"b', "a'b", "a\\b", "p" * 101]
REFUSED: dict[str, list[str]] = {
    "project_name": [
        "", "  ", " My API", "My API ", 'He said "hi"', "a\\b", "a\nb", "a\tb", "<b>", "{x}",
        "`id`", "{{ 7*7 }}", "{% raw %}", "$HOME", "N" * 61, "\u202etxt.exe", "a\x00b", "\x1b[31m",
    ],
    "project_slug": [
        "", "SLUG-NEEDED", "My-Api", "2api", "my--api", "my_-api", "-api", "api-", "../x", "a/b",
        "/etc", ".", "..", "class", "import", "email", "json", "users", "config", "auth-core",
        "features", "django", "rest-framework", "dj_rest_auth", "pytest", "s" * 51, "naïve",
        "my api", "my.api", "{{ 7*7 }}", 'a"b', "a'b", "a\nb", "api\n",
    ],
    "frontend_url": [
        "app.example.com", "//app.example.com", "http://app.example.com", "https://",
        "https://app.example.com/", "https://app.example.com/?x=1", "https://app.example.com/#x",
        "https://user:pw@app.example.com", "https://a b.example", 'https://a".example',
        "https://a'.example", "https://app.example.com:99999", "https://app.example.com/../x",
        "ftp://app.example.com", "javascript:alert(1)", "https://App.example.com", "{{ 7*7 }}",
        "https://app.example.com\n", "https://a\\b", f"https://{'a' * 200}",
    ],
    "access_token_minutes": [
        "", "0", "-1", "1441", "015", "1.5", "1e9", "abc", " 15", "15\n", "+5", "1_0",
        "9" * 99, "\uff11\uff15",
    ],
    "refresh_token_days": ["", "0", "-1", "91", "014", "1e9", "abc", "+7", "9" * 5000],
    "auth_url_prefix": [*NO_PATHS, "admin", "admin/auth", "static", "api/schema", "api/docs/auth"],
    "registration_url_prefix": [*NO_PATHS, "health", "account/registration"],
    "refresh_url": [*NO_PATHS, ".well-known/refresh", "health/live"],
    "social_providers": [
        "facebook", "Google", "google,google", "google,github,google", "google,", ",", " ",
        "google, github", "google;github", "github,google", "google,openid-connect",
        "google\n", "{{ 7*7 }}", 'google"', "g" * 5000,
    ],
}  # fmt: skip
REFUSALS = [(question, value) for question, values in REFUSED.items() for value in values]
# Answers that are fine alone, and what the refusal of all of them says.
REFUSED_TOGETHER: list[tuple[Answers, str]] = [
    ({"email_provider": "file"}, "nobody could verify"),
    ({"access_token_minutes": "1440", "refresh_token_days": "1"}, "must end before"),
    (
        {"tutorial_contract": "true", "login_with": "email", "email_verification": "none"},
        "tutorial",
    ),
    ({"tutorial_contract": "true"}, "tutorial"),
    (
        {"tutorial_contract": "true", "email_verification": "none", "registration": "closed"},
        "tutorial",
    ),
    (
        {"tutorial_contract": "true", "email_verification": "none", "registration": "invite"},
        "tutorial",
    ),
    (
        {"registration": "invite", "email_provider": "file", "email_verification": "optional"},
        "nobody could be invited",
    ),
    (
        {"login_by_code": "true", "email_provider": "file", "email_verification": "optional"},
        "no code would arrive",
    ),
    (
        {"login_by_code": "true", "email_verification": "none"},
        "nobody would be asked to verify one",
    ),
    ({"registration_url_prefix": "api/auth/login"}, "login and registration would both"),
    ({"registration_url_prefix": "api/auth/sessions/new"}, "sessions and registration would both"),
    ({"refresh_url": "api/auth/user"}, "user and token refresh would both"),
    ({"refresh_url": "api/auth/social/x"}, "social and token refresh would both"),
    ({"refresh_url": "api/auth/registration"}, "registration and token refresh would both"),
    (
        {"registration_url_prefix": "sign-up", "refresh_url": "sign-up/resend-email"},
        "registration resend-email and token refresh would both",
    ),
]
ACCEPTED: list[Answers] = [
    *({question: value} for question, values in SAMPLES.items() for value in values),
    {"project_name": "Team 👩‍💻, naïve & co. (v2.0) 100 % 'ours'"},
    {"project_name": "می‌خواهم"},
    {"project_slug": "match"},
    {"access_token_minutes": "1440", "refresh_token_days": "2"},
    {"auth_url_prefix": "administration"},
    {"auth_url_prefix": "api", "registration_url_prefix": "api", "refresh_url": "api/refresh"},
    {"auth_url_prefix": "a/b", "registration_url_prefix": "a", "refresh_url": "a/b/c"},
    {"registration_url_prefix": "api/auth/loginx"},
    {"email_provider": "file", "email_verification": "optional"},
]


def shortened(value: object) -> str:
    return str(value)[:30]


@pytest.mark.parametrize(("question", "value"), REFUSALS, ids=shortened)
def test_an_impossible_value_is_refused_with_an_example_that_would_do(
    question: str, value: str
) -> None:
    answers = {**DEFAULTS, question: value}
    (problem,) = pre_gen.problems(answers)
    assert problem.given == {question: value}
    assert problem.why
    assert pre_gen.problems({**answers, **problem.example}) == []


@pytest.mark.parametrize(("together", "words"), REFUSED_TOGETHER, ids=shortened)
def test_impossible_pairs_are_refused_with_an_example_that_would_do(
    together: Answers, words: str
) -> None:
    answers = {**DEFAULTS, **together}
    (problem,) = pre_gen.problems(answers)
    assert words in problem.why
    assert problem.given.items() <= answers.items()
    assert len(problem.given) == 2
    assert pre_gen.problems({**answers, **problem.example}) == []


@pytest.mark.parametrize("some", ACCEPTED, ids=shortened)
def test_a_possible_answer_is_accepted(some: Answers) -> None:
    assert pre_gen.problems({**DEFAULTS, **some}) == []


def test_a_bad_prefix_that_others_begin_with_is_told_once() -> None:
    answers = {**DEFAULTS, "auth_url_prefix": "/api"}
    answers |= {
        "registration_url_prefix": "/api/registration",
        "refresh_url": "/api/token/ refresh",
    }
    assert [list(problem.given) for problem in pre_gen.problems(answers)] == [
        ["auth_url_prefix"],
        ["refresh_url"],
    ]


def test_every_dependency_of_every_variant_is_refused_as_a_slug(bake: Bake) -> None:
    slugs: set[str] = set()
    for provider in ("postmark", "mailgun"):
        text = bake(database="postgresql", email_provider=provider, social_providers="google").read(
            "pyproject.toml"
        )
        declared = tomllib.loads(text)
        lines = declared["project"]["dependencies"] + declared["dependency-groups"]["dev"]
        slugs |= {re.split("[^a-z0-9-]", line)[0] for line in lines}
    assert {"django-anymail", "pytest"} < slugs
    assert {slug for slug in slugs if not pre_gen.slug_fault(slug)} == set()


def test_every_package_of_the_project_is_refused_as_a_slug(bake: Bake) -> None:
    project = bake()
    names = {file.parent.name for file in project.path.glob("*/__init__.py")}
    names |= {file.stem for file in project.path.glob("*.py")}
    assert "auth_core" in names
    assert {name for name in names if not pre_gen.slug_fault(name)} == set()


def test_the_endpoints_that_are_served_are_those_that_the_hook_knows(bake: Bake) -> None:
    """What urls.py places under the prefixes is what collisions are looked for in."""
    source = bake().read("auth_core/urls.py")
    for prefix, known in (
        ("AUTH", pre_gen.AUTH_ENDPOINTS),
        ("REGISTRATION", pre_gen.REGISTRATION_ENDPOINTS),
    ):
        served = {path.strip("/") for path in re.findall(rf'f"{{{prefix}}}(/[^"]*)"', source)}
        assert served
        roots = {name.strip("/") for name in known if name.endswith("/")}
        unknown = {path for path in served if path not in known and path.split("/")[0] not in roots}
        assert unknown == set()


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"project_name": 'He said "hi"'}, "project_name"),
        ({"project_name": "a\\b"}, "project_name"),
        ({"project_name": "a\nb"}, "project_name"),
        ({"project_name": "{{ 7*7 }}"}, "project_slug = '49'"),
        ({"project_name": "🚀"}, "no letter to make a slug of"),
        ({"project_slug": "../x"}, "'../x'"),
        ({"project_slug": "class"}, "keyword"),
        ({"project_slug": "json"}, "standard library"),
        ({"project_slug": "{{ 7*7 }}"}, "'49'"),
        *(({"access_token_minutes": v}, "to 1440") for v in ("0", "-1", "1e9", "abc")),
        *(({"auth_url_prefix": v}, "auth_url_prefix") for v in ("/", "//", "my api", "/api")),
        ({"refresh_url": "{{ cookiecutter.auth_url_prefix }}/login"}, "login and token refresh"),
        ({"frontend_url": "app.example.com"}, "https://app.example.com"),
        ({"email_provider": "file"}, "nobody could verify"),
    ],
    ids=shortened,
)
def test_cookiecutter_stops_before_anything_is_written(
    bad: Answers, words: str, template: Path, tmp_path: Path
) -> None:
    output = tmp_path / "nested" / "output"
    done = cookiecutter(template, output, *(f"{name}={value}" for name, value in bad.items()))
    assert done.returncode == 1
    assert "Nothing was rendered" in done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr.split("What follows is cookiecutter's")[0]
    assert [path for path in tmp_path.rglob("*") if path not in (output.parent, output)] == []


def test_all_problems_are_told_at_once(template: Path, tmp_path: Path) -> None:
    bad = ["project_slug=class", "access_token_minutes=0", "frontend_url=x", "email_provider=file"]
    done = cookiecutter(template, tmp_path, *bad)
    assert "4 problems" in done.stderr
    assert all(each.split("=")[0] in done.stderr for each in bad)
    assert "\x1b" not in done.stderr


def test_what_is_typed_at_the_prompts_is_data(template: Path, tmp_path: Path) -> None:
    """At a prompt nothing is rendered: `{{ 7*7 }}` arrives as it stands, and is refused as such."""
    typed = ["{{ 7*7 }}", "typed-api"]
    done = cookiecutter(template, tmp_path, typed="\n".join(typed) + "\n" * len(QUESTIONS))
    assert done.returncode == 1
    assert "project_name = '{{ 7*7 }}'" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_empty_slug_writes_nothing(template: Path, tmp_path: Path) -> None:
    done = cookiecutter(template, tmp_path, "project_slug=")
    assert done.returncode == 1
    assert list(tmp_path.iterdir()) == []


def test_the_report_escapes_what_a_terminal_would_obey() -> None:
    (problem,) = pre_gen.problems({**DEFAULTS, "project_name": "\x1b]0;x\x07\x9b31m\u202e"})
    report = pre_gen.report([problem], colour=False)
    assert report.replace("\n", "").isprintable()


def test_the_report_is_red_where_colour_is_welcome() -> None:
    found = pre_gen.problems({**DEFAULTS, "access_token_minutes": "0"})
    assert pre_gen.report(found, colour=True).startswith("\x1b[31m")


def test_next_steps_are_printed_and_can_be_silenced(template: Path, tmp_path: Path) -> None:
    loud = cookiecutter(template, tmp_path, "auth_url_prefix=v1/auth", TEMPLATE_REGENERATE="")
    assert "my-api is ready:" in loud.stdout
    (line,) = re.findall(r"^  curl .*", loud.stdout, re.MULTILINE)
    assert "http://127.0.0.1:8000/v1/auth/registration/ " in line
    assert json.loads(line.split("-d '")[1].rstrip("'"))["username"] == "ada"
    quiet = cookiecutter(template, tmp_path, "project_slug=quiet-api", TEMPLATE_REGENERATE="1")
    assert quiet.stdout == ""


@pytest.mark.parametrize(
    ("answers", "words", "absent"),
    [
        ({"login_with": "email"}, '"email"', '"username"'),
        ({"registration": "closed"}, "make admin", "curl"),
        ({"registration": "invite"}, "make admin      who invites", "curl"),
    ],
    ids=shortened,
)
def test_next_steps_follow_the_answers(answers: Answers, words: str, absent: str) -> None:
    steps = post_gen.next_steps({**DEFAULTS, **answers})
    assert words in steps
    assert absent not in steps


def cookiecutter(
    template: Path, output: Path, *answers: str, typed: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the command as a person would; `typed` is what is typed at the prompts."""
    command = [sys.executable, "-m", "cookiecutter", str(template), "-o", str(output)]
    return subprocess.run(
        [*command, *([] if typed else ["--no-input"]), *answers],
        input=typed,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
