"""The mails of the accounts, as jobs of the outbox: each finds its recipient and makes its link when it runs."""

from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.forms import default_token_generator
from allauth.account.models import EmailAddress
from allauth.account.utils import filter_users_by_email, user_pk_to_url_str
from django.contrib.auth import get_user_model

from .adapter import frontend_link


def send_signup(email: str, user_id: str | None) -> None:
    """Mail the verification link to who registered; where nobody was, tell the address' owner instead."""
    if user_id is None:
        owner = get_user_model().objects.filter(email=email).first()
        if owner is not None:
            get_adapter().send_account_already_exists_mail(owner.email)
        return
    address = EmailAddress.objects.filter(user_id=user_id, email=email, verified=False).first()
    if address is not None:
        address.send_confirmation(signup=True)


def send_verification(email: str) -> None:
    """Mail the verification link again, where an account waits for it."""
    address = EmailAddress.objects.filter(email=email.lower(), verified=False).first()
    if address is not None and not EmailAddress.objects.is_verified(address.email):
        address.send_confirmation()


def send_password_reset(email: str) -> None:
    """Mail a link for a new password to the stored address, not to the one that was typed."""
    for user in filter_users_by_email(email, is_active=True, prefer_verified=True):
        uid, token = user_pk_to_url_str(user), default_token_generator.make_token(user)
        context: dict[str, Any] = {
            "user": user,
            "uid": uid,
            "token": token,
            "username": user.username,
            "password_reset_url": frontend_link("reset-password", uid=uid, token=token),
        }
        get_adapter().send_password_reset_mail(user, user.email, context)
