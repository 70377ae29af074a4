"""URLs of the pages; `accounts.adapter.frontend_link` builds links to them."""

from django.conf import settings
from django.urls import URLPattern, path

from auth_core import policy

from .extensions import extensions
from .views import Page

PAGES = {
    "": "account",
    "login": "login",
    **({"register": "register"} if policy.REGISTRATION == "open" else {}),
    "verify-email": "verify_email",
    "reject-registration": "reject_registration",
    "forgot-password": "forgot_password",
    "reset-password": "reset_password",
    "change-email": "change_email",
    "restore-email": "restore_email",
}


def page(where: str, template: str, name: str | None = None) -> URLPattern:
    view = Page.as_view(template_name=template)
    return path(f"{settings.FRONTEND_PATH}{where}", view, name=name)


urlpatterns = [
    *(page(where, f"pages/{name}.html", f"page_{name}") for where, name in PAGES.items()),
    *(page(where, name) for each in extensions() for where, name in each.pages.items()),
]
