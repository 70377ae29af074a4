"""The Django application of the logins at other providers."""

from django.apps import AppConfig


class SocialConfig(AppConfig):
    name = "auth_core.features.social"
    label = "auth_social"
    verbose_name = "Logins at other providers"
