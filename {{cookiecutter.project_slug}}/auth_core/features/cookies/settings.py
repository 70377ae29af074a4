"""Settings of the cookies."""

from corsheaders.defaults import default_headers

TOKEN_DELIVERY = "auth_core.features.cookies.delivery.CookieDelivery"
# Lax, Strict, or None for a frontend of another site, which CORS_ALLOWED_ORIGINS must name.
TOKEN_COOKIE_SAMESITE = "Lax"
INSTALLED_APPS = ["auth_core.features.cookies"]
SESSION_AUTHENTICATION_CLASS = "auth_core.features.cookies.authentication.CookieAuthentication"
CORS_ALLOW_CREDENTIALS = True
CORS_ALLOW_HEADERS = [*default_headers, "x-csrf-token", "x-token-delivery", "x-request-id"]
SCHEMA_OPERATIONS = ["auth_core.features.cookies.schema.describe"]
SCHEMA_EXAMPLES = {"csrf_token": "NONCE.PROOF"}
SCHEMA_FIRST = ["csrf"]
