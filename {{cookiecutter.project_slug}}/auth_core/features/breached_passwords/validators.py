"""Asks the range API of Pwned Passwords within a second (ASVS 6.2.12; NIST SP 800-63B-4, 3.1.1.2).

Five hexadecimal digits of the password's SHA-1 leave this process, and every answer is padded to
about the same length: neither the service nor who listens learns the password (k-anonymity).
"""

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables
from pwned_passwords_django import api
from pwned_passwords_django.exceptions import PwnedPasswordsError

from auth_core.accounts.password_policy import nfc

DECISION_SECONDS = 1.0

logger = logging.getLogger(__name__)
# It logs each address asked for, which ends in those five digits: the log is nobody's to guess from.
logging.getLogger("httpx").setLevel(logging.WARNING)

# httpx bounds each step of a request, but neither all of them nor the look-up of the host's name.
_threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="breached-passwords")


class BreachedPasswordValidator:
    """Refuses a password of a known breach; BREACHED_PASSWORDS_FAIL_CLOSED says what silence means."""

    codes = ("password_breached", "password_unchecked")

    @sensitive_variables()
    def validate(self, password: str, user: Any = None) -> None:
        if not settings.CHECK_BREACHED_PASSWORDS:
            return
        asked = _threads.submit(api.check_password, nfc(password))
        try:
            found = asked.result(timeout=DECISION_SECONDS)
        except (PwnedPasswordsError, TimeoutError) as error:
            asked.cancel()
            closed: bool = settings.BREACHED_PASSWORDS_FAIL_CLOSED  # type: ignore[misc] # of a feature: mypy reads the kernel's
            outcome = "refused" if closed else "accepted"
            logger.warning("Breached passwords: %s unasked, %s.", outcome, type(error).__name__)
            if closed:
                message = _("The password could not be checked; try again in a moment.")
                raise ValidationError(message, code="password_unchecked") from None
            return
        if found:
            message = _("This password is known from a data breach: choose another one.")
            raise ValidationError(message, code="password_breached")

    def get_help_text(self) -> str:
        return _("Passwords that are known from a data breach are refused.")
