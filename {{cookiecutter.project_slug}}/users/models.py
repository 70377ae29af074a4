"""The user. Add fields here; keep the ones that are here."""

import uuid
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models.functions import Lower
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
            # Case-insensitive for whoever writes past Django, too (unique alone would let "Ann" beside "ann").
            models.CheckConstraint(
                condition=models.Q(username=Lower("username")),
                name="users_username_is_lower_case",
            ),
            models.CheckConstraint(
                condition=models.Q(email=Lower("email")),
                name="users_email_is_lower_case",
            ),
        ]

    def __str__(self) -> str:
        return self.get_username() or self.email or str(self.pk)
