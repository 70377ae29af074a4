"""The whole HTTP surface, path by path: nothing is included that was not listed here on purpose."""

from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, URLResolver, path
from django.views.generic import RedirectView
from drf_spectacular.views import (
    SpectacularAPIView,
    SpectacularRedocView,
    SpectacularSwaggerSplitView,
)

from . import features, policy
from .accounts import closing, email_change, reauthentication, recovery
from .accounts import views as accounts
from .http import views as http
from .http.jwks import jwks
from .sessions import views as sessions

handler400 = "auth_core.http.errors.bad_request"
handler403 = "auth_core.http.errors.permission_denied"
handler404 = "auth_core.http.errors.not_found"
handler500 = "auth_core.http.errors.server_error"

AUTH = policy.AUTH_URL_PREFIX
REGISTRATION = policy.REGISTRATION_URL_PREFIX


def admin_urls() -> list[URLPattern | URLResolver]:
    where: str = settings.ADMIN_PATH
    if not where:
        return []
    redirect = RedirectView.as_view(pattern_name="admin:index")
    return [path(where, redirect), path(f"{where}/", admin.site.urls)]


urlpatterns: list[URLPattern | URLResolver] = [
    # A feature may stand in the place of what follows.
    *features.urlpatterns(),
    # Each is tried in turn: these are asked for most.
    path(f"{AUTH}/user/", closing.AccountView.as_view(), name="rest_user_details"),
    path(f"{policy.REFRESH_URL}/", sessions.RefreshView.as_view(), name="token_refresh"),
    path(f"{AUTH}/login/", accounts.LoginView.as_view(), name="rest_login"),
    path(f"{AUTH}/logout/", sessions.LogoutView.as_view(), name="rest_logout"),
    path(f"{AUTH}/logout/all/", sessions.LogoutAllView.as_view(), name="logout_all"),
    path(f"{AUTH}/sessions/", sessions.SessionListView.as_view(), name="session_list"),
    path(f"{AUTH}/sessions/<uuid:pk>/", sessions.SessionView.as_view(), name="session"),
    path(f"{AUTH}/token/verify/", sessions.VerifyView.as_view(), name="token_verify"),
    path(f"{AUTH}/user/export/", closing.ExportView.as_view(), name="user_export"),
    path(
        f"{AUTH}/reauthenticate/",
        reauthentication.ReauthenticateView.as_view(),
        name="reauthenticate",
    ),
    path(f"{AUTH}/email/change/", email_change.EmailChangeView.as_view(), name="email_change"),
    path(
        f"{AUTH}/email/change/confirm/",
        email_change.EmailChangeConfirmView.as_view(),
        name="email_change_confirm",
    ),
    path(
        f"{AUTH}/email/change/undo/",
        email_change.EmailChangeUndoView.as_view(),
        name="email_change_undo",
    ),
    path(f"{AUTH}/password/policy/", accounts.PasswordPolicyView.as_view(), name="password_policy"),
    path(
        f"{AUTH}/password/change/",
        accounts.PasswordChangeView.as_view(),
        name="rest_password_change",
    ),
    path(
        f"{AUTH}/password/reset/", recovery.PasswordResetView.as_view(), name="rest_password_reset"
    ),
    path(
        f"{AUTH}/password/reset/confirm/",
        recovery.PasswordResetConfirmView.as_view(),
        name="rest_password_reset_confirm",
    ),
    path(
        f"{REGISTRATION}/verify-email/",
        accounts.VerifyEmailView.as_view(),
        name="rest_verify_email",
    ),
    path(
        f"{REGISTRATION}/resend-email/",
        accounts.ResendEmailView.as_view(),
        name="rest_resend_email",
    ),
    path(
        f"{REGISTRATION}/reject/",
        accounts.RejectRegistrationView.as_view(),
        name="registration_reject",
    ),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path(
        "api/docs/",
        # Its template could not render DRF's answer to OPTIONS.
        SpectacularSwaggerSplitView.as_view(url_name="schema", http_method_names=["get", "head"]),
        name="docs",
    ),
    path(
        "api/docs/redoc/",
        SpectacularRedocView.as_view(
            url_name="schema",
            template_name="documents/redoc.html",
            http_method_names=["get", "head"],
        ),
        name="redoc",
    ),
    path("health/live", http.live, name="health_live"),
    path("health/ready", http.ready, name="health_ready"),
    *admin_urls(),
]

if policy.SIGNING_ALGORITHM != "HS256":
    urlpatterns.append(path(".well-known/jwks.json", jwks, name="jwks"))

if policy.REGISTRATION == "open":
    urlpatterns.append(
        path(f"{REGISTRATION}/", accounts.RegisterView.as_view(), name="rest_register")
    )
