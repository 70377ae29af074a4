"""Creates users who have a user name, an e-mail address, or both."""

from typing import Any

from allauth.account.models import EmailAddress
from django.contrib.auth.models import AbstractUser, UserManager
from django.db import models, transaction

from .signals import accounts_deactivated


class AccountQuerySet(models.QuerySet[Any]):
    def update(self, **values: Any) -> int:
        """Change many users; Django sends no signal, so it is told here that some were deactivated.

        `bulk_update` comes this way, too.
        """
        if "is_active" not in values:
            return super().update(**values)
        with transaction.atomic(using=self.db):
            changed = super().update(**values)
            users = self.model._default_manager.using(self.db).filter(is_active=False)
            accounts_deactivated.send(sender=self.model, users=users)
        return changed


class AccountManager(UserManager.from_queryset(AccountQuerySet)[Any]):  # type: ignore[misc]
    use_in_migrations = False

    def _create(
        self, username: str | None, email: str | None, password: str | None, **extra: Any
    ) -> Any:
        if not username and not email:
            raise ValueError("A user needs a user name or an e-mail address.")
        user = self.model(username=username, email=email, **extra)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_user(
        self,
        username: str | None = None,
        email: str | None = None,
        password: str | None = None,
        **extra: Any,
    ) -> Any:
        return self._create(
            username, email, password, **{"is_staff": False, "is_superuser": False, **extra}
        )

    def create_superuser(
        self,
        username: str | None = None,
        email: str | None = None,
        password: str | None = None,
        **extra: Any,
    ) -> Any:
        """Create an administrator; whoever has the shell vouches for the address, so it counts as verified."""
        with transaction.atomic(using=self._db):
            user: AbstractUser = self._create(
                username, email, password, **{**extra, "is_staff": True, "is_superuser": True}
            )
            if user.email:
                EmailAddress.objects.using(self._db).create(
                    user=user, email=user.email, primary=True, verified=True
                )
        return user
