"""django-rest-knox: opaque tokens, hashed at rest; login as its documentation says."""

from common import *  # noqa: F403
from common import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "rest_framework", "knox"]
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["knox.auth.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
}
