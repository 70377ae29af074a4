"""URLs of the logins at other providers: each provider's own, exact paths."""

from django.urls import path

from auth_core import policy

from . import views

SOCIAL = f"{policy.AUTH_URL_PREFIX}/social"
ENDPOINTS = {
    "": ("login", views.LoginView),
    "begin/": ("login_begin", views.BeginLoginView),
    "link/": ("link", views.LinkView),
    "link/begin/": ("link_begin", views.BeginLinkView),
}

urlpatterns = [
    path(f"{SOCIAL}/accounts/", views.AccountListView.as_view(), name="social_account_list"),
    *(
        path(
            f"{SOCIAL}/{provider}/{tail}",
            view.as_view(provider=provider),
            name=f"social_{provider}_{name}",
        )
        for provider in policy.SOCIAL_PROVIDERS.split(",")
        for tail, (name, view) in ENDPOINTS.items()
    ),
]
