"""Bounds what a provider can cost: the time of one step, all its requests together, and the size of an answer.

requests bounds each silence alone: with a byte now and then an answer holds a thread as long as it likes.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from io import BytesIO
from threading import Timer
from typing import Any

import requests
from django.conf import settings
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError


class Deadline:
    """Cuts the connections of a step when its time is over, whatever they wait for."""

    def __init__(self, seconds: float) -> None:
        self.is_over = False
        self._sockets: list[socket.socket] = []
        self._timer = Timer(seconds, self._cut)
        self._timer.daemon = True
        self._timer.start()

    def watch(self, connected: socket.socket) -> None:
        # A second handle of the same connection, which TLS does not take over.
        self._sockets.append(connected.dup())
        if self.is_over:
            self._hang_up()

    def _cut(self) -> None:
        self.is_over = True
        self._hang_up()

    def _hang_up(self) -> None:
        for each in self._sockets:
            with suppress(OSError):  # it is closed by the other side
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Leave no connection open: what was not read would keep the provider sending."""
        self._timer.cancel()
        self._hang_up()
        for each in self._sockets:
            each.close()


_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@contextmanager
def bounded() -> Iterator[None]:
    """Give what is asked of a provider within SOCIAL_SECONDS altogether; raises requests.Timeout beyond."""
    seconds: float = settings.SOCIAL_SECONDS  # type: ignore[misc] # of a feature: mypy reads the kernel's
    deadline = Deadline(seconds)
    before = _current.set(deadline)
    try:
        yield
    except Exception as error:
        # Whatever it looks like to who was reading.
        if deadline.is_over:
            raise requests.Timeout from error
        raise
    else:
        if deadline.is_over:  # cut off, an answer may pass for a whole one
            raise requests.Timeout
    finally:
        _current.reset(before)
        deadline.close()


class _Watched:
    def _new_conn(self) -> socket.socket:
        connected: socket.socket = super()._new_conn()  # type: ignore[misc]
        if (deadline := _current.get()) is not None:
            deadline.watch(connected)
        return connected


class _WatchedHTTP(_Watched, HTTPConnection):
    pass


class _WatchedHTTPS(_Watched, HTTPSConnection):
    pass


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _WatchedHTTP


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedHTTPS


class BoundedAdapter(HTTPAdapter):
    """Connects so that the deadline sees it, also by a proxy; takes no large answer."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self._watch(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        return self._watch(super().proxy_manager_for(*args, **kwargs))

    @staticmethod
    def _watch(manager: Any) -> Any:
        manager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
        return manager


def read_bounded(response: requests.Response, *args: Any, **kwargs: Any) -> None:
    """Read an answer of at most SOCIAL_ANSWER_BYTES, unpacked; raises requests.RequestException: a hook."""
    most: int = settings.SOCIAL_ANSWER_BYTES  # type: ignore[misc] # of a feature: mypy reads the kernel's
    try:
        content = response.raw.read(most + 1, decode_content=True)
    except HTTPError as error:
        raise requests.ConnectionError(error) from error
    response.close()
    if len(content) > most:
        raise requests.RequestException("The answer is too large.")
    response.raw = BytesIO(content)
