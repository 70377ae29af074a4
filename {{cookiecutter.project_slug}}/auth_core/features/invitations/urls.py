"""URLs of the invitations, and of the registration that needs one."""

from django.urls import path

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
