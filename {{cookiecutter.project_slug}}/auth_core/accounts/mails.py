"""The mails of the accounts, as jobs of the outbox: each finds its recipient and makes its link when it runs."""

import re
from datetime import UTC

from allauth.account.adapter import get_adapter
from allauth.account.models import EmailConfirmationHMAC
from django.contrib.auth import get_user_model
from django.utils.formats import date_format

from . import addresses, registrations
from .adapter import frontend_link
from .models import Registration

# What a mail to a stranger may say of a program: these words, as anybody may send any text as its name.
PROGRAMS = {"Edg": "Edge", "OPR": "Opera"}
PROGRAM = re.compile(r"Edg|OPR|Firefox|Chrome|Safari|curl|okhttp|CFNetwork|Dart|python")
SYSTEM = re.compile(r"Android|iPhone|iPad|Windows|Mac OS X|Linux")


def program_of(user_agent: str) -> str:
    """Name a program and its system, as far as they are known ones."""
    found = [each.search(user_agent) for each in (PROGRAM, SYSTEM)]
    return ", ".join(PROGRAMS.get(it.group(), it.group()) for it in found if it)


def send_signup(email: str, registration_id: str | None) -> None:
    """Mail the link of a registration; where there is none, tell the address' owner instead."""
    if registration_id is None:
        owner = get_user_model().objects.filter(email=email).first()
        if owner is not None:
            get_adapter().send_account_already_exists_mail(owner.email)
        return
    found = Registration.objects.filter(pk=registration_id, email=email).select_related("user")
    for registration in found:
        _send_link(registration, "account/email/email_confirmation_signup")


def send_verification(email: str) -> None:
    """Mail the verification link again, where a registration or an account waits for it."""
    registration = registrations.pending().filter(email=email).first()
    if registration is None:
        user = get_user_model().objects.filter(email=email, is_active=True).first()
        if user is None or addresses.is_verified(user):
            return
        unclaimed = Registration.objects.filter(user=user, email=email).select_related("user")
        registration = unclaimed.first()
        if registration is None:
            # Whom an administrator or a script made has no row yet.
            addresses.settle(user, verified=False).send_confirmation()
            return
    _send_link(registration, "account/email/email_confirmation")


def _send_link(registration: Registration, template: str) -> None:
    """Mail a link, and who is said to have registered: any of several proves the mailbox."""
    user = registrations.dressed(registration)
    if registration.activated_at is None:
        key = registrations.key_of(registration)
    elif user.email != registration.email or addresses.is_verified(user):
        return
    else:
        key = EmailConfirmationHMAC(addresses.settle(user, verified=False)).key
    when = date_format(registration.requested_at.astimezone(UTC), "DATETIME_FORMAT")
    context = {
        "user": user,
        "key": key,
        "activate_url": frontend_link("verify-email", key=key),
        "registration": registration,
        "requested": f"{when} UTC",
        "program": program_of(registration.user_agent),
        "reject_url": frontend_link(
            "reject-registration", key=registrations.reject_key_of(registration)
        ),
    }
    get_adapter().send_mail(template, registration.email, context)
