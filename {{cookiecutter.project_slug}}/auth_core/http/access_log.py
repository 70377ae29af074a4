"""What gunicorn logs: lines like the application's, without what stands behind a path's question mark."""

import logging
import sys
from datetime import timedelta
from typing import Any

from gunicorn.glogging import Logger

from auth_core.audit.lines import JsonFormatter


class AccessLog(Logger):
    """Writes to standard output, each request without its query string and headers (ASVS 14.2.1, 16.2.5)."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for handler in (*self.error_log.handlers, *self.access_log.handlers):
            handler.setFormatter(JsonFormatter())
            if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stderr:
                handler.setStream(sys.stdout)

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta) -> None:
        headers = {name.lower(): value for name, value in resp.headers}
        fields = {
            "request_id": headers.get("x-request-id", ""),
            "method": environ["REQUEST_METHOD"],
            "path": environ["RAW_URI"].partition("?")[0],
            "status": int(str(resp.status).split(maxsplit=1)[0]),
            "bytes": resp.sent,
            "milliseconds": round(request_time / timedelta(milliseconds=1)),
            # The proxy's, where one stands in front: the application's lines have the client's.
            "peer": environ.get("REMOTE_ADDR", ""),
            "user_agent": environ.get("HTTP_USER_AGENT", "")[:200],
        }
        self.access_log.info("request", extra={"audit": fields})
