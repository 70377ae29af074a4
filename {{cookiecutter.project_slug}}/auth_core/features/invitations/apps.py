"""The Django application of the invitations."""

from django.apps import AppConfig


class InvitationsConfig(AppConfig):
    name = "auth_core.features.invitations"
    label = "auth_invitations"
    verbose_name = "Invitations"
