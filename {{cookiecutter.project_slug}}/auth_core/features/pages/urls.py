"""URLs of the pages; `accounts.adapter.frontend_link` builds links to them."""

from django.urls import path

from .views import Page

urlpatterns = [
    path("account/verify-email", Page.as_view(template_name="pages/verify_email.html")),
    path("account/forgot-password", Page.as_view(template_name="pages/forgot_password.html")),
    path("account/reset-password", Page.as_view(template_name="pages/reset_password.html")),
    path("account/change-email", Page.as_view(template_name="pages/change_email.html")),
    path("account/restore-email", Page.as_view(template_name="pages/restore_email.html")),
]
