"""Authentication reads the database that it writes, whatever a router of the team says about reading.

A replica lags: it would refuse who has just logged in, and let in who has just logged out.
"""

from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.checks import CheckMessage, Error, register
from django.db import DEFAULT_DB_ALIAS, router
from django.db.models import Model

# The applications whose models decide who somebody is and what they may do, besides the user's own; and mails.
APPLICATIONS = ("auth_core.", "allauth.", "django.contrib.", "django_tasks_db")


class PrimaryRouter:
    """Answers for the models of authentication alone; for others the next router is asked."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        # Without hints: an instance that was read from a replica would lead back there.
        return router.db_for_write(model) if is_of_authentication(model) else None


def is_of_authentication(model: type[Model]) -> bool:
    # The table between users and groups is a model that the user's model has made.
    owner: Any = model._meta.auto_created or model
    config = apps.get_app_config(owner._meta.app_label)
    return config.name.startswith(APPLICATIONS) or issubclass(owner, get_user_model())


def install() -> None:
    """Put our router before those of the settings: the first answer counts."""
    others = [it for it in router.routers if not isinstance(it, PrimaryRouter)]
    router.routers = [PrimaryRouter(), *others]


@register()
def written_together(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Refuse a router that writes what one transaction writes to several databases."""
    from allauth.account.models import EmailAddress

    from auth_core.sessions.models import AuthSession
    from auth_core.throttling.models import Counter

    models = (get_user_model(), AuthSession, EmailAddress, Counter)
    elsewhere = [it._meta.label for it in models if router.db_for_write(it) != DEFAULT_DB_ALIAS]
    hint = f'Let routers write users, sessions, addresses and counters to "{DEFAULT_DB_ALIAS}".'
    return [
        Error(f"A router writes {label} elsewhere.", hint=hint, id="auth_core.E006")
        for label in elsewhere
    ]
