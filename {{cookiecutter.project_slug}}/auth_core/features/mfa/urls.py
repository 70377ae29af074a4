"""URLs of the second factor; one of the kernel's comes before it, and asks for a code besides."""

from django.urls import path

from auth_core import policy

from . import views

AUTH = policy.AUTH_URL_PREFIX

urlpatterns = [
    path(f"{AUTH}/reauthenticate/", views.ReauthenticateView.as_view(), name="reauthenticate"),
    path(f"{AUTH}/mfa/verify/", views.VerifyView.as_view(), name="mfa_verify"),
    path(f"{AUTH}/mfa/status/", views.StatusView.as_view(), name="mfa_status"),
    path(f"{AUTH}/mfa/totp/activate/", views.ActivateView.as_view(), name="mfa_totp_activate"),
    path(
        f"{AUTH}/mfa/totp/deactivate/", views.DeactivateView.as_view(), name="mfa_totp_deactivate"
    ),
    path(f"{AUTH}/mfa/undo/", views.UndoView.as_view(), name="mfa_undo"),
    path(
        f"{AUTH}/mfa/recovery-codes/regenerate/",
        views.RenewRecoveryCodesView.as_view(),
        name="mfa_recovery_codes_regenerate",
    ),
]
