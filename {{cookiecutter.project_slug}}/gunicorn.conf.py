"""How gunicorn serves this project: `gunicorn config.wsgi` reads this file by itself.

gunicorn wants a proxy in front of it that takes in slow requests (nginx, Caddy, a load balancer).
What reaches it all the same is bounded here, and by its defaults for a request line (4094 bytes)
and headers (100 of 8190 bytes).
"""

import os
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
# Whose X-Forwarded-* is believed, Django decides by TRUSTED_PROXIES.
forwarded_allow_ips = ""
# To standard output, as JSON; paths without their query strings.
logger_class = "auth_core.http.access_log.AccessLog"
accesslog = "-"


def when_ready(server: Any) -> None:
    """Let no stalled client keep a thread: accepted connections inherit the time limit."""
    for listener in server.LISTENERS:
        limit = struct.pack("ll", STALL_SECONDS, 0)
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
