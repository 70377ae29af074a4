"""PostgreSQL that has no connection to spare, or takes one and falls silent: real servers, real limits."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest
from django.db import connection
from django.urls import reverse

from auth_core import policy
from auth_core.contract.databases import ROLE, migrate, postgresql, production
from auth_core.contract.processes import gunicorn, headers_of, request, send, status_of
from auth_core.testing import at_once

pytestmark = [
    pytest.mark.inside,
    pytest.mark.skipif(policy.DATABASE != "postgresql", reason="no PostgreSQL by the policy"),
]


@pytest.fixture(autouse=True)
def _delivery() -> None:
    """Nothing here depends on how tokens travel: once is enough."""


def ready(port: int) -> tuple[int, float]:
    """Ask whether a server is ready; return the status and how long it took."""
    begin = time.monotonic()
    answer = send(port, request("GET", reverse("health_ready")))
    status = status_of(answer)
    if status == 503:
        assert int(headers_of(answer)["retry-after"]) > 0
        assert b'"unavailable"' in answer
    return status, time.monotonic() - begin


def test_no_connection_to_spare_is_503_at_once(tmp_path: Path) -> None:
    """REL-06: a role at its limit: 503 in no time to those who find no connection, 200 to the others."""
    with postgresql() as cluster:
        variables = production(tmp_path, cluster.url)
        migrate(variables)
        cluster.execute(f"ALTER ROLE {ROLE} CONNECTION LIMIT 1")
        # Two processes, each with connections of its own.
        with gunicorn(tmp_path, "workers = 2\nthreads = 4\n", **variables) as port:
            answers = [it for _ in range(3) for it in at_once(*[lambda: ready(port)] * 8)]
            assert {status for status, _ in answers} == {200, 503}
            assert max(duration for _, duration in answers) < 2
            cluster.execute(f"ALTER ROLE {ROLE} CONNECTION LIMIT -1")
            later = [it for _ in range(3) for it in at_once(*[lambda: ready(port)] * 8)]
            assert {status for status, _ in later} == {200}


@pytest.fixture(params=["accepts and is silent", "drops what comes"])
def silent_port(request: pytest.FixtureRequest) -> Iterator[int]:
    """A port behind which nobody speaks, or whose host swallows each packet, as behind a bad network."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128 if request.param.startswith("accepts") else 0)
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers if request.param.startswith("drops") else ():
            # A full queue: the kernel answers no more.
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for filler in fillers:
            filler.close()


def test_a_silent_database_is_503_in_two_seconds(tmp_path: Path, silent_port: int) -> None:
    """REL-06: the server never waits longer than the limit of connecting, and is not ready meanwhile."""
    variables = production(tmp_path, f"postgresql://{ROLE}:secret@127.0.0.1:{silent_port}/{ROLE}")
    with gunicorn(tmp_path, "workers = 1\n", **variables) as port:
        for status, duration in at_once(*[lambda: ready(port)] * 2):
            assert status == 503
            assert duration < 2 + 0.5
        assert status_of(send(port, request("GET", reverse("health_live")))) == 200


@pytest.mark.skipif(find_spec("psycopg") is None, reason="no psycopg")
@pytest.mark.skipif(connection.vendor != "postgresql", reason="asks for PostgreSQL")
@pytest.mark.django_db
def test_a_network_that_swallows_packets_is_noticed() -> None:
    """REL-06: what was sent and not acknowledged ends the connection, not a quarter of an hour later."""
    connection.ensure_connection()
    with socket.socket(fileno=connection.connection.fileno()) as ours:
        try:
            if ours.family == socket.AF_UNIX:
                pytest.skip("no network to this database")
            limit = ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        finally:
            ours.detach()
    assert limit == 1500
