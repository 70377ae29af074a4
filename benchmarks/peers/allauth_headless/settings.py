"""allauth headless with its JWT strategy, whose tokens open a view of DRF."""

from common import *  # noqa: F403
from common import INSTALLED_APPS, MIDDLEWARE, SECRET_KEY

INSTALLED_APPS = [
    *INSTALLED_APPS,
    "rest_framework",
    "allauth",
    "allauth.account",
    "allauth.headless",
]
MIDDLEWARE = [*MIDDLEWARE, "allauth.account.middleware.AccountMiddleware"]
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
HEADLESS_ONLY = True
HEADLESS_CLIENTS = ("app",)
HEADLESS_TOKEN_STRATEGY = "allauth.headless.tokens.strategies.jwt.JWTTokenStrategy"
HEADLESS_JWT_ALGORITHM = "HS256"
HEADLESS_JWT_PRIVATE_KEY = SECRET_KEY
HEADLESS_FRONTEND_URLS = {"account_confirm_email": "https://app.example.com/verify/{key}"}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "allauth.headless.contrib.rest_framework.authentication.JWTTokenAuthentication"
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
}
# Logins by name, which is what every peer is asked for.
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_RATE_LIMITS = False
