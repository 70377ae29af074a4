"""allauth's adapter: who may sign up, where mailed links lead, what a mail looks like."""

import hashlib
from datetime import UTC
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode, urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.core.mail import EmailMessage
from django.http import HttpRequest
from django.utils.formats import date_format

from auth_core import policy
from auth_core.mail import outbox
from auth_core.mail.message import as_html


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
        A login asks ten times; it is found once.
        """
        known = vars(request)
        if "client_ip" not in known:
            try:
                ip = str(super().get_client_ip(request))
            except (ImproperlyConfigured, PermissionDenied):
                ip = request.META.get("REMOTE_ADDR") or "::"  # a Unix socket has none
            known["client_ip"] = ip.partition("%")[0]  # a zone means something on this host only
        return str(known["client_ip"])

    def add_message(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: an API has no page to show a message on, and it would cost a cookie."""

    def unstash_verified_email(self, request: HttpRequest) -> str | None:
        """Look into no session: there is none, and the look would show in Vary, for new users only."""
        return None

    def is_email_verified(self, request: HttpRequest, email: str) -> bool:
        return False

    def get_email_confirmation_url(self, request: HttpRequest, emailconfirmation: Any) -> str:
        return frontend_link("verify-email", key=emailconfirmation.key)

    def send_account_already_exists_mail(self, email: str) -> None:
        links = {
            "signup_url": frontend_link("register"),
            "password_reset_url": frontend_link("forgot-password"),
        }
        self.send_mail("account/email/account_already_exists", email, links)

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Build a mail and send it: only within a job of the outbox, never within a request."""
        task = outbox.current_task.get()
        url = urlsplit(settings.FRONTEND_URL)
        when = date_format(task.enqueued_at.astimezone(UTC), "DATETIME_FORMAT")
        defaults = {
            "email": email,
            "current_site": SimpleNamespace(name=policy.PROJECT_NAME, domain=url.netloc),
            "timestamp": f"{when} UTC",
            "password_forgotten_url": frontend_link("forgot-password"),
            "policy": policy,
        }
        # The same at each attempt, so that a mail that arrives twice can be known as one.
        mail = hashlib.sha256(f"{template_prefix} {email}".encode()).hexdigest()[:16]
        headers = {"Message-ID": f"<{task.id}.{mail}@{url.hostname}>"}
        self.render_mail(template_prefix, email, {**defaults, **context}, headers).send()

    def render_mail(self, *args: Any, **kwargs: Any) -> EmailMessage:
        """Render the text, and the HTML from it unless there is a template of its own."""
        message = super().render_mail(*args, **kwargs)
        if not getattr(message, "alternatives", True):
            subject = message.subject.removeprefix(settings.ACCOUNT_EMAIL_SUBJECT_PREFIX)
            message.attach_alternative(as_html(subject, message.body), "text/html")
        return message
