"""The user. Add fields here; keep the ones that are here."""

import uuid
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.translation import gettext_lazy as _

from auth_core import policy
from auth_core.accounts.fields import CanonicalCharField, CanonicalEmailField
from auth_core.accounts.managers import AccountManager
from auth_core.accounts.validators import username_validators


class User(AbstractUser):
    """Somebody with a user name, an e-mail address, or both; each unique whatever its letter case."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    username = CanonicalCharField(
        _("username"),
        max_length=150,
        unique=True,
        null=True,
        blank=True,
        validators=username_validators,
    )  # type: ignore[assignment]
    email = CanonicalEmailField(_("email address"), unique=True, null=True, blank=True)  # type: ignore[assignment]

    USERNAME_FIELD = "email" if policy.LOGIN_WITH == "email" else "username"
    REQUIRED_FIELDS: ClassVar[list[str]] = [] if policy.LOGIN_WITH == "email" else ["email"]

    objects: ClassVar[Any] = AccountManager()

    class Meta(AbstractUser.Meta):
        constraints: ClassVar = [
            # For whoever writes past Django, too: unique alone would let "Ann" beside "ann", and
            # lower() would let what only looks like it. ASCII without capitals has one spelling.
            models.CheckConstraint(
                condition=models.Q(username__regex=r"\A[a-z0-9][a-z0-9._+-]*\Z"),
                name="users_username_is_canonical",
            ),
            models.CheckConstraint(
                condition=models.Q(email__regex=r"\A[ -@\[-~]+\Z"),
                name="users_email_is_canonical",
            ),
        ]

    def __str__(self) -> str:
        return self.get_username() or self.email or str(self.pk)
