"""What happens to accounts, for whoever must do something then; besides allauth's and Django's signals."""

from django.dispatch import Signal

# The owner took the account back, by a mailed link: what a thief may have left must end. Sent within
# the transaction, with `request` and `user`; and with `unclaimed`, true where nobody has shown mailbox and
# password together before: then a stranger may have bound all that there is, factors included.
account_recovered = Signal()
