"""Settings of the pages."""

from importlib.util import find_spec
from pathlib import Path

from auth_core import features

# What other features add to the pages stands in a folder `pages` of theirs.
INSTALLED_APPS = [
    "auth_core.features.pages",
    *(f"{name}.pages" for name in features.installed() if find_spec(f"{name}.pages")),
]
FRONTEND_PATH = "account/"
# The client, which a project with a frontend of its own takes from the folder.
STATICFILES_DIRS = [("auth_core", Path(__file__).parents[2] / "client")]
# Before all applications: Django's admin says some of the same, otherwise.
LOCALE_PATHS = [Path(__file__).with_name("locale")]
# The first is for who asks for none of them. Another one needs a locale/ in LOCALE_PATHS.
PAGES_LANGUAGES = ["en", "de", "ar"]
