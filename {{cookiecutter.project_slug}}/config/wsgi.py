"""The WSGI application that a server runs."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# A server that was told nothing is in production; `make run` has read its settings before this.
os.environ.setdefault("DJANGO_ENV", "production")

application = get_wsgi_application()
