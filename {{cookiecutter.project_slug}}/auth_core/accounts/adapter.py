"""allauth's adapter: who may sign up, where mailed links lead, how mail leaves."""

from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode, urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.db import transaction
from django.http import HttpRequest

from auth_core import policy


def frontend_link(page: str, **secrets: str) -> str:
    """Return the address of a page of the frontend; secrets go into the fragment, which no server logs."""
    fragment = f"#{urlencode(secrets)}" if secrets else ""
    return f"{settings.FRONTEND_URL}/{settings.FRONTEND_PATH}{page}{fragment}"


class AccountAdapter(DefaultAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return policy.REGISTRATION == "open"

    def clean_email(self, email: str) -> str:
        """Return an address as it is stored; raise ValidationError for what is none, or too long."""
        return str(get_user_model()._meta.get_field("email").clean(email, None))

    def get_client_ip(self, request: HttpRequest) -> str:
        """Return the address that TRUSTED_PROXIES vouches for, or else the peer's own.

        X-Forwarded-For may be shorter than that, or no address: who sends it so came round a proxy.
        """
        try:
            ip = str(super().get_client_ip(request))
        except (ImproperlyConfigured, PermissionDenied):
            ip = request.META.get("REMOTE_ADDR") or "::"  # a Unix socket has none
        return ip.partition("%")[0]  # a zone means something on this host only

    def add_message(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: an API has no page to show a message on, and it would cost a cookie."""

    def unstash_verified_email(self, request: HttpRequest) -> str | None:
        return request.session.pop("account_verified_email", None)

    def get_email_confirmation_url(self, request: HttpRequest, emailconfirmation: Any) -> str:
        return frontend_link("verify-email", key=emailconfirmation.key)

    def send_account_already_exists_mail(self, email: str) -> None:
        links = {
            "signup_url": frontend_link("register"),
            "password_reset_url": frontend_link("forgot-password"),
        }
        self.send_mail("account/email/account_already_exists", email, links)

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send after the commit; a mail server that fails neither fails the request nor undoes it."""
        site = SimpleNamespace(
            name=policy.PROJECT_NAME, domain=urlsplit(settings.FRONTEND_URL).netloc
        )
        message = self.render_mail(
            template_prefix, email, {"email": email, "current_site": site, **context}
        )
        transaction.on_commit(message.send, robust=True)

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        # allauth's own key begins with the Host header, which the caller chooses.
        return str(credentials.get("email", credentials.get("username", ""))).strip().lower()
