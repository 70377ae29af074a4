"""What a user name may look like."""

from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _

# ASCII, so that no name can imitate another (UTS 39); no @, so that no name can pass for an address.
username_validators = [
    RegexValidator(
        r"\A[A-Za-z0-9][A-Za-z0-9._+-]*\Z",
        _("Enter a user name of letters, digits and . _ + - that begins with a letter or a digit."),
        code="invalid_username",
    )
]
