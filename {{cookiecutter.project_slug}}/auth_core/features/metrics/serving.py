"""Serves the metrics of all of gunicorn's processes, in one more process beside them."""

import os
import shutil
import subprocess
import sys
import tempfile
from typing import Any

# prometheus_client's name of the folder in which processes share what they count.
FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_exporters: "list[subprocess.Popen[bytes]]" = []


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
    _exporters.append(subprocess.Popen(command, stdin=subprocess.PIPE, process_group=0))  # noqa: S603


def end(server: Any) -> None:
    for exporter in _exporters:
        exporter.terminate()
        exporter.wait()
    if folder := os.environ.get(FOLDER):
        shutil.rmtree(folder, ignore_errors=True)
