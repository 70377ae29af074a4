"""A pytest plugin for a rendered project's own tests: run one share of them, and a few slow ones.

pytest -p deal --share 0/3 --slow-share 7/25
"""

import gc
from zlib import crc32

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--share", default="0/1")
    parser.addoption("--slow-share", default="0/1")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    def is_dealt(item: pytest.Item) -> bool:
        name = "--slow-share" if item.get_closest_marker("slow") else "--share"
        share, shares = map(int, config.getoption(name).split("/"))
        return crc32(item.nodeid.encode()) % shares == share

    config.hook.pytest_deselected(items=[item for item in items if not is_dealt(item)])
    items[:] = filter(is_dealt, items)


def pytest_collection_finish() -> None:
    """Keep the collector from looking at all that is imported, again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
