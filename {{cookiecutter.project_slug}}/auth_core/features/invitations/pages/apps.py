"""The Django application of the page."""

from django.apps import AppConfig

from auth_core.features.pages.extensions import Extension


class InvitationPagesConfig(Extension, AppConfig):
    name = "auth_core.features.invitations.pages"
    label = "auth_invitation_pages"
    verbose_name = "Pages of invitations"
    pages = {"accept-invitation": "pages/accept_invitation.html"}
