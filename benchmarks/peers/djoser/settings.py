"""djoser with simplejwt as its documentation says, with rotation and blacklist."""

from common import *  # noqa: F403
from common import INSTALLED_APPS

INSTALLED_APPS = [
    *INSTALLED_APPS,
    "rest_framework",
    "rest_framework_simplejwt.token_blacklist",
    "djoser",
]
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework_simplejwt.authentication.JWTAuthentication"]
}
