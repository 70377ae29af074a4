"""Fixtures: the template as git gives it, a function that bakes it, a place to run projects."""

import os
import re
import shutil
import subprocess
import tempfile
import uuid
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any, cast

import pytest
from filelock import FileLock
from playwright.sync_api import Browser, sync_playwright

from tests.project import PYTHON, ROOT, Bake, BakedProject, environment, run
from tests.variants import command_of

REQUIRE_SERVICES = os.environ.get("REQUIRE_SERVICES") == "1"
MEMORY_BYTES = 4 * 2**30
CLIENTS = ROOT / "tests" / "clients"
# What the running test has rendered by itself.
baked: list[BakedProject] = []


def pytest_configure(config: pytest.Config) -> None:
    """Write projects to memory where a machine has it to spare: files take a third of the time."""
    memory = Path("/dev/shm")  # noqa: S108 - it is a place for such files
    if "TMPDIR" in os.environ or not memory.is_dir():
        return
    mounted = os.statvfs(memory)
    is_roomy = mounted.f_bavail * mounted.f_frsize >= MEMORY_BYTES
    if is_roomy and not mounted.f_flag & os.ST_NOEXEC:
        # Workers inherit it; cookiecutter and others leave files behind.
        folder = tempfile.mkdtemp(prefix="template-tests-", dir=memory)
        # A test's PostgreSQL, which refuses to run as root, has to pass.
        Path(folder).chmod(0o711)
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        config.add_cleanup(partial(shutil.rmtree, folder, ignore_errors=True))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function,
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under REQUIRE_SERVICES=1, as in CI, fail what would be skipped for want of something.

    What failed on a project says how to render it.
    """
    report = yield
    if report.failed:
        shared = [each for each in item.funcargs.values() if isinstance(each, BakedProject)]
        commands = [command_of(project.given) for project in shared or baked]
        report.sections.append(("Rendered by", "\n".join(dict.fromkeys(commands))))
    if report.skipped and REQUIRE_SERVICES:
        reason = call.excinfo.value if call.excinfo else "no reason given"
        report.outcome = "failed"
        report.longrepr = f"REQUIRE_SERVICES=1, but this would be skipped: {reason}"
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the cheap tests, in each worker: a simple mistake shows within two minutes.

    `--dist worksteal` gives each worker one part of this list, in its order, to begin with.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    slow = [item for item in items if item.get_closest_marker("slow")]
    quick = [item for item in items if not item.get_closest_marker("slow")]
    parts = [(part(quick, n, workers), part(slow, n, workers)) for n in range(workers)]
    items[:] = chain.from_iterable(chain.from_iterable(parts))


def part(items: list[pytest.Item], number: int, parts: int) -> list[pytest.Item]:
    """Return one of some equal parts of a list, the first one being number 0."""
    return items[len(items) * number // parts : len(items) * (number + 1) // parts]


def pytest_runtest_setup() -> None:
    baked.clear()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say how long each kind of test took, where the rows' time went, how the tools compare."""
    seconds, rows = defaultdict[str, float](float), set[str]()
    kinds = defaultdict[str, float](float)
    compared = dict[tuple[str, str], str]()
    for report in chain.from_iterable(terminalreporter.stats.values()):
        if not isinstance(report, pytest.TestReport):
            continue
        for name, cell in report.user_properties:
            if name == "compared":
                row_of_table, column, verdict = cast("tuple[str, str, str]", cell)
                compared[row_of_table, column] = verdict
        kinds[kind_of(report)] += report.duration
        if row := re.search(r"test_(?:variants|render)\.py::(\w+)\[(row\d+)", report.nodeid):
            seconds[row[1]] += report.duration
            rows.add(row[2])
    spent = (
        f"{kind} {each / 60:.1f}" for kind, each in sorted(kinds.items(), key=lambda it: it[1])
    )
    terminalreporter.write_line(f"Minutes, of all workers together: {', '.join(spent)}")
    if total := sum(seconds.values()):
        workers = len(config.getoption("tx", None) or ["this one"])
        rate = 60 * len(rows) * workers / total
        longest = sorted(seconds.items(), key=lambda item: -item[1])[:5]
        shares = ", ".join(f"{name} {each / total:.0%}" for name, each in longest)
        terminalreporter.write_line(f"{len(rows)} rows, {rate:.1f} a minute: {shares}")
    for line in table(compared) if compared else ():
        terminalreporter.write_line(line)


def kind_of(report: pytest.TestReport) -> str:
    """Name the kind of a test: quick, or what a slow one is about."""
    if "slow" not in report.keywords:
        return "quick tests"
    file = report.nodeid.partition("::")[0].rpartition("/")[2]
    return "rows" if file == "test_variants.py" else file.removeprefix("test_").removesuffix(".py")


def in_order(row: str) -> tuple[int, str]:
    """Sort S10 behind S8b, and S10b behind it."""
    name = row.partition(":")[0]
    return int(re.sub(r"\D", "", name)), name


def table(cells: Mapping[tuple[str, str], str]) -> Iterator[str]:
    """Lay out in Markdown what stands in which row, from S1 to S27, and column, ours first."""
    columns = sorted({column for _, column in cells}, reverse=True)
    rows = sorted({row for row, _ in cells}, key=in_order)
    yield f"| What happened | {' | '.join(columns)} |"
    yield f"|{'---|' * (len(columns) + 1)}"
    for row in rows:
        yield f"| {row} | {' | '.join(cells.get((row, column), '') for column in columns)} |"


@pytest.fixture(scope="session", autouse=True)
def _isolated(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep this machine's configuration of all tools out, and the hooks' card too."""
    folder = tmp_path_factory.mktemp("user")
    configuration = folder / "cookiecutter.yaml"
    configuration.write_text(f"cookiecutters_dir: {folder}\nreplay_dir: {folder}\n")
    (folder / "copier.yaml").write_text("{}\n")
    os.environ |= {
        "COPIER_SETTINGS_PATH": str(folder / "copier.yaml"),
        "COOKIECUTTER_CONFIG": str(configuration),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        # Container images forbid byte code; then each of many processes would compile Django anew.
        "PYTHONDONTWRITEBYTECODE": "",
        "TEMPLATE_REGENERATE": "1",
    }


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Tests", "-c", "user.email=tests@example.com"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy what git tracks, or would track, into a repository with one commit and no remote."""
    folder = tmp_path_factory.mktemp("template") / "cookiecutter-drf-auth"
    names = git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    git(folder, "init", "--quiet", "--initial-branch", "main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "The template")
    return folder


@pytest.fixture(scope="session")
def bake(cookies_session: Any, template: Path) -> Bake:
    """Render the template with some answers, in this process."""

    def bake(**answers: Any) -> BakedProject:
        result = cookies_session.bake(extra_context=answers, template=str(template))
        if result.exception:
            raise result.exception
        baked.append(BakedProject(result.project_path, result.context, answers))
        return baked[-1]

    return bake


@pytest.fixture(scope="session")
def place(bake: Bake) -> Callable[[str, str], Path]:
    """Give the environment for a Python and a Django; a test is skipped where Python is missing."""
    return lambda python, django: environment(bake, python, django)


@pytest.fixture(scope="session")
def home(place: Callable[[str, str], Path]) -> Path:
    """Give the environment of this Python, for tests that ask about the project alone."""
    return place(PYTHON, "5.2")


@pytest.fixture(scope="session")
def postgres(home: Path) -> str:
    """Find a PostgreSQL in which databases can be created, or skip the test."""
    url = os.environ.get("DATABASE_URL_FOR_TESTS", "postgresql://postgres@127.0.0.1:5432/postgres")
    try:
        in_database(home, url, "SELECT 1")
    except subprocess.CalledProcessError as error:
        last = error.stderr.strip().rpartition("\n")[2]
        pytest.skip(reason=f"no PostgreSQL (DATABASE_URL_FOR_TESTS, or 127.0.0.1:5432): {last}")
    return url


@pytest.fixture
def database(postgres: str, home: Path) -> Iterator[str]:
    """Create an empty PostgreSQL database for one test, and drop it afterwards."""
    with a_database(postgres, home) as url:
        yield url


@contextmanager
def a_database(postgres: str, home: Path, like: str = "") -> Iterator[str]:
    """Create a database until the block ends; not empty, but a copy, where one is given."""
    name = f"template_test_{uuid.uuid4().hex}"
    source = f' TEMPLATE "{like.rpartition("/")[2]}"' if like else ""
    in_database(home, postgres, f'CREATE DATABASE "{name}"{source}')
    try:
        yield postgres.rpartition("/")[0] + f"/{name}"
    finally:
        in_database(home, postgres, f'DROP DATABASE "{name}" WITH (FORCE)')


def in_database(environment: Path, url: str, statement: str) -> None:
    """Run one statement with the driver of the projects' environment."""
    code = "import psycopg, sys; psycopg.connect(sys.argv[1], autocommit=True).execute(sys.argv[2])"
    command = [str(environment / "bin" / "python"), "-c", code, url, statement]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)


@pytest.fixture(scope="session")
def redis() -> str:
    """Give a Redis database that the tests may use as they like, or skip the test."""
    url = os.environ.get("CACHE_URL_FOR_TESTS")
    if not url:
        pytest.skip(reason="no Redis: CACHE_URL_FOR_TESTS is not set")
    return url


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start the machine's Chromium, or skip the test; each test opens a context of its own."""
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if not program:
        pytest.skip(reason=f"no browser: none of {', '.join(names)} is installed")
    with sync_playwright() as playwright:
        # Its sandbox needs rights that containers lack, and refuses root.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass(frozen=True)
class Node:
    """Packages of npm: `node("tsc", "--strict", cwd=folder)` runs a program of theirs."""

    modules: Path

    def __call__(self, name: str, *arguments: str | Path, cwd: Path) -> str:
        quiet = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
        done = run(cwd, self.modules / ".bin" / name, *arguments, variables=quiet)
        return str(done.stdout)


@pytest.fixture(scope="session")
def node() -> Node:
    """Give the programs of tests/clients, which are installed once."""
    npm = shutil.which("npm")
    if not npm or not shutil.which("node"):
        pytest.skip(reason="no Node.js: node and npm are not both on PATH")
    key = sha256((CLIENTS / "package-lock.json").read_bytes()).hexdigest()[:12]
    folder = ROOT / ".cache" / "node" / key
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not (folder / ".installed").exists():
            for name in ("package.json", "package-lock.json"):
                shutil.copy(CLIENTS / name, folder)
            run(folder, npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts")
            (folder / ".installed").touch()
    return Node(folder / "node_modules")
