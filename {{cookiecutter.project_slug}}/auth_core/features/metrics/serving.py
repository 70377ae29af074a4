"""Serves the metrics of all of gunicorn's processes, in one more process beside them."""

import os
import shutil
import signal
import sys
import tempfile
from contextlib import suppress
from typing import Any

# prometheus_client's name of the folder in which processes share what they count.
FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_exporters: list[int] = []


def begin(server: Any) -> None:
    """Have every process that will be forked share its figures, and start the one that serves them."""
    from auth_core.env import BASE_DIR, load_dotenv, read

    load_dotenv(BASE_DIR / ".env")
    if not read("METRICS_ADDRESS"):
        return
    os.environ[FOLDER] = tempfile.mkdtemp(prefix="metrics-")
    command = [sys.executable, str(BASE_DIR / "manage.py"), "servemetrics"]
    # It waits for the end of a pipe whose other end this server's processes hold, and so ends with
    # the last of them, however that ended; Ctrl-C is for them.
    end_of_pipe, _ = os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, end_of_pipe, 0)]
    _exporters.append(
        os.posix_spawn(sys.executable, command, os.environ, file_actions=actions, setpgroup=0)
    )
    os.close(end_of_pipe)


def end(server: Any) -> None:
    for pid in _exporters:
        # gunicorn may have heard of its end already.
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    if folder := os.environ.get(FOLDER):
        shutil.rmtree(folder, ignore_errors=True)
