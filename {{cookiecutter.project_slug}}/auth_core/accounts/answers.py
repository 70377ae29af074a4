"""The answer to a login or a registration; apart, because it needs the team's user serializer."""

from dj_rest_auth.app_settings import api_settings

from auth_core.sessions.serializers import TokenPairSerializer


class LoginAnswer(TokenPairSerializer):
    """{"access", "refresh", "access_expiration", "refresh_expiration", "user": {...}}."""

    user = api_settings.USER_DETAILS_SERIALIZER()
