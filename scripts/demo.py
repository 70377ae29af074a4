"""`make demo`: render the default project, install it, walk the life of a user and show it."""

import email
import email.policy
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import indent
from typing import Any, Final

from cookiecutter.main import cookiecutter

from scripts import walk

TEMPLATE: Final = Path(__file__).resolve().parent.parent
IS_COLOURED: Final = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
BOLD, FAINT, GREEN, YELLOW, CYAN = "1", "2", "32", "33", "36"
LONGEST_WORD: Final = 48
WIDTH: Final = 92


def painted(text: str, colour: str) -> str:
    """Colour the text, line by line, where a terminal shows it."""
    if not IS_COLOURED:
        return text
    return "\n".join(f"\x1b[{colour}m{line}\x1b[0m" for line in text.split("\n"))


def say(text: str = "", *, end: str = "\n") -> None:
    """Print at once, also into a pipe."""
    print(text, end=end, flush=True)


@contextmanager
def timed(doing: str) -> Iterator[None]:
    """Say what is being done, and how long it took."""
    say(f"{doing:<64}", end="")
    start = time.monotonic()
    yield
    say(painted(f"{time.monotonic() - start:5.1f} s", FAINT))


def abridged(value: Any) -> Any:
    """Shorten tokens; what a person reads stays as it is."""
    if isinstance(value, dict):
        return {name: abridged(each) for name, each in value.items()}
    if isinstance(value, str) and len(value) > LONGEST_WORD and " " not in value:
        return f"{value[:12]}...{value[-4:]}"
    return value


def laid_out(body: Any) -> str:
    """Put an answer on one line, or one field a line where that is too long."""
    line = json.dumps(abridged(body), ensure_ascii=False)
    if len(line) <= WIDTH or not isinstance(body, dict):
        return line
    fields = (f"  {json.dumps(k)}: {json.dumps(abridged(v))}" for k, v in body.items())
    return "{\n" + ",\n".join(fields) + "\n}"


def tell(number: int, step: walk.Step) -> None:
    """Print one step of the walk: the curl line and its answer, or what a mail brought."""
    say(f"\n{painted(f'{number:2}  {step.title}', BOLD)}")
    lines = [painted(str(step.body), CYAN)]
    if step.curl:
        is_good = step.status < http.client.BAD_REQUEST
        status = f"{step.status} {http.client.responses[step.status]}"
        lines = [painted(step.curl, CYAN), painted(status, GREEN if is_good else YELLOW)]
        lines += [painted(laid_out(step.body), FAINT)] if step.body else []
    # What a mail carries is percent-encoded in its link: shown as it must be sent.
    kept = abridged(dict(step.kept)) if step.curl else step.kept
    lines += [painted(f"{name}={value}", FAINT) for name, value in kept.items()]
    say(indent("\n".join(lines), "    "))


def mails_in(folder: Path, to: str = "") -> Sequence[str]:
    """Return the texts of the mails in a folder, all or those to an address, oldest first."""
    files = sorted(folder.glob("*.log"), key=lambda file: file.stat().st_mtime_ns)
    messages = [
        email.message_from_bytes(file.read_bytes(), policy=email.policy.default) for file in files
    ]
    wanted = [message for message in messages if to in ("", message["To"])]
    bodies = [message.get_body(("plain",)) for message in wanted]
    return [str(body.get_content()) for body in bodies if body]


def run(project: Path, *command: str) -> None:
    """Run a command in the project; what it printed is shown only if it fails."""
    environment = walk.clean_environment()
    done = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise walk.Unexpected(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def prepare(folder: Path) -> Path:
    """Render the default project into the folder, and install it."""
    with timed("Rendering the default project (cookiecutter . --no-input)"):
        os.environ["TEMPLATE_REGENERATE"] = "1"
        configuration = {"replay_dir": str(folder / "replay"), "cookiecutters_dir": str(folder)}
        project = Path(
            cookiecutter(
                str(TEMPLATE), no_input=True, output_dir=str(folder), default_config=configuration
            )
        )
    with timed("Installing it (make install)"):
        run(project, "make", "install", f"PYTHON={sys.executable}")
    with timed("Creating its SQLite database (make migrate)"):
        run(project, "make", "migrate")
    return project


def walk_through(project: Path) -> int:
    """Serve the project, live the life of a user in it, and return the number of steps."""
    port = walk.free_port(8000)
    origin = f"http://127.0.0.1:{port}"
    answers = walk.answers_of(project)
    steps: list[walk.Step] = []

    def report(step: walk.Step) -> None:
        steps.append(step)
        tell(len(steps), step)

    client = walk.Client(origin, answers["auth_header_type"], report=report)
    server = [".venv/bin/python", "manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"]
    environment = walk.clean_environment(PORT=str(port))
    with walk.serving(server, project, environment, port):
        say(f"Serving on {origin}. A name with a $ stands for what an earlier answer gave.")
        walk.Life(client, answers, lambda: mails_in(project / "var" / "mail")).live()
    return len(steps)


def what_next(project: Path) -> str:
    """Return the commands that lead on from here."""
    return f"""
The server is stopped, the project stays. To go on with it:

  cd {project}
  make run      serve it again; try the API at http://127.0.0.1:8000/api/docs/
  make test     run its own tests

  Ada is registered there: user name ada, password {walk.RECOVERED!r}.

Your own project, with your answers:

  {Path(sys.executable).parent / "cookiecutter"} {TEMPLATE}"""


def main() -> int:
    """Run the demonstration; the exit code is 1 when a step answered otherwise than expected."""
    try:
        project = prepare(Path(tempfile.mkdtemp(prefix="drf-auth-demo-")))
        count = walk_through(project)
    except (walk.Unexpected, OSError) as error:
        say(f"\n{painted('The demonstration failed.', YELLOW)} {error}")
        return 1
    say(f"\n{painted(f'All {count} steps answered as they should.', GREEN)}")
    say(what_next(project))
    return 0


if __name__ == "__main__":
    sys.exit(main())
