"""URLs of the API keys."""

from django.urls import path

from auth_core import policy

from . import views

API_KEYS = f"{policy.AUTH_URL_PREFIX}/api-keys"

urlpatterns = [
    path(f"{API_KEYS}/", views.ApiKeyListView.as_view(), name="api_key_list"),
    path(f"{API_KEYS}/<uuid:pk>/", views.ApiKeyView.as_view(), name="api_key"),
]
