"""Tells the OpenAPI schema how to authenticate."""

from drf_spectacular.contrib.rest_framework_simplejwt import SimpleJWTScheme


class SessionTokenScheme(SimpleJWTScheme):
    target_class = "auth_core.sessions.authentication.SessionTokenAuthentication"
    name = "accessToken"
