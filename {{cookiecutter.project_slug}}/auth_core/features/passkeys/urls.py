"""URLs of the passkeys."""

from django.urls import path

from auth_core import policy

from . import views

PASSKEYS = f"{policy.AUTH_URL_PREFIX}/passkeys"
CEREMONIES = {
    "register": (views.BeginRegistrationView, views.CompleteRegistrationView),
    "login": (views.BeginLoginView, views.CompleteLoginView),
    "verify": (views.BeginVerificationView, views.CompleteVerificationView),
    "reauthenticate": (views.BeginReauthenticationView, views.CompleteReauthenticationView),
}

urlpatterns = [
    path(f"{PASSKEYS}/", views.PasskeyListView.as_view(), name="passkey_list"),
    path(f"{PASSKEYS}/<uuid:pk>/", views.PasskeyView.as_view(), name="passkey"),
    *(
        path(f"{PASSKEYS}/{name}/{step}/", view.as_view(), name=f"passkey_{name}_{step}")
        for name, both in CEREMONIES.items()
        for step, view in zip(("begin", "complete"), both, strict=True)
    ),
]
