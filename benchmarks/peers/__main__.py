"""How fast the default project is beside its peers: `python -m benchmarks.peers`.

Builds each peer of this folder and the rendered default project, serves them side by side on one
PostgreSQL, lets wrk ask them in turns, and writes a table (Markdown) and a chart (SVG) of medians.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.chart import chart
from benchmarks.servers import (
    CACHE,
    EVERY_PEER,
    ROOT,
    Peer,
    Request,
    Server,
    load,
    machine,
    prepared,
    publish,
    render,
)

STOCK = "stock"
TITLES = {
    "user": "own user",
    "refresh": "refresh",
    "login": "login, no hash",
    "register": "registration, no hash",
    "hashed_login": "login, shipped hash",
}
# Each has a token of its own, so that rotation starves no connection of wrk.
TOKENS = 24
USERS = 1000
# PBKDF2 takes most of one.
SECONDS_OF_HASHES = 6
# Where it is asked only whether all of it runs.
QUICK_SECONDS, QUICK_SECONDS_OF_HASHES = 0.3, 2
# Of a worker: ours hashes one password at a time, and refuses where more than two wait.
HASHED_AT_ONCE = 2
NONE = "none"
HTTP_OK, HTTP_CREATED = 200, 201

Cells = dict[tuple[str, str], float]


def request_of(peer: Peer, kind: str) -> Request | None:
    """Return what a peer is asked in a column; None where it has no such request."""
    request: Request | None = getattr(peer, "login" if kind == "hashed_login" else kind)
    return request


class Run:
    """The figures of a run: (peer, column) -> requests per second, one for each round."""

    def __init__(self, servers: list[Server], seconds: float, of_hashes: float) -> None:
        self.servers = servers
        self.seconds = seconds
        self.seconds_of_hashes = of_hashes
        self.rates: dict[tuple[str, str], list[float]] = defaultdict(list)
        # Milliseconds of the workers' processor time for a request: other work shows less in it.
        self.cpu: dict[tuple[str, str], list[float]] = defaultdict(list)
        self.memory: Cells = {}
        self.queries: Cells = {}
        self.names = 0

    def one(self, server: Server, kind: str) -> None:
        """Let one peer answer one kind of request for a while."""
        peer = server.peer
        request = request_of(peer, kind)
        if request is None:
            return
        options: dict[str, Any] = {}
        if kind in {"user", "refresh"}:
            pairs = [server.log_in(f"fast{number}") for number in range(TOKENS)]
            options = peer.options(kind, [pair[kind == "refresh"] for pair in pairs])
        if kind == "login":
            options |= {"prefix": "fast", "names": USERS, "first": self.names}
        if kind == "register":
            options |= {"prefix": "new", "first": self.names}
        if kind == "hashed_login":
            connections = HASHED_AT_ONCE * len(server.workers())
            options |= {"prefix": "slow", "names": 10, "connections": connections}
        self.names += 1_000_000
        seconds = self.seconds_of_hashes if kind == "hashed_login" else self.seconds
        before = server.cpu_seconds()
        figures = load(server, request, seconds, **options)
        used = (server.cpu_seconds() - before) / figures["requests"]
        self.rates[peer.name, kind].append(figures["rate"])
        self.cpu[peer.name, kind].append(used * 1000)

    def rounds(self, count: int, kinds: list[str], *, held: int = 0, **variables: str) -> None:
        """Serve all peers at once and ask them in turns; the first one of a round changes."""
        with ExitStack() as stack:
            for server in self.servers:
                stack.enter_context(server.serving(held, **variables))
            if "COUNT_QUERIES" in variables:
                self.count_queries_of_all()
            for number in range(count):
                shift = number % len(self.servers)
                for kind in kinds:
                    for server in (*self.servers[shift:], *self.servers[:shift]):
                        self.one(server, kind)
                print(f"round {number + 1} of {count}: {', '.join(kinds)}", flush=True)
            if "user" in kinds:
                self.memory = {(s.peer.name, "memory"): s.mebibytes() for s in self.servers}

    def count_queries_of_all(self) -> None:
        """Ask each peer one request of each kind, after one that warms caches up."""
        for server in self.servers:
            for attempt in range(3):
                self._count_queries(server, f"counted{attempt}")

    def _count_queries(self, server: Server, new: str) -> None:
        peer = server.peer
        access, refresh = server.log_in("fast0")
        server.ask(peer.user, "", access)
        asked = {
            "user": (peer.user, "", access),
            "login": (peer.login, "fast0", ""),
            "register": (peer.register, new, ""),
            "refresh": (peer.refresh, "", refresh),
        }
        for kind, (request, name, token) in asked.items():
            if request is None:
                continue
            status, body, queries = server.ask(request, name, token)
            if status not in {HTTP_OK, HTTP_CREATED} and not is_verification(status, body):
                raise SystemExit(f"{peer.name}: {request.target} answered {status}: {body}")
            self.queries[peer.name, kind] = queries


def is_verification(status: int, body: object) -> bool:
    """Say whether allauth's answer to a registration is that the address must be verified first."""
    return status == 401 and "verify_email" in str(body)  # noqa: PLR2004


def cells_of(run: Run) -> dict[tuple[str, str], str]:
    """Lay out each cell: requests a second, how many times stock's, the workers' processor time."""
    rates = {cell: median(each) for cell, each in run.rates.items()}
    cells = {}
    for server in run.servers:
        name = server.peer.name
        for kind in TITLES:
            rate, stock = rates.get((name, kind)), rates[STOCK, kind]
            cells[name, kind] = NONE
            if rate is not None:
                spent = median(run.cpu[name, kind])
                cells[name, kind] = f"{rate:.3g} ({rate / stock:.2f}x, {spent:.1f} ms)"
        kinds = ("user", "refresh", "login", "register")
        counted = [run.queries.get((name, kind)) for kind in kinds]
        cells[name, "queries"] = " / ".join(NONE if n is None else f"{n:.0f}" for n in counted)
        cells[name, "memory"] = f"{run.memory[name, 'memory']:.0f}"
        cells[name, "leaves_out"] = server.peer.leaves_out
    return cells


def table(run: Run) -> Iterator[str]:
    """Write the table's lines."""
    titles = {
        **TITLES,
        "queries": "SQL: user / refresh / login / registration",
        "memory": "MiB per worker",
        "leaves_out": "what it leaves out",
    }
    yield f"| server | {' | '.join(titles.values())} |"
    yield f"|---|{'---|' * len(titles)}"
    cells = cells_of(run)
    for server in run.servers:
        row = " | ".join(cells[server.peer.name, kind] for kind in titles)
        yield f"| {server.peer.label} | {row} |"


def ratios(run: Run) -> Mapping[str, Mapping[str, float]]:
    """Return column -> peer -> how many times stock's requests per second."""
    rates = {cell: median(each) for cell, each in run.rates.items()}
    return {
        title: {
            server.peer.label: rates[server.peer.name, kind] / rates[STOCK, kind]
            for server in run.servers
            if (server.peer.name, kind) in rates
        }
        for kind, title in TITLES.items()
    }


def main() -> None:
    """Measure, and write the table and the chart."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few seconds for each peer")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5, help="of each peer, kind and round")
    parser.add_argument("--output", type=Path, default=ROOT / "docs", help="a folder")
    parser.add_argument("--only", nargs="*", help="names of peers; stock is always among them")
    arguments = parser.parse_args()
    rounds, seconds, of_hashes = (
        (1, QUICK_SECONDS, QUICK_SECONDS_OF_HASHES)
        if arguments.quick
        else (arguments.rounds, arguments.seconds, max(arguments.seconds, SECONDS_OF_HASHES))
    )
    chosen = [
        peer for peer in EVERY_PEER if not arguments.only or peer.name in {STOCK, *arguments.only}
    ]
    CACHE.mkdir(parents=True, exist_ok=True)
    render()
    with ExitStack() as stack:
        servers = [stack.enter_context(prepared(peer)) for peer in chosen]
        for server in servers:
            server.seed("fast", USERS, FAST_HASHER="1")
            server.seed("slow", 10)
        run = Run(servers, seconds, of_hashes)
        kinds = ["user", "refresh", "login", "register"]
        # Where nothing is judged, few connections to the database do, and the same servers count.
        counted = (rounds, kinds) if arguments.quick else (0, [])
        run.rounds(*counted, FAST_HASHER="1", WEB_CONCURRENCY="1", COUNT_QUERIES="1")
        processes = "1" if arguments.quick else "2"
        if not arguments.quick:
            run.rounds(rounds, kinds, FAST_HASHER="1", WEB_CONCURRENCY=processes)
        run.rounds(rounds, ["hashed_login"], held=HASHED_AT_ONCE, WEB_CONCURRENCY=processes)
        where = machine(servers[0].python)
        report = "\n".join([*table(run), "", f"{where}; {rounds} rounds of {seconds} s."])
    publish("peers", report, arguments.output)
    (arguments.output / "benchmarks-peers.svg").write_text(chart(ratios(run)), "utf-8")


if __name__ == "__main__":
    main()
