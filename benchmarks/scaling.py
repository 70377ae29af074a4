"""What more processes and hosts give: `python -m benchmarks.scaling`.

Serves the rendered default project on one PostgreSQL by one process, by two, and by two hosts of
one process each, and lets wrk ask these in turns; of two hosts each gets half of the connections.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.servers import DEFAULT, ROOT, Server, load, machine, prepared, publish, render

KINDS: Final = {"user": "own user", "refresh": "refresh"}
# Title -> the processes of each host.
WAYS: Final = {"1 process": (1,), "2 processes": (2,), "2 hosts of 1 process": (1, 1)}
CONNECTIONS: Final = 8
# Of each host; a token that is being exchanged is nobody else's.
TOKENS: Final = 12


def ask(hosts: list[Server], kind: str, seconds: float) -> float:
    """Let wrk ask all hosts at once; return the requests of a second that succeeded."""
    request = DEFAULT.request(kind)
    loads: list[partial[Mapping[str, float]]] = []
    for number, host in enumerate(hosts):
        names = range(number * TOKENS, (number + 1) * TOKENS)
        tokens = [host.log_in(f"fast{each}")[kind == "refresh"] for each in names]
        options = DEFAULT.options(kind, tokens) | {"connections": CONNECTIONS // len(hosts)}
        loads.append(partial(load, host, request, seconds, **options))
    with ThreadPoolExecutor(len(hosts)) as pool:
        rates: list[float] = list(pool.map(lambda asked: asked()["rate"], loads))
        return sum(rates)


def measure(rounds: int, seconds: float) -> Iterator[str]:
    """Yield the lines of the report."""
    rates: dict[tuple[str, str], list[float]] = defaultdict(list)
    with ExitStack() as stack:
        server = stack.enter_context(prepared(DEFAULT))
        server.seed("fast", 2 * TOKENS, FAST_HASHER="1")
        ways: dict[str, list[Server]] = {}
        for way, processes in WAYS.items():
            ways[way] = [replace(server, name=f"{way} {host}") for host in range(len(processes))]
            for host, count in zip(ways[way], processes, strict=True):
                variables = {"FAST_HASHER": "1", "WEB_CONCURRENCY": str(count)}
                stack.enter_context(host.serving(CONNECTIONS, **variables))
        for _ in range(rounds):
            for kind in KINDS:
                for way, hosts in ways.items():
                    rates[way, kind].append(ask(hosts, kind, seconds))
        where = machine(server.python)
    yield f"| served by | {' | '.join(KINDS.values())} |"
    yield f"|---|{'---|' * len(KINDS)}"
    first, *_ = WAYS
    for way in WAYS:
        medians = [(median(rates[way, kind]), median(rates[first, kind])) for kind in KINDS]
        cells = [f"{rate:.3g} ({rate / one:.2f}x)" for rate, one in medians]
        yield f"| {way} | {' | '.join(cells)} |"
    yield ""
    yield f"{where}; {rounds} rounds of {seconds:g} s over {CONNECTIONS} connections."


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scaling", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--output", type=Path, default=ROOT / "docs", help="a folder")
    arguments = parser.parse_args()
    render()
    publish("scaling", "\n".join(measure(arguments.rounds, arguments.seconds)), arguments.output)


if __name__ == "__main__":
    main()
