"""Logins by Django's session cookie: of the admin, and of pages of the team.

Each has an AuthSession like a login to the API: the same gates, notices and list, and the same acts end
it. The cookie opens pages of Django alone: no token belongs to such a session.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import SESSION_KEY, get_user_model
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.functional import SimpleLazyObject
from rest_framework.exceptions import APIException

from auth_core.http.paths import is_in_admin

from . import services
from .models import DJANGO, AuthSession, RevocationReason

# Where Django's session names the AuthSession.
KEY = "_auth_session_id"
# How often a session that is used moves the end of its idleness.
PRECISION = timedelta(minutes=1)


def begin(
    request: HttpRequest | None, user: Any, auth_session: AuthSession | None = None, **kwargs: Any
) -> None:
    """Begin the AuthSession of a login by Django's `login` (a receiver of its signal).

    `user.amr` may say how the user proved who they are; otherwise by the password. What a gate or
    USER_RESTRICTIONS refuse is a PermissionDenied of Django, with their error as its cause; nobody is
    logged in then.
    """
    session: Any = getattr(request, "session", None)
    if auth_session is not None or request is None or session is None:
        return  # a login to the API
    if session.get(SESSION_KEY) != user._meta.pk.value_to_string(user):
        return
    # Django keeps the key where the same user logs in again: a copy of the cookie would live again.
    session.cycle_key()
    former, amr = session.pop(KEY, None), getattr(user, "amr", ("pwd",))
    if not hasattr(user, "live_sessions"):
        users = get_user_model().objects.filter(pk=user.pk)
        user = services.with_login_facts(users, request).get()
    if not user.is_active:
        return  # nor is anything to live again once the account is activated
    try:
        with transaction.atomic():
            AuthSession.objects.filter(pk=former).end(RevocationReason.LOGOUT)
            begun = services.begin(
                user,
                request,
                amr,
                DJANGO,
                idle=idle_lifetime(),
                absolute=timedelta(seconds=settings.SESSION_COOKIE_AGE),
            )
            services.restrict_user(user, request)
            services.record_login(begun, request, to=place_of(request))
    except APIException as error:
        raise PermissionDenied(str(error.detail)) from error
    session[KEY] = str(begun.pk)


def end(request: HttpRequest | None, user: Any, **kwargs: Any) -> None:
    """End the AuthSession of who logs out by Django's `logout` (a receiver of its signal)."""
    session: Any = getattr(request, "session", None)
    pk = session.get(KEY) if session is not None else None
    if user is not None and pk is not None:
        sessions = AuthSession.objects.filter(pk=pk, user=user.pk)
        services.end_sessions(
            sessions,
            RevocationReason.LOGOUT,
            request,
            user_id=user.pk,
            session_id=pk,
            to=place_of(request),
        )


def place_of(request: Any) -> str:
    return "admin" if is_in_admin(request) else "django"


def idle_lifetime() -> timedelta:
    return timedelta(seconds=settings.SESSION_IDLE_SECONDS)


def user_of(request: HttpRequest) -> Any:
    """Return the user of a living session: one query, as Django asks for the user.

    A session of Django's that names none, or one that ended, is emptied, as Django does where the
    password was changed.
    """
    session: Any = request.session
    user_id = session.get(SESSION_KEY)
    if user_id is None:
        return AnonymousUser()
    found = AuthSession.objects.select_related("user").filter(
        pk=session.get(KEY), user=user_id, delivery=DJANGO
    )
    begun = found.first()
    if begun is None or not services.is_alive(begun):
        session.flush()
        return AnonymousUser()
    now = timezone.now()
    if now - begun.rotated_at >= PRECISION:
        AuthSession.objects.filter(pk=begun.pk).update(
            rotated_at=now, idle_expires_at=now + idle_lifetime()
        )
    return begun.user


class LivingSessionMiddleware:
    """Takes `request.user` from the living AuthSession alone; after Django's AuthenticationMiddleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        user = SimpleLazyObject(lambda: user_of(request))
        request.user = user  # type: ignore[assignment]

        async def auser() -> Any:
            await sync_to_async(bool)(user)
            return request.user

        request.auser = auser
        return self.get_response(request)
