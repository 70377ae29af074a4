"""The mails of the accounts, as jobs of the outbox: each finds its recipient and makes its link when it runs."""

from allauth.account.adapter import get_adapter
from allauth.account.models import EmailAddress
from django.contrib.auth import get_user_model

from . import addresses


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
    user = get_user_model().objects.filter(email=email, is_active=True).first()
    if user is not None and not addresses.is_verified(user):
        # Whom an administrator or a script made has no row yet.
        addresses.settle(user, verified=False).send_confirmation()
