"""What happens to accounts, for whoever must do something then; besides allauth's and Django's signals.

Each is sent within the transaction of what happens, with the user's row locked.
"""

from typing import Any

from django.dispatch import Signal

# The account was taken back, by a mailed link or an operator: what a thief may have left must end.
# With `user`, `request` (None where a command did it), `email`: the address that was proved by that, or
# None, and `since`: the time of what was undone, or None. What was added after it without the proof of
# an older factor is not the owner's. `unclaimed` is true where nobody has shown mailbox and password
# together before: then a stranger may have bound all that there is, factors included.
account_recovered = Signal()

# Accounts may log in no more, or could not before: what they have under way ends, for good. With `users`,
# a query set, and `user_id` where it is one. Reactivated they have what they log in with: the password,
# factors and links to providers, which nobody could use meanwhile.
accounts_deactivated = Signal()

# A user took away something that logs in: what began with it ends. With `user` and `request`.
credential_removed = Signal()


def tell_if_deactivated(instance: Any, using: str | None = None, **kwargs: Any) -> None:
    """Tell of a user who was saved as deactivated (a receiver of post_save)."""
    if not instance.is_active:
        users = type(instance)._default_manager.using(using).filter(pk=instance.pk)
        accounts_deactivated.send(sender=type(instance), users=users, user_id=instance.pk)
