"""Settings of the metrics."""

from auth_core import env

INSTALLED_APPS = ["auth_core.features.metrics"]
# The innermost: it knows the route, and sees the answer of every view.
MIDDLEWARE = ["auth_core.features.metrics.instruments.MeasureRequests"]
# HOST:PORT for Prometheus alone; empty: nothing is served. The API has no path for it.
METRICS_ADDRESS = env.read("METRICS_ADDRESS")
_host, _, _port = METRICS_ADDRESS.rpartition(":")
if METRICS_ADDRESS and not (_host and _port.isascii() and _port.isdigit()):
    env.refuse(
        "METRICS_ADDRESS",
        f"{METRICS_ADDRESS!r} is not HOST:PORT",
        "for example METRICS_ADDRESS=127.0.0.1:9100",
    )
