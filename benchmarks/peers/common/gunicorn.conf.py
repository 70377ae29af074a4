"""Workers, threads and limits of the rendered project's gunicorn.conf.py, and an access log."""

import os

workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = 4
timeout = 30
keepalive = 5
accesslog = "-"
