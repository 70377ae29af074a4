"""What is rendered: the right files, whole, clean and the same every time, for every answer."""

import json
import os
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Mapping
from fnmatch import fnmatch
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import git
from tests.project import (
    COOKIECUTTER,
    DEFAULTS,
    PRESETS,
    QUESTIONS,
    ROOT,
    SOURCE,
    Bake,
    BakedProject,
)
from tests.variants import ROWS, VARIANTS

OPTIONAL: dict[str, dict[str, list[Any]]] = COOKIECUTTER["_optional"]
STAMPED = {".cruft.json", ".template/manifest.json"}
# The same tables everywhere; each names what it is about.
STATEMENTS = {"docs/asvs.md", "docs/conformance.md"}
# Words that tell of an answer: outside of auth_core/ they stand with it, and with no other.
TRACES: dict[str, dict[str, list[Any]]] = {
    "psycopg": {"database": ["postgresql"]},
    "invitation": {"registration": ["invite"]},
    "anymail": {"email_provider": ["postmark", "mailgun"]},
    "postmark": {"email_provider": ["postmark"]},
    "mailgun": {"email_provider": ["mailgun"]},
    "pwned": {"breached_passwords": [True]},
    "cookies.txt": {"token_delivery": ["cookie"]},
    "api-key": {"api_keys": [True]},
    "login/code": {"login_by_code": [True]},
    "login_by_code": {"login_by_code": [True]},
    "/account/": {"frontend_url": [""]},
    "jwks": {"signing_algorithm": ["EdDSA", "ES256", "RS256"]},
    "totp": {"mfa": ["totp", "totp_and_passkeys"]},
    "qrcode": {"mfa": ["totp", "totp_and_passkeys"]},
    "passkey": {"mfa": ["totp_and_passkeys"]},
    "fido2": {"mfa": ["totp_and_passkeys"]},
    "tutorial": {"tutorial_contract": [True]},
    ".github/workflows": {"ci": ["github"]},
    ".gitlab-ci.yml": {"ci": ["gitlab"]},
    "dockerfile": {"container": [True]},
    "kubernetes": {"container": [True]},
    "prometheus": {"metrics": [True]},
    "metrics_address": {"metrics": [True]},
    "monitoring/": {"metrics": [True]},
    "postgres_password=": {"container": [True]},
    "template_update_token": {"ci": ["github", "gitlab"]},
}
SOCIAL = OPTIONAL["auth_core/features/social"]["social_providers"]
TRACES |= {
    "oidc-provider-mock": {"social_providers": SOCIAL},
    "urllib3": {"social_providers": SOCIAL},
    **{
        f"{name}_client_id": {"social_providers": [it for it in SOCIAL if name in it]}
        for name in ("google", "github", "openid_connect")
    },
}
BIN = Path(sys.executable).parent


Variant = Callable[[str], BakedProject]


@pytest.fixture(scope="module")
def variant(bake: Bake) -> Variant:
    """Give one of the variants, rendered once for all tests here: they only read."""
    return cache(lambda name: bake(**VARIANTS[name]))


# For a quick answer every second row will do.
LATER = {row.name for row in ROWS[1::2]}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=[pytest.mark.slow] if name in LATER else []) for name in VARIANTS
    ],
)
def project(request: pytest.FixtureRequest, variant: Variant) -> BakedProject:
    return variant(request.param)


def is_chosen(answers: Mapping[str, Any], kept: dict[str, list[Any]]) -> bool:
    return all(answers[question] in values for question, values in kept.items())


def not_chosen(answers: Mapping[str, Any]) -> list[str]:
    return [path for path, kept in OPTIONAL.items() if not is_chosen(answers, kept)]


def test_every_feature_is_optional(template: Path) -> None:
    """Else it is left behind in every project, and nothing here would ask for its absence."""
    folders = (template / SOURCE / "auth_core" / "features").iterdir()
    features = {f"auth_core/features/{folder.name}" for folder in folders if folder.is_dir()}
    assert features
    assert features <= set(OPTIONAL)


def test_every_optional_path_is_one_of_the_sources(template: Path) -> None:
    """Pruning does not ask: the folder of one entry may be gone with that of another."""
    assert [path for path in OPTIONAL if not (template / SOURCE / path).exists()] == []


def test_optional_paths_and_their_questions_are_in_order() -> None:
    """The hook's tag sorts them; else `.cruft.json` would change when cruft writes it."""
    assert list(OPTIONAL) == sorted(OPTIONAL)
    assert [path for path, kept in OPTIONAL.items() if list(kept) != sorted(kept)] == []


def test_every_optional_path_is_there_in_some_variant_and_not_in_another() -> None:
    """Else an entry of the table could be wrong without any test noticing."""
    absent = [set(not_chosen(DEFAULTS | answers)) for answers in VARIANTS.values()]
    assert set.union(*absent) == set(OPTIONAL)
    assert set.intersection(*absent) == set()


def test_exactly_the_chosen_files_are_there(project: BakedProject, template: Path) -> None:
    sources = git(template, "ls-files", "-z", "--", f":(literal){SOURCE}").split("\0")
    names = {name.removeprefix(f"{SOURCE}/") for name in filter(None, sources)}
    # A name like {{'pyproject.toml'}} keeps tools from reading an unrendered file.
    every = {re.sub(r"\{\{'(.*)'\}\}", r"\1", name) for name in names} | STAMPED
    pruned = [re.compile(rf"{re.escape(path)}(/|$)") for path in not_chosen(project.answers)]
    kept = {name for name in every if not any(path.match(name) for path in pruned)}
    assert project.files() == kept


def test_nothing_that_was_not_chosen_is_named(project: BakedProject) -> None:
    absent = not_chosen(project.answers)
    names = {name for path in absent for name in (path, path.replace("/", "."))}
    naming = {file: set(filter(partial(stands_in, text), names)) for file, text in project.texts()}
    # The lock records the table of what is optional, as it does the answers; the check looks
    # into folders that a team may have made itself.
    recorded, _ = naming.pop(".cruft.json"), naming.pop(".template/check.py")
    assert recorded >= set(absent)
    assert {file: names for file, names in naming.items() if names} == {}


def stands_in(text: str, name: str) -> bool:
    """Not as the end of another name: .github is a folder, providers.github a module."""
    return name in text and bool(re.search(rf"(?<!\w){re.escape(name)}\b", text))


def test_an_answer_leaves_its_traces_and_no_others(project: BakedProject) -> None:
    texts = {
        name: text.lower()
        for name, text in project.texts()
        if name not in STAMPED | STATEMENTS and not name.startswith("auth_core/")
    }
    for word, kept in TRACES.items():
        naming = {name for name, text in texts.items() if word in text}
        assert bool(naming) == is_chosen(project.answers, kept), f"{word} stands in {naming}"


def test_every_link_leads_to_a_file(project: BakedProject) -> None:
    for name, text in project.texts():
        if name.endswith(".md"):
            for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
                assert (project.path / name).parent.joinpath(link).exists(), f"{name}: {link}"


def test_every_file_belongs_to_exactly_one_room(project: BakedProject) -> None:
    rooms = {room: COOKIECUTTER[room] for room in ("_owned", "_seed", "_shared")}
    for name in project.files():
        homes = [room for room, each in rooms.items() if any(fnmatch(name, p) for p in each)]
        assert len(homes) == 1, f"{name} belongs to {homes}"


def test_no_template_tag_is_left(project: BakedProject) -> None:
    for name, text in project.texts():
        if name not in STAMPED:
            assert not re.search(r"\{\{ ?cookiecutter|cookiecutter\.[a-z_]+ ?\}\}", text), name
        # Django's templates have tags of their own.
        if not name.endswith((".html", ".txt", ".json")):
            assert not re.search(r"\{%-? ?(if|else|endif|set|raw|endraw|for)\b", text), name


def test_every_file_parses(project: BakedProject) -> None:
    for name, text in project.texts():
        parse(name, text)
        assert "\r" not in text, name
        assert text == "" or text.endswith("\n"), name


@cache
def parse(name: str, text: str) -> None:
    """Most files are the same in all variants."""
    if name.endswith(".py"):
        compile(text, name, "exec", dont_inherit=True)
    elif name.endswith(".json"):
        json.loads(text)


def test_the_answers_arrive_whole(project: BakedProject) -> None:
    declared = tomllib.loads(project.read("pyproject.toml"))["project"]
    assert declared["name"] == project.answers["project_slug"] == project.path.name
    assert declared["description"] == project.answers["project_name"]
    recorded = json.loads(project.read(".cruft.json"))["context"]["cookiecutter"]
    assert {name: recorded[name] for name in QUESTIONS} == {
        name: project.answers[name] for name in QUESTIONS
    }
    policy: dict[str, Any] = {}
    exec(compile(project.read("auth_core/policy.py"), "policy.py", "exec"), policy)  # noqa: S102
    for name in QUESTIONS.keys() & {key.lower() for key in policy}:
        assert str(policy[name.upper()]) == str(project.answers[name]), name


def test_it_is_lint_clean(project: BakedProject) -> None:
    project.run(BIN / "ruff", "format", "--check", "--no-cache", ".")
    project.run(BIN / "ruff", "check", "--no-cache", ".")


def test_the_manifest_hashes_every_owned_file(project: BakedProject) -> None:
    manifest = json.loads(project.read(".template/manifest.json"))
    patterns, files = COOKIECUTTER["_owned"], project.files() - STAMPED
    owned = {name for name in files if any(fnmatch(name, pattern) for pattern in patterns)}
    assert "auth_core/policy.py" in owned
    assert manifest["template_version"] == COOKIECUTTER["_template_version"]
    assert list(manifest["files"]) == sorted(owned)
    for name in owned:
        assert manifest["files"][name] == sha256((project.path / name).read_bytes()).hexdigest()


def test_no_name_is_illegal_on_windows(project: BakedProject) -> None:
    devices = {"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(10))}
    for name in project.files():
        assert not re.search(r'[<>:"\\|?*\x00-\x1f]|[. ](/|$)', name), name
        assert not devices & {part.split(".")[0].lower() for part in name.split("/")}, name


def test_no_secret_is_in_a_tracked_file(project: BakedProject) -> None:
    assert not (project.path / ".env").exists()
    assert re.findall(r"^[^#\n].*", project.read(".env.example"), re.MULTILINE) == []
    for name, text in project.texts():
        if name not in STAMPED:
            # Nothing that looks random: long, with digits and letters of both cases.
            found = re.findall(r"(?<![\w./-])[A-Za-z0-9_+-]{32,}(?![\w./-])", text)
            kinds = ("[0-9]", "[a-z]", "[A-Z]", "^(?!.*abcdef)")  # an alphabet is none
            assert [w for w in found if all(re.search(kind, w) for kind in kinds)] == [], name


def test_the_template_itself_checks_out_on_windows(template: Path) -> None:
    for name in git(template, "ls-files", "-z").split("\0"):
        assert not re.search(r'[<>:"\\|?*]', name), name


@pytest.mark.slow
def test_migrations_are_the_same_everywhere(variant: Variant) -> None:
    """Else one answer could not be changed for another in a project that has a database."""
    found: dict[str, dict[str, list[str]]] = {}
    for row in VARIANTS:
        project = variant(row)
        for name in project.files():
            if "/migrations/" in name and not name.startswith(tuple(OPTIONAL)):
                digest = sha256((project.path / name).read_bytes()).hexdigest()
                found.setdefault(name, {}).setdefault(digest, []).append(row)
    assert found
    assert {name: each for name, each in found.items() if len(each) > 1} == {}
    assert {len(v) for each in found.values() for v in each.values()} == {len(VARIANTS)}


@pytest.mark.slow
def test_owned_files_differ_in_the_policy_alone(variant: Variant) -> None:
    """Changing an answer is a change of policy.py: every other owned file is the same anywhere."""
    hashes: dict[str, set[str]] = {}
    for name in VARIANTS:
        manifest = json.loads(variant(name).read(".template/manifest.json"))
        for path, digest in manifest["files"].items():
            hashes.setdefault(path, set()).add(digest)
    assert {path for path, each in hashes.items() if len(each) > 1} == {"auth_core/policy.py"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name.startswith("row") else [])
        for name in VARIANTS
    ],
)
def test_rendering_elsewhere_gives_the_same_bytes(
    name: str, variant: Variant, template: Path, tmp_path: Path
) -> None:
    """Whatever the place, the user, the time zone, the locale and the order of sets."""
    home, place = tmp_path / "home", tmp_path / "somewhere" / "else"
    home.mkdir()
    variables = {"HOME": str(home), "TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "1"}
    answers = (f"{question}={answer}" for question, answer in VARIANTS[name].items())
    render(template, place, *answers, cwd=home, **variables)
    (project,) = place.iterdir()
    assert snapshot(project) == snapshot(variant(name).path)


def test_a_user_configuration_changes_no_answer_it_does_not_name(
    template: Path, tmp_path: Path
) -> None:
    configuration = tmp_path / "config.yaml"
    configuration.write_text("default_context:\n  full_name: Ada\n  email: ada@example.com\n")
    render(template, tmp_path / "one", COOKIECUTTER_CONFIG=str(configuration))
    render(template, tmp_path / "two")
    assert snapshot(tmp_path / "one") == snapshot(tmp_path / "two")


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_answers_what_it_says(name: str, template: Path, tmp_path: Path) -> None:
    """Cookiecutter drops, with a mere warning, all that follows an answer it cannot take."""
    render(template, tmp_path, "--config-file", str(template / "presets" / f"{name}.yaml"))
    recorded = json.loads((tmp_path / "my-api" / ".cruft.json").read_text("utf-8"))
    answers = recorded["context"]["cookiecutter"]
    assert {question: answers[question] for question in PRESETS[name]} == PRESETS[name]


def test_hooks_need_no_network(template: Path, tmp_path: Path) -> None:
    guard = tmp_path / "guard"
    guard.mkdir()
    # Cookiecutter itself may open sockets (urllib3 probes for IPv6); hooks are other scripts.
    (guard / "sitecustomize.py").write_text(
        "import socket, sys\n"
        "def refuse(*args, **kwargs): raise RuntimeError('a socket was opened')\n"
        "if 'cookiecutter' not in sys.orig_argv:\n"
        "    socket.socket = socket.create_connection = socket.getaddrinfo = refuse\n"
    )
    probe = [sys.executable, "-c", "import socket; socket.socket()"]
    environment = os.environ | {"PYTHONPATH": str(guard)}
    assert subprocess.run(probe, env=environment, capture_output=True, check=False).returncode
    render(template, tmp_path / "out", PYTHONPATH=str(guard))


def test_hooks_work_where_git_is_missing(template: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    render(template, tmp_path / "out", PATH=str(tmp_path / "bin"))
    recorded = json.loads((tmp_path / "out" / "my-api" / ".cruft.json").read_text("utf-8"))
    assert recorded["commit"] is None


def test_how_long_it_takes(
    template: Path,
    tmp_path: Path,
    record_testsuite_property: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Measured, not judged: the machine of a test is not the machine of a person."""
    start = time.perf_counter()
    render(template, tmp_path)
    seconds = time.perf_counter() - start
    record_testsuite_property("seconds to render the defaults", f"{seconds:.2f}")
    with capsys.disabled():
        print(f"\ncookiecutter . --no-input took {seconds:.2f} s")


def render(
    template: Path, output: Path, *arguments: str, cwd: Path = ROOT, **variables: str
) -> None:
    """Run `cookiecutter --no-input` as a command of its own."""
    command = [sys.executable, "-m", "cookiecutter", "--no-input", "-o", str(output)]
    subprocess.run(
        [*command, str(template), *arguments],
        cwd=cwd,
        env=os.environ | variables,
        check=True,
        capture_output=True,
    )


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
