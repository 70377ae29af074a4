"""A pytest plugin for a rendered project's own tests: run one share of their files, few slow ones.

pytest -p deal --share 0/3 --slow-share 7/25
"""

import gc
from pathlib import Path
from zlib import crc32

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--share", default="0/1")
    parser.addoption("--slow-share", default="0/1")


def is_dealt(file: Path, config: pytest.Config, option: str) -> bool:
    share, shares = map(int, config.getoption(option).split("/"))
    return crc32(file.relative_to(config.rootpath).as_posix().encode()) % shares == share


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave files of which nothing is run unread: to read all takes longer than many a share."""
    if not collection_path.match("test_*.py") or is_dealt(collection_path, config, "--share"):
        return None
    has_slow = is_dealt(collection_path, config, "--slow-share") and (
        "mark.slow" in collection_path.read_text("utf-8")
    )
    return None if has_slow else True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    def is_run(item: pytest.Item) -> bool:
        option = "--slow-share" if item.get_closest_marker("slow") else "--share"
        return is_dealt(item.path, config, option)

    config.hook.pytest_deselected(items=[item for item in items if not is_run(item)])
    items[:] = filter(is_run, items)


def pytest_collection_finish() -> None:
    """Keep the collector from looking at all that is imported, again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
