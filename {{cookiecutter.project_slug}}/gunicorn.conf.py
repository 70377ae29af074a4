"""How gunicorn serves this project: `gunicorn config.wsgi` reads this file by itself.

gunicorn wants a proxy in front of it that takes in slow requests (nginx, Caddy, a load balancer).
What reaches it all the same is bounded here, and by its defaults for a request line (4094 bytes)
and headers (100 of 8190 bytes).
"""

import os
import signal
import socket
import struct
from typing import Any

workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = 4
# Seconds: a worker that stopped reporting is replaced; requests may finish at a restart; an idle
# connection is kept.
timeout = 30
graceful_timeout = 30
keepalive = 5
# Seconds in which a client that began a request must send more of it.
STALL_SECONDS = 10
# Seconds between the signal to stop and the stop: everything is served, but /health/ready is 503, so
# that a load balancer turns away in time. A second signal stops at once.
DRAIN_SECONDS = 5
# Whose X-Forwarded-* is believed, Django decides by TRUSTED_PROXIES.
forwarded_allow_ips = ""
# A second way to rule the server, by a socket in the home folder: not on a read-only disk.
control_socket_disable = True
# To standard output, as JSON; paths without their query strings.
logger_class = "auth_core.http.access_log.AccessLog"
accesslog = "-"


def on_starting(server: Any) -> None:
    from auth_core import features

    for feature in features.modules("serving"):
        feature.begin(server)


def on_exit(server: Any) -> None:
    from auth_core import features

    for feature in features.modules("serving"):
        feature.end(server)


def when_ready(server: Any) -> None:
    bound_stalls(server)
    drain_before_stop()


def drain_before_stop() -> None:
    """Put a time between SIGTERM and what gunicorn does then: it stops to accept at once."""
    from auth_core.http.draining import begin_draining

    stop = signal.getsignal(signal.SIGTERM)

    def drain(*_: Any) -> None:
        begin_draining()
        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGTERM))
        signal.alarm(DRAIN_SECONDS)

    if DRAIN_SECONDS:
        signal.signal(signal.SIGTERM, drain)


def bound_stalls(server: Any) -> None:
    """Let no stalled client keep a thread: accepted connections inherit the time limit."""
    for listener in server.LISTENERS:
        limit = struct.pack("ll", STALL_SECONDS, 0)
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
