"""URLs of the cookies."""

from django.urls import path

from auth_core import policy

from .views import CsrfView

urlpatterns = [path(f"{policy.AUTH_URL_PREFIX}/csrf/", CsrfView.as_view(), name="csrf")]
