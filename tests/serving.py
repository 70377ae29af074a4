"""Serves rendered projects to tests that need a browser, or another program, before them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs

from scripts.walk import clean_environment, free_port, serving
from tests.project import BakedProject


@dataclass
class Server:
    """A project that is served, and where."""

    project: BakedProject
    origin: str

    def key_of_mail(self, page: str) -> str:
        """Return the key of the mailed link to a page."""
        for file in (self.project.path / "var" / "mail").iterdir():
            text = file.read_text("utf-8").replace("=\n", "").replace("=3D", "=")
            if found := re.search(rf"/{page}#(\S+)", text):
                return str(parse_qs(found[1])["key"][0])
        raise AssertionError(f"no mail leads to {page}")


@contextmanager
def served(project: BakedProject, home: Path) -> Iterator[Server]:
    project.make(".env", home)
    project.manage(home, "migrate")
    port = free_port()
    python = str(home / "bin" / "python")
    command = [python, "-W", "error", "manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"]
    with serving(command, project.path, clean_environment(PORT=str(port)), port):
        yield Server(project, f"http://127.0.0.1:{port}")
