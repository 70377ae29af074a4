"""The ASGI application that a server runs."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# A server that was told nothing is in production; `make run` does not come here.
os.environ.setdefault("DJANGO_ENV", "production")

application = get_asgi_application()
