"""Run inside a rendered project, by its Python: which status each path answers GET with.

python -W error prefixes.py PATH=STATUS ...
"""

import os
import sys

import django
from django.test import Client

if __name__ == "__main__":
    sys.path.insert(0, os.getcwd())  # noqa: PTH109
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    django.setup()
    for path, _, status in (word.rpartition("=") for word in sys.argv[1:]):
        response = Client(HTTP_HOST="127.0.0.1").get(path)
        assert response.status_code == int(status), f"{path}: {response.status_code}, not {status}"
