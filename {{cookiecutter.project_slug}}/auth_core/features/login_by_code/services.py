"""Mails codes to log in with, and takes them: the newest, once, from the client that asked for it.

allauth makes the code and says how long it lives; its flow keeps code and tries in a Django session,
readable, and for one request after the other only.
"""

import secrets
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from allauth.account import app_settings
from allauth.account.adapter import get_adapter
from django.db import transaction
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ValidationError

from auth_core.accounts import addresses
from auth_core.accounts.backend import users_named
from auth_core.audit.log import pseudonym, record
from auth_core.digests import digest, normalized
from auth_core.mail import outbox
from auth_core.sessions.delivery import delivery
from auth_core.sessions.lookup import locked_user
from auth_core.sessions.services import record_failed_login
from auth_core.throttling.counters import count, settle
from auth_core.throttling.limits import allows, throttled, uses_of

from .models import LoginCode

# No method of RFC 8176. Not "otp": who looks for that means a factor apart from the mailbox.
AMR = ("email",)


class Event(StrEnum):
    LOGIN_CODE_REQUESTED = "authn_login_code_requested"


def request_code(name: str, request: HttpRequest) -> str:
    """Have a code mailed to whom a name means, if it may be; return the token of who asked.

    Nobody is looked up here: the request does the same whatever the name.
    """
    token = secrets.token_urlsafe(32)
    granted = allows("login_code", name, request)
    with transaction.atomic():
        row = LoginCode.objects.create(
            digest=digest(token),
            name=name if granted else "",
            delivery=delivery().of(request),
            expires_at=timezone.now() + timedelta(seconds=app_settings.LOGIN_BY_CODE_TIMEOUT),
        )
        record(Event.LOGIN_CODE_REQUESTED, request, identifier=pseudonym(name))
        if granted:
            outbox.defer(send_code, login=row.digest)
    return token


def send_code(login: str) -> None:
    """Mail a code for a request to the verified address of an active user, if there is one: a job.

    Codes that were mailed for earlier requests end. Nobody is mailed for one that a later has overtaken.
    """
    row = LoginCode.objects.filter(pk=login, expires_at__gt=timezone.now()).first()
    if row is None or not (row.name or row.user_id):
        return
    user_id = row.user_id or users_named(row.name).values_list("pk", flat=True).first()
    code = get_adapter().generate_login_code()
    with transaction.atomic():
        user = locked_user(user_id)
        others = LoginCode.objects.filter(user=user).exclude(pk=login)
        is_overtaken = user is not None and others.filter(expires_at__gt=row.expires_at).exists()
        if user is None or is_overtaken or not addresses.is_verified(user):
            LoginCode.objects.filter(pk=login).update(name="")
            return
        # Not deleted: the request of a name that nobody has lives on, too.
        others.update(code="")
        LoginCode.objects.filter(pk=login).update(name="", user=user, code=_mac(login, code, user))
    minutes = app_settings.LOGIN_BY_CODE_TIMEOUT // 60
    context = {"user": user, "code": code, "minutes": minutes}
    get_adapter().send_mail("login_by_code/email/code", user.email, context)


def _mac(login: str, code: str, user: Any) -> str:
    """Hash a code, which is short, with SECRET_KEY; it ends with the user's address and password."""
    bound = (login, normalized(code), str(user.pk), user.email or "", user.get_session_auth_hash())
    text = "\0".join(bound).encode(errors="replace")
    return salted_hmac("auth_core.features.login_by_code", text, algorithm="sha256").hexdigest()


def use_code(token: str, code: str, request: HttpRequest) -> Any:
    """Use a code up; return whose it was.

    Raises ValidationError (400) with the code `invalid_code`; Throttled (429): a wrong code counts for
    the caller's network as a wrong password does.
    """
    failures = uses_of("login_failed", request)
    with throttled(request):
        count(failures)
    live = LoginCode.objects.filter(
        pk=digest(token),
        delivery=delivery().of(request),
        expires_at__gt=timezone.now(),
        tries__lt=app_settings.LOGIN_BY_CODE_MAX_ATTEMPTS,
    )
    # With its user, if any: as many queries for a name that nobody has.
    row = live.select_related("user").first()
    user = None
    # Counted before the code is compared, so that tries racing each other count, too.
    if row is not None and live.update(tries=F("tries") + 1) and _is_right(row, code, row.user):
        user = _take(row, code)
    if user is None:
        record_failed_login("invalid_code", request, row and row.user_id)
        raise invalid_code()
    settle(failures)
    return user


def _is_right(row: Any, code: str, user: Any | None) -> bool:
    return user is not None and constant_time_compare(row.code, _mac(row.pk, code, user))


@transaction.atomic
def _take(row: LoginCode, code: str) -> Any | None:
    """Use a right code up, once and unless the account has changed meanwhile; return the user."""
    user = locked_user(row.user_id)
    if not _is_right(row, code, user) or not addresses.is_verified(user):
        return None
    # Of those who race each other one deletes it, and none where another code was mailed since.
    return user if LoginCode.objects.filter(pk=row.pk, code=row.code).delete()[0] else None


def end_of_recovered(user: Any, **kwargs: Any) -> None:
    """End the codes of an account that was taken back; not their rows: who asked learns nothing."""
    LoginCode.objects.filter(user=user.pk).update(code="")


def end_of_deactivated(users: QuerySet[Any], **kwargs: Any) -> None:
    """End the codes of deactivated users for good."""
    LoginCode.objects.filter(user__in=users.values("pk")).update(code="")


def invalid_code() -> ValidationError:
    """One answer for a code that is wrong, used, expired, overtaken, tried too often, or was never mailed."""
    message = _("The code is not correct, or has expired.")
    return ValidationError({"code": [message]}, code="invalid_code")


def purge(now: datetime) -> int:
    """Delete requests whose code nobody used."""
    return LoginCode.objects.filter(expires_at__lt=now).delete()[0]
