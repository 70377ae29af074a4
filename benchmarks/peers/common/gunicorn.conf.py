"""Workers, threads and limits of the rendered project's gunicorn.conf.py, and an access log."""

workers = 2
threads = 4
timeout = 30
keepalive = 5
accesslog = "-"
