"""django-ninja with django-ninja-jwt as its documentation says, with rotation and blacklist."""

from common import *  # noqa: F403
from common import INSTALLED_APPS, SIMPLE_JWT

INSTALLED_APPS = [*INSTALLED_APPS, "ninja_extra", "ninja_jwt", "ninja_jwt.token_blacklist"]
NINJA_JWT = SIMPLE_JWT
