"""URLs of the logins by an e-mailed code."""

from django.urls import path

from auth_core import policy

from . import views

CODE = f"{policy.AUTH_URL_PREFIX}/login/code"

urlpatterns = [
    path(f"{CODE}/", views.LoginCodeView.as_view(), name="login_code"),
    path(f"{CODE}/confirm/", views.LoginCodeConfirmView.as_view(), name="login_code_confirm"),
]
