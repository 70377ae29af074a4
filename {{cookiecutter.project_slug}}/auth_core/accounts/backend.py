"""Checks a name and a password: one query, one hash, whether the user exists or not."""

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.hashers import make_password
from django.http import HttpRequest

from auth_core import policy
from auth_core.sessions.services import with_login_facts

from .passwords import check_password


class AuthenticationBackend(ModelBackend):
    """Finds the user by e-mail address where the name has an @, which no user name has."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        email: str | None = None,
        **kwargs: Any,
    ) -> Any | None:
        name = username or email
        if not name or not password:
            return None
        user = self._find(name)
        if user is None:
            make_password(password)  # as long as for somebody who exists
            return None
        return user if check_password(user, password) and self.user_can_authenticate(user) else None

    @staticmethod
    def _find(name: str) -> Any | None:
        field = "email" if "@" in name else "username"
        if field not in policy.LOGIN_WITH:
            return None
        return with_login_facts(get_user_model().objects.filter(**{field: name})).first()
