"""What growth costs the rendered project: `python -m benchmarks.growth`.

Serves it on two databases, one with a thousand users and sessions and one that grows to five
million, and lets wrk ask both in turns, about other sessions each time. In the end a million
sessions have expired and are purged, while refreshes go on.
"""

import argparse
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.servers import (
    DEFAULT,
    PEERS,
    ROOT,
    Server,
    load,
    machine,
    prepared,
    publish,
    render,
    statement,
)
from scripts.walk import clean_environment

SMALL: Final = 1000
SIZES: Final = (100_000, 1_000_000, 5_000_000)
EXPIRED: Final = 1_000_000
# Nobody waits for another: it is the time of a request that counts.
CONNECTIONS: Final = 1
TOKENS: Final = 800
GROW: Final = PEERS / "common" / "grow.py"
TABLE: Final = "auth_sessions_authsession"


@dataclass(frozen=True)
class Row:
    """What was measured at a size: kind of request -> median milliseconds, and its ratio."""

    size: int
    milliseconds: dict[str, float]
    ratios: dict[str, float]
    mebibytes: float

    def __str__(self) -> str:
        """Lay out a line of the table."""
        cells = [
            f"{self.milliseconds[kind]:.2f} ({self.ratios[kind]:.2f}x)"
            for kind in ("user", "refresh")
        ]
        return f"| {self.size:,} | {' | '.join(cells)} | {self.mebibytes:,.0f} |"


def value(server: Server, sql: str) -> str:
    """Ask the server's database for one value."""
    return statement(server.python, server.variables["DATABASE_URL"], sql)


def ask(server: Server, kind: str, seconds: float) -> dict[str, float]:
    """Let wrk send a kind of request for sessions picked at random; times are in milliseconds."""
    printed = server.python_run(GROW, "tokens", str(TOKENS)).split()
    options = server.peer.options(kind, printed[kind == "refresh" :: 2])
    request = server.peer.request(kind)
    figures = load(server, request, seconds, connections=CONNECTIONS, **options)
    return {name: figures[name] / 1000 for name in ("p50", "p99")}


def compare(small: Server, grown: Server, size: int, rounds: int, seconds: float) -> Row:
    """Ask both in turns."""
    milliseconds, ratios = {}, {}
    for kind in ("user", "refresh"):
        pairs = []
        for number in range(rounds):
            turns = (small, grown) if number % 2 else (grown, small)
            times = {id(server): ask(server, kind, seconds)["p50"] for server in turns}
            pairs.append((times[id(small)], times[id(grown)]))
        milliseconds[kind] = median(time for _, time in pairs)
        ratios[kind] = median(time / base for base, time in pairs)
    # However often they were refreshed.
    rows = int(value(grown, f"SELECT count(*) FROM {TABLE}"))
    if rows != size:
        raise SystemExit(f"{size} sessions became {rows} rows")
    size_of_table = int(value(grown, f"SELECT pg_total_relation_size('{TABLE}')"))
    return Row(size, milliseconds, ratios, size_of_table / 2**20)


def purge(server: Server, expired: int, seconds: float) -> str:
    """Let sessions expire and purge them, while refreshes go on; say how both went."""
    quiet = ask(server, "refresh", seconds)
    value(
        server,
        f"UPDATE {TABLE} SET absolute_expires_at = now() - interval '30 days' WHERE id IN "
        f"(SELECT id FROM {TABLE} ORDER BY random() LIMIT {expired})",
    )
    left = int(value(server, f"SELECT count(*) FROM {TABLE}")) - expired
    began = time.monotonic()
    process = subprocess.Popen(
        [str(server.python), "-m", "django", "purge"],
        cwd=server.peer.folder,
        env=clean_environment(**server.variables),
        stdout=subprocess.DEVNULL,
    )
    meanwhile, took = list[dict[str, float]](), 0.0
    while process.poll() is None or not meanwhile:
        meanwhile.append(ask(server, "refresh", seconds))
        took = time.monotonic() - began
    rows = int(value(server, f"SELECT count(*) FROM {TABLE}"))
    if process.returncode or rows != left:
        raise SystemExit(
            f"purge ended with {process.returncode}; of {left} sessions {rows} are left"
        )
    p50, p99 = (median(each[name] for each in meanwhile) for name in ("p50", "p99"))
    return (
        f"The purge of {expired:,} expired sessions took at most {took:.0f} s. Meanwhile a refresh "
        f"took {p50:.1f} ms (median) and {p99:.1f} ms (99th percentile); before, "
        f"{quiet['p50']:.1f} and {quiet['p99']:.1f} ms."
    )


def measure(sizes: list[int], expired: int, rounds: int, seconds: float) -> Iterator[str]:
    """Serve both, and yield the lines of the report."""
    with ExitStack() as stack:
        small, grown = (
            stack.enter_context(prepared(DEFAULT, suffix)) for suffix in ("small", "grown")
        )
        for server in (small, grown):
            # It is copied: whoever has its password has theirs.
            server.seed("fast", 1, FAST_HASHER="1")
            stack.enter_context(server.serving(FAST_HASHER="1"))
            server.log_in("fast0")
            server.python_run(GROW, "fill", str(SMALL))
        yield "| users and sessions | own user, ms | refresh, ms | sessions with indexes, MiB |"
        yield "|---|---|---|---|"
        for size in (SMALL, *sizes):
            server_began = time.monotonic()
            grown.python_run(GROW, "fill", str(size))
            print(f"{size:,} rows after {time.monotonic() - server_began:.0f} s", flush=True)
            row = str(compare(small, grown, size, rounds, seconds))
            print(row, flush=True)
            yield row
        yield ""
        yield purge(grown, expired, seconds)
        yield ""
        where = machine(small.python)
        yield f"{where}; {rounds} rounds of {seconds:g} s over one connection."


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--sizes", nargs="*", type=int, default=list(SIZES))
    parser.add_argument("--expired", type=int, default=EXPIRED)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--output", type=Path, default=ROOT / "docs", help="a folder")
    arguments = parser.parse_args()
    render()
    lines = measure(arguments.sizes, arguments.expired, arguments.rounds, arguments.seconds)
    report = "\n".join(lines)
    publish("growth", report, arguments.output)


if __name__ == "__main__":
    main()
