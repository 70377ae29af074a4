"""The workers, threads and time limits of the rendered project's gunicorn.conf.py, an access log as well."""

workers = 2
threads = 4
timeout = 30
keepalive = 5
accesslog = "-"
