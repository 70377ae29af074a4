"""Serves rendered projects to tests that need a browser, or another program, before them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs

from scripts.demo import mails_in
from tests.project import BakedProject
from tests.test_end_to_end import running


@dataclass
class Server:
    """A project that is served, and where."""

    project: BakedProject
    origin: str

    def key_of_mail(self, page: str) -> str:
        """Return the key of the mailed link to a page."""
        for text in mails_in(self.project.path / "var" / "mail"):
            if found := re.search(rf"/{page}#(\S+)", text):
                return str(parse_qs(found[1])["key"][0])
        raise AssertionError(f"no mail leads to {page}")


@contextmanager
def served(project: BakedProject, home: Path) -> Iterator[Server]:
    with running(project, home) as origin:
        yield Server(project, origin)
