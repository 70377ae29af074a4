"""Checks a name and a password: one hash, whether the user exists or not."""

from functools import partial
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend
from django.db.models import CharField, DateTimeField, QuerySet
from django.http import HttpRequest

from auth_core import policy
from auth_core.compiled import CompiledQuery, Parameter
from auth_core.sessions.services import login_context, login_facts
from auth_core.throttling.counters import Refused
from auth_core.throttling.limits import record_refusal
from auth_core.throttling.passwords import attempt_login

from . import registrations
from .fields import former_spelling
from .passwords import check_password


def _field_of(name: str) -> str:
    """What a name means at a login: an address where it has an @, which no user name has."""
    return "email" if "@" in name else "username"


def users_named(name: str) -> QuerySet[Any]:
    """Select whom a name means at a login."""
    users, field = get_user_model().objects, _field_of(name)
    return users.filter(**{field: name}) if field in policy.LOGIN_WITH else users.none()


def _with_facts(field: str) -> QuerySet[Any]:
    """Select as `users_named` does, for the SQL to be made once."""
    now = Parameter("now", DateTimeField())
    facts = login_facts(now, Parameter("network", CharField()), Parameter("agent", CharField()))
    users = get_user_model()
    name = Parameter("name", users._meta.get_field(field))
    return users.objects.filter(**{field: name}).annotate(**facts)


QUERIES = {field: CompiledQuery(partial(_with_facts, field)) for field in ("email", "username")}


def user_with_facts(name: str, request: HttpRequest | None) -> Any | None:
    """Return whom a name means at a login, with what `start_session` asks."""
    field = _field_of(name)
    if field not in policy.LOGIN_WITH:
        return None
    # Stored by IDNA 2003; `manage.py checkaddresses` names it. Nothing is mailed there for this name.
    former = former_spelling(name) if field == "email" else None
    context = login_context(request)
    # As many queries, whoever is found.
    found = [QUERIES[field].first(name=it, **context) for it in (name, former) if it]
    return next(filter(None, found), None)


class AuthenticationBackend(ModelBackend):
    """Finds the user by a name, and compares the password.

    A try that comes too soon fails like a wrong password, also at the admin's login; `login_wait` of the
    request then says for how many seconds. `login_pending` is whose registration the password is that
    waits for its mailed link: no user yet.
    """

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
        user = user_with_facts(name, request)
        try:
            attempt = attempt_login(request, user, name)
        except Refused as refusal:
            record_refusal(refusal, request, user_id=user and user.pk)
            request.__dict__["login_wait"] = refusal.wait
            raise
        with attempt:
            if user is None:
                # As long as for somebody who exists.
                if pending := registrations.waiting_user(_field_of(name), name, password):
                    attempt.succeed()
                    if request is not None:
                        vars(request)["login_pending"] = pending
                return None
            if not check_password(user, password) or not self.user_can_authenticate(user):
                registrations.waiting(_field_of(name), name)  # as many queries as for nobody
                return None
            attempt.succeed()
        user.failed_logins = attempt.failures
        return user
