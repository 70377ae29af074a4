"""The Django application of the invitations."""

from django.apps import AppConfig
from django.conf import settings

from auth_core import dotted_paths


class InvitationsConfig(AppConfig):
    name = "auth_core.features.invitations"
    label = "auth_invitations"
    verbose_name = "Invitations"

    def ready(self) -> None:
        name = "INVITATION_PERMISSION"
        dotted_paths.demand(name, getattr(settings, name))
