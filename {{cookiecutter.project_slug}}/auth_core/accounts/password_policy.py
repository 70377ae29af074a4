"""What a new password must be (NIST SP 800-63B-4, 3.1.1.2; ASVS 6.2): long, and not easily guessed.

There is one rule: PASSWORD_MIN_LENGTH characters, of which what is easily guessed counts for little.

    a common word, one of 6 letters or more on Django's list of 20 000 common passwords   5
    a year, or four and more keys in a row ("qwer", "4321", "efgh")                       1
    four and more characters that stood before ("passwordpassword")                       0
    a name of this service or of the user                                                 0
    any other character                                                                   1

So four common words do, two and a year do not. Letter case and 0 for o, 3 for e, @ for a hide nothing.
"""

import re
import unicodedata
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.password_validation import (
    CommonPasswordValidator as DjangoCommonPasswordValidator,
)
from django.contrib.auth.password_validation import (
    MinimumLengthValidator,
    UserAttributeSimilarityValidator,
)
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from auth_core import policy

MAX_LENGTH = 1024
# One of 20 000 words is as hard to guess as four or five characters are.
COMMON_WORD_COUNTS = 5
SHORTEST_PIECE = 4
LEET = str.maketrans("0134578@$!", "oieastbasi")
YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
_ROWS = (
    "01234567890 qwertyuiop asdfghjkl zxcvbnm qwertzuiop yxcvbnm azertyuiop qsdfghjklm wxcvbn "
    "abcdefghijklmnopqrstuvwxyz !@#$%^&*()_+ 1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p "
    "qazwsxedcrfvtgbyhnujmikolp 1q2w3e4r5t6y7u8i9o0p q1w2e3r4t5y6u7i8o9p0"
)
WALKS = f"{_ROWS} {_ROWS[::-1]}"


def nfc(password: str) -> str:
    """Spell equal text in one way, so that each of its spellings logs in."""
    return unicodedata.normalize("NFC", password)


@cache
def common_words() -> frozenset[str]:
    words = DjangoCommonPasswordValidator().passwords
    return frozenset(word for word in words if len(word) > COMMON_WORD_COUNTS)


@cache
def longest_common_word() -> int:
    return max(map(len, common_words()))


def fold(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def context_words(user: Any = None) -> frozenset[str]:
    """Names that a guesser tries first (ASVS 6.1.2), whole and in parts of four characters and more.

    The project's name and slug, the hosts of FRONTEND_URL and ALLOWED_HOSTS; the user's name, e-mail
    address, first and last name.
    """
    hosts = [urlsplit(settings.FRONTEND_URL).hostname, *settings.ALLOWED_HOSTS]
    names = [policy.PROJECT_NAME, policy.PROJECT_SLUG, *hosts]
    names += [
        getattr(user, attribute, None)
        for attribute in UserAttributeSimilarityValidator.DEFAULT_USER_ATTRIBUTES
    ]
    words = set()
    for name in filter(None, names):
        whole = fold(name)
        parts = re.split(r"[\W_]+", whole)
        words |= {whole, "".join(parts), *parts}
    return frozenset(word.translate(LEET) for word in words if len(word) >= SHORTEST_PIECE)


def counted_length(password: str, context: frozenset[str] = frozenset()) -> int:
    """Count characters as this module's first lines say, in the way that gives least, until it is enough."""
    text = fold(password)[:MAX_LENGTH]
    plain, common = text.translate(LEET), common_words()
    years = {match.span() for match in YEAR.finditer(text)}
    longest = max([longest_common_word(), *map(len, context)])
    least = [0]  # of the first 0, 1, 2 ... characters
    for end in range(1, len(text) + 1):
        ways = [least[end - 1] + 1]
        for start in range(max(0, end - longest), end - SHORTEST_PIECE + 1):
            piece, letters = text[start:end], plain[start:end]
            if letters in context or text.find(piece, 0, start) >= 0:
                ways.append(least[start])
            elif piece in WALKS or (start, end) in years:
                ways.append(least[start] + 1)
            elif piece in common or letters in common:
                ways.append(least[start] + COMMON_WORD_COUNTS)
        least.append(min(ways))
        if min(least[-longest:]) >= policy.PASSWORD_MIN_LENGTH:
            break  # enough, whatever follows: no piece reaches further back
    return least[-1]


class LengthValidator(MinimumLengthValidator):
    """Counts code points in NFC; refuses what is longer than MAX_LENGTH before it is hashed."""

    codes = ("password_too_short", "password_too_long")

    def __init__(self) -> None:
        super().__init__(policy.PASSWORD_MIN_LENGTH)

    @sensitive_variables()
    def validate(self, password: str, user: Any = None) -> None:
        password = nfc(password)
        super().validate(password, user)
        if len(password) > MAX_LENGTH:
            raise ValidationError(
                _("This password is too long. It may contain at most %(max_length)d characters."),
                code="password_too_long",
                params={"max_length": MAX_LENGTH},
            )


class CommonPasswordValidator(DjangoCommonPasswordValidator):
    """Refuses a password that is short once what is common in it counts for little."""

    codes = ("password_too_common",)

    def __init__(self) -> None:
        """Leave the list to `common_words`, which reads it once."""

    @sensitive_variables()
    def validate(self, password: str, user: Any = None) -> None:
        if counted_length(password) < min(policy.PASSWORD_MIN_LENGTH, len(fold(password))):
            raise ValidationError(self.get_error_message(), code="password_too_common")

    def get_help_text(self) -> str:
        return _("Common words, years, repetitions and neighbouring keys count for little.")


class ContextValidator:
    """Refuses a password that is short without the names of this service and of the user."""

    codes = ("password_too_similar",)

    @sensitive_variables()
    def validate(self, password: str, user: Any = None) -> None:
        counted = counted_length(password, context_words(user))
        if counted < policy.PASSWORD_MIN_LENGTH and counted < counted_length(password):
            raise ValidationError(
                _("Without your names and those of this service, this password is too short."),
                code="password_too_similar",
            )

    def get_help_text(self) -> str:
        return _("Your names and address, and the names of this service, do not count.")
