"""Decides which address is verified, and for which account: the only place that is asked.

An address is verified for the account whose `user.email` it is now, if allauth has a verified row of it
for that user. A row for any other address counts for nothing: a former address left it, or a write past
this module (SQL, `update()`, a form of the team).
"""

from typing import Any

from allauth.account.models import EmailAddress
from django.contrib.auth import get_user_model
from django.db.models import F, OuterRef, QuerySet


def counting(*, verified: bool = True) -> QuerySet[EmailAddress]:
    """Select the rows of addresses that their users have now."""
    return EmailAddress.objects.filter(email=F("user__email"), verified=verified)


def verified_of_outer() -> QuerySet[EmailAddress]:
    """Select the row that verifies the address of an outer query's user, for the SQL of a login."""
    return EmailAddress.objects.filter(user=OuterRef("pk"), email=OuterRef("email"), verified=True)


def is_verified(user: Any) -> bool:
    rows = EmailAddress.objects.filter(user=user.pk, email=user.email, verified=True)
    return bool(user.email) and rows.exists()


def owner_of(email: str) -> Any | None:
    """Return the user who has verified this address, or None."""
    row = counting().filter(email=email).select_related("user").first()
    return row and row.user


def others_with(email: str, user: Any) -> QuerySet[Any]:
    """Select the accounts other than the user's that have an address and have not verified it."""
    users = get_user_model().objects.filter(email=email).exclude(pk=user.pk)
    return users.exclude(pk__in=counting().filter(email=email).values("user"))


def settle(user: Any, *, verified: bool = True) -> EmailAddress:
    """Give the user's present address its row, the only one of the user.

    With `verified` the caller vouches that the user reads mail there. Raises IntegrityError where
    another account has verified the address.
    """
    EmailAddress.objects.filter(user=user).exclude(email=user.email).delete()
    if verified:
        release(user.email)
    row, _created = EmailAddress.objects.update_or_create(
        user=user, email=user.email, defaults={"primary": True, "verified": verified}
    )
    return row


def release(email: str) -> None:
    """Delete the rows of an address that count for nothing, or nobody else could verify it."""
    EmailAddress.objects.filter(email=email).exclude(user__email=email).delete()


def forget(user: Any) -> None:
    """Delete the rows of a user whose account has no address any more."""
    EmailAddress.objects.filter(user=user).delete()
