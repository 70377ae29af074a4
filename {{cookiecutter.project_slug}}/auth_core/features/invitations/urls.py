"""URLs of the invitations, of the registration that needs one, and of its page where pages are built in."""

from django.conf import settings
from django.urls import path
from django.views.generic import TemplateView

from auth_core import policy

from . import views

INVITATIONS = f"{policy.AUTH_URL_PREFIX}/invitations"

urlpatterns = [
    path(f"{INVITATIONS}/", views.InvitationListView.as_view(), name="invitation_list"),
    path(f"{INVITATIONS}/<uuid:pk>/", views.InvitationView.as_view(), name="invitation"),
    path(
        f"{INVITATIONS}/<uuid:pk>/resend/",
        views.ResendInvitationView.as_view(),
        name="invitation_resend",
    ),
    path(
        f"{policy.REGISTRATION_URL_PREFIX}/",
        views.InvitedRegisterView.as_view(),
        name="rest_register",
    ),
]

if settings.FRONTEND_PATH:  # set by the built-in pages, whose frame the page extends
    page = TemplateView.as_view(
        template_name="invitations/accept_invitation.html",
        extra_context={
            "project_name": policy.PROJECT_NAME,
            "password_min_length": policy.PASSWORD_MIN_LENGTH,
            "has_usernames": policy.LOGIN_WITH != "email",
        },
    )
    urlpatterns.append(path(f"{settings.FRONTEND_PATH}accept-invitation", page))
