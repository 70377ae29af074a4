"""The rendered Dockerfile, compose.yaml and kubernetes/: linted, and run without an engine."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uv
import yaml

from scripts.demo import mails_in
from scripts.walk import Client, Life, free_port
from tests.image import Broken, Engine, Image, ignoring, instructions
from tests.project import Answers, Bake, BakedProject, run

BIN = Path(sys.executable).parent
UV = f"UV={uv.find_uv_bin()}"
CONTAINER: Answers = {"container": True, "database": "postgresql"}
# No test asks a stranger's server for breached passwords.
SERVED: Answers = CONTAINER | {"breached_passwords": False, "mfa": "totp_and_passkeys"}
PROXIED = {
    "Host": "api.localhost:8443",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-For": "203.0.113.7",
}


@pytest.fixture(
    scope="module",
    params=[
        {},
        *(
            pytest.param(answers, marks=pytest.mark.slow)
            for answers in (
                {"project_slug": "shop_api2", "frontend_url": "https://app.example.com"},
                {"email_provider": "file", "email_verification": "none", "mfa": "none"},
            )
        ),
    ],
    ids=str,
)
def project(request: pytest.FixtureRequest, bake: Bake) -> BakedProject:
    return bake(**CONTAINER, **request.param)


def services(project: BakedProject) -> dict[str, Answers]:
    found: dict[str, Answers] = yaml.safe_load(project.read("compose.yaml"))["services"]
    return found


def manifests(project: BakedProject) -> list[Answers]:
    """Put the manifests together as `kubectl apply --kustomize kubernetes` does."""
    text = project.run(BIN / "kubectl", "kustomize", "kubernetes").stdout
    return list(yaml.safe_load_all(text))


def named(project: BakedProject, kind: str) -> dict[str, Answers]:
    return {it["metadata"]["name"]: it for it in manifests(project) if it["kind"] == kind}


def pods(project: BakedProject) -> dict[str, Answers]:
    found = {}
    for each in manifests(project):
        spec = each.get("spec", {})
        if template := spec.get("jobTemplate", {}).get("spec", spec).get("template"):
            found[each["metadata"]["name"]] = template
    return found


def containers(pod: Answers) -> list[Answers]:
    every: list[Answers] = pod["spec"].get("initContainers", []) + pod["spec"]["containers"]
    return every


def test_linters_find_nothing(project: BakedProject, tmp_path: Path) -> None:
    """hadolint, the schema of compose files, kustomize, and the schemas of Kubernetes."""
    project.run(BIN / "hadolint", "Dockerfile")
    project.run(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml")
    whole = tmp_path / "manifests.yaml"
    whole.write_text(project.run(BIN / "kubectl", "kustomize", "kubernetes").stdout)
    project.run(BIN / "kubernetes-validate", "--strict", whole)


def test_images_have_a_version_and_take_a_digest(project: BakedProject, tmp_path: Path) -> None:
    """`make pin` writes it once, and another time in its place; the registry is played."""
    images = {
        word[2]
        for word in re.finditer(r"^(FROM|    image:) (\S+)", every_image(project), re.MULTILINE)
    }
    assert images == {"python:3.13-slim", "postgres:17", "caddy:2.10", "axllent/mailpit:v1.31"}
    before = {name: project.read(name) for name in ("Dockerfile", "compose.yaml")}
    docker = tmp_path / "docker"
    try:
        for letter in "ab":
            digest = f"sha256:{letter * 64}"
            docker.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\necho {digest}\n')
            docker.chmod(0o755)
            project.run("make", "pin", f"DOCKER={docker}")
            for name, text in before.items():
                pinned = re.sub(
                    r"^((?:FROM|    image:) \S+)", rf"\1@{digest}", text, flags=re.MULTILINE
                )
                assert project.read(name) == pinned
        project.run(BIN / "hadolint", "Dockerfile")
    finally:
        for name, text in before.items():
            (project.path / name).write_text(text)
    asked = set((tmp_path / "asked").read_text().splitlines())
    ask = "buildx imagetools inspect --format {{.Manifest.Digest}}"
    assert asked == {f"{ask} {image}" for image in images}


def every_image(project: BakedProject) -> str:
    return project.read("Dockerfile") + project.read("compose.yaml")


@pytest.mark.slow
def test_make_image_and_up_say_what_they_do(
    project: BakedProject, home: Path, tmp_path: Path
) -> None:
    """The engine is played; the database's password is put into .env, once."""
    project.make(".env", home)
    before = project.read(".env")
    docker = tmp_path / "docker"
    docker.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    docker.chmod(0o755)
    for target in ("image", "up", "up"):
        project.make(target, home, f"DOCKER={docker}")
    slug = project.answers["project_slug"]
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked == [f"build --tag {slug} .", *2 * ["compose up --build"]]
    made = project.read(".env").removeprefix(before)
    (project.path / ".env").unlink()
    assert re.fullmatch(r"POSTGRES_PASSWORD=[\w-]{43}\n", made)


def test_no_secret_stands_in_a_file(project: BakedProject) -> None:
    """Compose takes them from .env, Kubernetes from secrets that the README tells how to make."""
    for service in services(project).values():
        if "build" in service:
            assert service["env_file"] == [".env"]
    password = services(project)["db"]["environment"]["POSTGRES_PASSWORD"]
    assert password == "${POSTGRES_PASSWORD}"
    assert "Secret" not in {each["kind"] for each in manifests(project)}
    readme = project.read("README.md")
    for name, pod in pods(project).items():
        for container in containers(pod):
            assert "env" not in container
            sources = [next(iter(source.values())) for source in container["envFrom"]]
            assert sources[0]["name"] in named(project, "ConfigMap")
            assert sources[1] == {"name": "secrets"}
            assert sources[2:] == (
                [{"name": "migrate", "optional": True}] if name == "migrate" else []
            )
    (create,) = re.findall(r"^    kubectl (create secret .*)$", readme, re.MULTILINE)
    file = project.path / "secrets.env"
    file.write_text("SECRET_KEY=x\n")
    made = project.run(BIN / "kubectl", *create.split(), "--dry-run=client", "--output=json")
    file.unlink()
    secret = json.loads(made.stdout)
    namespaces = {each["metadata"]["namespace"] for each in manifests(project)}
    assert (secret["metadata"]["name"], {secret["metadata"]["namespace"]}) == (
        "secrets",
        namespaces,
    )
    assert set(re.findall(r"--namespace (\S+)", readme)) == namespaces


def test_every_reference_in_the_manifests_leads_somewhere(project: BakedProject) -> None:
    found = pods(project)
    assert set(found) == {"web", "worker", "migrate", "purge"}
    images = {container["image"] for pod in found.values() for container in containers(pod)}
    assert images == {f"registry.example.com/{project.answers['project_slug']}:0.1.0"}
    for kind in ("Deployment", "PodDisruptionBudget"):
        for name, each in named(project, kind).items():
            assert each["spec"]["selector"]["matchLabels"] == found[name]["metadata"]["labels"]
    (service,) = named(project, "Service").values()
    assert service["spec"]["selector"] == found["web"]["metadata"]["labels"]
    (web,) = found["web"]["spec"]["containers"]
    assert {port["name"] for port in web["ports"]} == {service["spec"]["ports"][0]["targetPort"]}
    (settings,) = (each["data"] for each in named(project, "ConfigMap").values())
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        (host,) = web[probe]["httpGet"]["httpHeaders"]
        assert host["value"] in settings["ALLOWED_HOSTS"].split(",")
    deployment = named(project, "Deployment")["web"]["spec"]
    budget = named(project, "PodDisruptionBudget")["web"]["spec"]
    assert budget["minAvailable"] < deployment["replicas"]


def test_there_is_time_to_stop(project: BakedProject) -> None:
    served: dict[str, Any] = {}
    exec(compile(project.read("gunicorn.conf.py"), "gunicorn.conf.py", "exec"), served)  # noqa: S102
    needed = served["DRAIN_SECONDS"] + served["graceful_timeout"]
    assert services(project)["web"]["stop_grace_period"] == "40s"
    assert pods(project)["web"]["spec"]["terminationGracePeriodSeconds"] == 40 > needed


def test_docker_ignores_what_this_test_ignores() -> None:
    """Verdicts of Docker itself on its patterns."""
    is_ignored = ignoring(
        "# no\n**/.*\nvar\n**/tests\n**/test_*.py\n!a/tests/keep.py\n/docs/*.md\n"
    )
    for path in (
        ".git",
        ".git/config",
        "a/b/.env",
        "var/x/y",
        "tests",
        "a/tests/b.py",
        "test_a.py",
    ):
        assert is_ignored(path), path
    for path in ("a/var", "a/mytests/b.py", "a/tests/keep.py", "docs/a/b.md", "atest_a.py"):
        assert not is_ignored(path), path


# What an engine would build, and run.


@pytest.fixture(scope="module")
def locked(bake: Bake, home: Path) -> BakedProject:
    """A project as a team has it: with its lock file, and with what must not get into an image."""
    baked = bake(**SERVED)
    baked.make(".env", home)
    baked.make("lock", home, UV)
    for name in (".git/config", "var/db.sqlite3", "shop/.env.local", "shop/tests/test_it.py"):
        (baked.path / name).parent.mkdir(parents=True, exist_ok=True)
        (baked.path / name).write_text("")
    (baked.path / "shop" / "views.py").write_text("")
    return baked


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine(tmp_path_factory.mktemp("engine"))


@pytest.fixture(scope="module")
def image(locked: BakedProject, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Image:
    return engine.build(locked.path, tmp_path_factory.mktemp("image"))


@pytest.mark.slow
def test_the_image_holds_what_production_needs_alone(image: Image, locked: BakedProject) -> None:
    names = {n.removeprefix("app/") for n in image.files() if n.startswith("app/")}
    assert {"shop/views.py", "manage.py", "gunicorn.conf.py", "users/models.py"} <= names
    assert {"var/static/admin/css/base.css", "var/static/pages/pages.css"} <= names
    ours = {name for name in names - {"var"} if not name.startswith("var/static")}
    unwanted = re.compile(r"(^|/)\.|(^|/)tests/|(^|/)test_\w+\.py$|\.md$|^var/")
    assert set(filter(unwanted.search, ours)) == set()
    assert not names & {"Dockerfile", "compose.yaml", "Makefile", "conftest.py"}
    packages = {path.name for path in (image.root / "opt" / "venv").glob("lib/*/site-packages/*")}
    assert {"django", "gunicorn", "psycopg"} <= packages
    assert not packages & {"pytest", "ruff", "mypy", "schemathesis"}
    assert locked.read(".env").partition("SECRET_KEY=")[2][:40] not in "".join(
        path.read_text("utf-8", "replace")
        for path in image.folder.glob("*/app/*")
        if path.is_file()
    )
    assert all(int(number) > 0 for number in image.user.split(":"))


@contextmanager
def working(image: Image, command: list[str], environment: Mapping[str, str]) -> Iterator[None]:
    """Run a service until the block ends; it must end well at SIGTERM."""
    words = [*image.words(command), "--interval", "0.1"]
    process = subprocess.Popen(words, cwd=image.folder_of_work, env=environment)
    try:
        yield
    finally:
        process.terminate()
        assert process.wait(timeout=20) == 0


@pytest.mark.slow
def test_the_image_serves_as_compose_and_kubernetes_have_it(
    image: Image, locked: BakedProject, database: str
) -> None:
    """Migrate, work, serve, be healthy, live a life behind a proxy; then each command of a pod."""
    lines = (line.partition("=") for line in locked.read(".env").splitlines() if "=" in line)
    made = {name: value for name, _, value in lines if not name.startswith("#")}
    compose, port = services(locked), free_port()
    mails = image.root / "tmp" / "mail"
    # Hosts that are not here; all else is as the files say.
    here = {
        "DATABASE_URL": database,
        "EMAIL_URL": f"file://{mails}",
        "GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{port}",
        "PORT": str(port),
    }
    before = image.files()
    given = image.environment | made | compose["web"]["environment"]
    config = image.run(
        ["gunicorn", "--print-config", "config.wsgi"], given | {"DATABASE_URL": database}
    )
    assert re.search(r"^bind += \['0\.0\.0\.0:8000'\]$", config.stdout, re.MULTILINE), config
    environment = given | here
    done = image.run(compose["migrate"]["command"], environment)
    assert done.returncode == 0, done.stderr
    with (
        working(image, compose["worker"]["command"], environment),
        served(image, environment),
    ):
        Client(f"http://127.0.0.1:{port}").send("Plain http", "GET", "/api/auth/user/", expect=403)
        client = Client(f"http://127.0.0.1:{port}", headers=PROXIED)
        status, css = client.exchange("GET", "/static/admin/css/base.css", PROXIED, None)
        assert (status, "body" in css) == (200, True)
        Life(client, locked.answers, lambda: mails_in(mails)).live()
    assert image.run(image.healthcheck, environment).returncode != 0

    settings = dict(line.split("=", 1) for line in locked.read("kubernetes/settings.env").split())
    environment = image.environment | settings | made | here
    commands = [c["args"] for pod in pods(locked).values() for c in containers(pod) if "args" in c]
    assert [words[2] for words in commands].count("migrate") == 3
    for words in commands:
        if words != compose["worker"]["command"]:
            done = image.run(words, environment)
            assert done.returncode == 0, (words, done.stderr)
    # As on a disk that is read-only but for /tmp.
    assert image.files() == before


@contextmanager
def served(image: Image, environment: Mapping[str, str]) -> Iterator[None]:
    """Start the server of the image, and wait until it says that it is healthy."""
    log = image.root / "tmp" / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            image.words(image.command),
            cwd=image.folder_of_work,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            deadline = time.monotonic() + 30
            while (asked := image.run(image.healthcheck, environment)).returncode:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise Broken(f"Dockerfile: HEALTHCHECK: {asked.stderr}\n{log.read_text()}")
            yield
        finally:
            process.terminate()
            process.wait(timeout=40)


@pytest.mark.slow
def test_pods_wait_for_the_migrations(image: Image, locked: BakedProject, database: str) -> None:
    (wait,) = pods(locked)["web"]["spec"]["initContainers"]
    lines = dict(line.split("=", 1) for line in locked.read(".env").splitlines() if "=" in line)
    settings = dict(line.split("=", 1) for line in locked.read("kubernetes/settings.env").split())
    environment = image.environment | lines | settings
    environment |= {"DATABASE_URL": database, "EMAIL_URL": "file:///nowhere"}
    done = image.run(wait["args"], environment)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("COPY --from=build /opt/venv", "COPY --from=build /opt/env", "There is no /opt/env"),
        ("COPY pyproject.toml", "COPY project.toml", "There is no project.toml"),
        ("UV_PROJECT_ENVIRONMENT=/opt/venv", "UV_PROJECT_ENVIRONMENT=/opt/env", "No module named"),
        ("DJANGO_ENV=dev python", "DJANGO_ENV=dev python src/", "exited with 2"),
        ("/app /app", "/app /srv", "config.wsgi"),
        ('"config.wsgi"', '"project.wsgi"', "project"),
    ],
)
def test_a_broken_path_is_named(
    right: str, wrong: str, said: str, locked: BakedProject, engine: Engine
) -> None:
    """Each by the line of the Dockerfile, or by what the server says that it is told to start."""
    file = locked.path / "Dockerfile"
    before = file.read_text()
    assert right in before
    # Compiling takes long, and is of no use here.
    file.write_text(before.replace(right, wrong).replace("UV_COMPILE_BYTECODE=1", ""))
    try:
        with pytest.raises(Broken, match=rf"(?s)^Dockerfile(, line \d+)?: .*{said}"):
            check(engine.rebuild(locked.path))
    finally:
        file.write_text(before)


def check(image: Image) -> None:
    """Have the server say whether it could start."""
    done = image.run([*image.command, "--check-config"], image.environment)
    if done.returncode:
        raise Broken(f"Dockerfile: CMD {image.command}: {done.stderr}")


@pytest.mark.slow
def test_without_a_lock_file_the_build_says_what_to_do(
    bake: Bake, engine: Engine, tmp_path: Path
) -> None:
    with pytest.raises(Broken, match="lock is missing: 'make install' writes it"):
        engine.build(bake(**CONTAINER).path, tmp_path / "image")


def test_instructions_are_read_as_they_stand() -> None:
    text = "# A comment\nFROM a\nRUN b && \\\n    c\n\nCMD d\n"
    assert instructions(text) == [(2, "FROM", "a"), (3, "RUN", "b &&      c"), (6, "CMD", "d")]


def test_a_project_without_containers_names_none(bake: Bake) -> None:
    project = bake()
    assert not {"Dockerfile", "compose.yaml", ".dockerignore"} & project.files()
    assert not (project.path / "kubernetes").exists()
    assert "docker" not in run(project.path, "make", "help").stdout
