"""Free text that nobody would think of: refused in words that help, or a project that answers.

HYPOTHESIS_PROFILE=nightly tries more of it.
"""

import os
import tomllib
from pathlib import Path
from typing import Final

import pytest
from cookiecutter.exceptions import CookiecutterException
from cookiecutter.main import cookiecutter
from hypothesis import HealthCheck, Phase, assume, example, given, note, settings
from hypothesis import strategies as st

from tests.project import QUESTIONS, ROOT, Answers, Bake, BakedProject, complete, pre_gen
from tests.variants import SAMPLES, command_of

IS_NIGHTLY: Final = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
# The same examples every time, and nothing kept of them: a failure is one for everybody.
REPEATABLE: Final = settings(
    derandomize=not IS_NIGHTLY,
    database=None,
    deadline=None,
    print_blob=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
FREE_TEXT: Final = [name for name, value in QUESTIONS.items() if isinstance(value, str)]
HOSTILE: Final = [
    *r"""
    " ' \ ` $ < > { } {{7*7}} {%raw%} {#x#} .. . / // /etc ~ - -- _ % %2e %s # ? & ; : @ = | * +
    https:// http:// localhost 127.0.0.1 :443 app.example.com user:pw@ javascript: api auth admin
    login logout sessions registration verify-email resend-email token refresh health static
    account .well-known docs schema class json django con nul My API ä ß İ Я ع 中 🚀 0 1 15 90
    1440 1441 9999999999 1e9 '''
    """.split(),
    *" \n\r\t\0\x1b\x7f\u2028\u202e\u200d\ufeff\u0301",
    *"\uff11\u0661",  # digits, though not ASCII
]

any_text = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=250),
    st.lists(st.sampled_from(HOSTILE), max_size=8).map("".join),
    st.lists(st.sampled_from(HOSTILE), max_size=30).map("/".join),
    st.builds(str.__mul__, st.sampled_from(HOSTILE), st.integers(0, 120)),
)
any_answers = st.dictionaries(st.sampled_from(FREE_TEXT), any_text, min_size=1, max_size=3)


@settings(REPEATABLE, max_examples=20_000 if IS_NIGHTLY else 1_500)
@given(some=any_answers)
@example(some={"auth_url_prefix": "/admin"})
@example(some={"auth_url_prefix": "admin//x"})
@example(some={"refresh_url": f"static/{'x' * 93}"})
@example(some={"auth_url_prefix": "p" * 87})
@example(some={"auth_url_prefix": "p" * 100})
def test_any_text_is_accepted_or_refused_with_advice_that_helps(some: Answers) -> None:
    answers = complete(some)
    note(command_of(some))
    # Advice on one answer may bring to light that two of them do not go together.
    for _ in range(3):
        found = pre_gen.problems(answers)
        for problem in found:
            assert problem.given.items() <= answers.items()
            assert problem.why
            assert problem.example.keys() <= problem.given.keys()
            report = pre_gen.report([problem], colour=False)
            assert report.replace("\n", "").isprintable()
            assert all(name in report for name in problem.given)
            again = pre_gen.problems(complete(problem.example))
            alone = {each.why for each in again if len(each.given) == 1}
            assert alone == set(), f"{problem} advises what is refused"
        for problem in found:
            answers |= problem.example
    assert pre_gen.problems(answers) == []


@pytest.mark.parametrize(
    "some",
    [
        {"project_name": "a\0b\u202e"},
        {"project_name": "N" * 200, "project_slug": "s" * 51},
        {"project_slug": ".."},
        {"project_slug": "naïve '\"\\api"},
        {"auth_url_prefix": "{% raw %}", "refresh_url": "a\nb"},
        {"frontend_url": "https://a.example/'''\"\"\"", "access_token_minutes": "\u0661\u0665"},
    ],
    ids=ascii,
)
def test_what_is_refused_leaves_nothing(some: Answers, template: Path, tmp_path: Path) -> None:
    (tmp_path / "output").mkdir()
    escaped = {name: f"{{{{ {value!r} }}}}" for name, value in some.items()}
    with pytest.raises(CookiecutterException):
        cookiecutter(
            str(template), no_input=True, extra_context=escaped, output_dir=str(tmp_path / "output")
        )
    assert [path.name for path in tmp_path.rglob("*")] == ["output"]


def joined(separator: str, words: st.SearchStrategy[str], most: int) -> st.SearchStrategy[str]:
    return st.lists(words, min_size=1, max_size=12).map(lambda w: separator.join(w)[:most])


SMALL: Final = "abcdefghijklmnopqrstuvwxyz0123456789"
segments = st.text(SMALL + SMALL.upper() + "_-~.", min_size=1, max_size=40)
paths = joined("/", segments, pre_gen.MAX_PREFIX).filter(
    lambda path: not pre_gen.path_fault(path) and not pre_gen.owner_of(path)
)
slugs = joined("-", st.text(SMALL + "_", min_size=1, max_size=50), pre_gen.MAX_SLUG).filter(
    lambda slug: not pre_gen.slug_fault(slug)
)
names = st.text(
    st.characters(exclude_categories=["C", "Zl", "Zp"], exclude_characters='"\\{}<>`$'),
    min_size=1,
    max_size=pre_gen.MAX_NAME,
).filter(lambda name: not list(pre_gen.project_name({"project_name": name})))
labels = st.text(SMALL + "-", min_size=1, max_size=30)
urls = st.builds(
    "https://{}:{}/{}".format, joined(".", labels, 90), st.integers(1, pre_gen.MAX_PORT), paths
).filter(lambda url: not pre_gen.url_fault(url))


@st.composite
def possible_answers(draw: st.DrawFn) -> Answers:
    """Draw what the hooks accept; prefixes are often nested within each other."""
    auth = draw(paths)
    near = st.one_of(paths, paths.map(lambda path: f"{auth}/{path}"), st.just(auth))
    above = st.sampled_from([auth[:i] for i, sign in enumerate(auth) if sign == "/"] or [auth])
    some: Answers = {
        "project_name": draw(names),
        "project_slug": draw(slugs),
        "frontend_url": draw(st.just("") | urls),
        "access_token_minutes": str(draw(st.integers(1, pre_gen.MAX_MINUTES))),
        "refresh_token_days": str(draw(st.integers(1, pre_gen.MAX_DAYS))),
        "auth_url_prefix": auth,
        "registration_url_prefix": draw(near | above),
        "refresh_url": draw(near),
        "social_providers": draw(st.sampled_from(["", *SAMPLES["social_providers"]])),
    }
    assume(not pre_gen.problems(complete(some)))
    return some


LONGEST: Final = {
    "project_name": "'" * pre_gen.MAX_NAME,
    "project_slug": "s" * pre_gen.MAX_SLUG,
    "frontend_url": f"https://{'a' * (pre_gen.MAX_URL - 8)}",
    "access_token_minutes": str(pre_gen.MAX_MINUTES),
    "refresh_token_days": str(pre_gen.MAX_DAYS),
    "auth_url_prefix": "p" * pre_gen.MAX_PREFIX,
    "registration_url_prefix": "p" * pre_gen.MAX_PREFIX,
    "refresh_url": "~" * pre_gen.MAX_PREFIX,
    "social_providers": ",".join(pre_gen.SOCIAL_PROVIDERS),
}


@pytest.mark.slow
def test_what_is_accepted_is_a_project_that_answers(bake: Bake, home: Path) -> None:
    # Not shrunk, which would render hundreds: the command that is printed says all.
    @settings(
        REPEATABLE, max_examples=100 if IS_NIGHTLY else 5, phases=[Phase.explicit, Phase.generate]
    )
    @given(some=possible_answers())
    @example(some=LONGEST)
    def answers(some: Answers) -> None:
        note(command_of(some))
        # As on the command line, where cookiecutter renders what is given.
        check(bake(**some), home)

    answers()


def check(project: BakedProject, home: Path) -> None:
    for name, text in project.texts():
        if name.endswith(".py"):
            compile(text, name, "exec", dont_inherit=True)
    declared = tomllib.loads(project.read("pyproject.toml"))["project"]
    assert declared["name"] == project.answers["project_slug"]
    assert declared["description"] == project.answers["project_name"]
    project.make(".env", home)
    auth, registration, refresh = (project.answers[name] for name in pre_gen.URL_QUESTIONS)
    posted = [f"/{path}/=405" for path in (f"{auth}/login", registration, refresh)]
    script = ROOT / "tests" / "inside" / "prefixes.py"
    project.run(home / "bin" / "python", "-W", "error", script, *posted, "/health/live=200")
