"""The Django application of the users."""

from django.apps import AppConfig


class UsersConfig(AppConfig):
    name = "users"
