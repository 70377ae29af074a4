"""Prometheus metrics of the whole server, on an address of their own; alerts and a dashboard in monitoring/."""
