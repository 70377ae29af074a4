"""Wiring: settings, URLs, WSGI and ASGI of this project."""
