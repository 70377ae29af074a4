"""Records events: a row of the audit trail and one JSON line in the log, without secrets.

What cannot be recorded does not happen: `record` belongs into the transaction of what it tells of,
which a failure undoes (503). Names are of OWASP's Logging Vocabulary Cheat Sheet.
"""

import logging
from enum import StrEnum
from functools import partial
from typing import Any

from allauth.account.adapter import get_adapter
from django.db import Error, OperationalError, transaction
from django.http import HttpRequest
from django.utils.crypto import salted_hmac

from auth_core.accounts.fields import canonical
from auth_core.http.request_id import current_request, request_id

from .models import AuditEvent

logger = logging.getLogger("auth.audit")


class Event(StrEnum):
    LOGIN_SUCCESS = "authn_login_success"
    LOGIN_SUCCESS_AFTER_FAIL = "authn_login_successafterfail"
    LOGIN_FAIL = "authn_login_fail"
    LOGIN_LOCK = "authn_login_lock"
    REAUTHENTICATED = "authn_reauthentication_success"
    REAUTHENTICATION_FAIL = "authn_reauthentication_fail"
    TOKEN_REUSE = "authn_token_reuse"
    TOKEN_REVOKED = "authn_token_revoked"
    PASSWORD_CHANGE = "authn_password_change"
    PASSWORD_CHANGE_FAIL = "authn_password_change_fail"
    PASSWORD_RESET_REQUESTED = "authn_password_reset_requested"
    PASSWORD_RESET = "authn_password_reset"
    AUTHZ_FAIL = "authz_fail"
    RATE_LIMIT_EXCEEDED = "excess_rate_limit_exceeded"
    INPUT_VALIDATION_FAIL = "input_validation_fail"
    USER_CREATED = "user_created"
    USER_DELETED = "user_deleted"
    USER_EXPORTED = "sensitive_read"
    EMAIL_VERIFIED = "user_email_verified"
    EMAIL_CHANGE_REQUESTED = "user_email_change_requested"
    EMAIL_CHANGED = "user_email_changed"
    EMAIL_RESTORED = "user_email_restored"
    EMAIL_TAKEN = "user_email_taken"
    SESSION_RENEWED = "session_renewed"
    ADMIN_ACTION = "authz_admin"


FAILURES = {
    Event.LOGIN_FAIL,
    Event.LOGIN_LOCK,
    Event.REAUTHENTICATION_FAIL,
    Event.TOKEN_REUSE,
    Event.PASSWORD_CHANGE_FAIL,
    Event.AUTHZ_FAIL,
    Event.RATE_LIMIT_EXCEEDED,
    Event.INPUT_VALIDATION_FAIL,
}
# Of every refusal there is a line and no row: anybody can cause them without end.
REFUSALS = {
    401: Event.AUTHZ_FAIL,
    403: Event.AUTHZ_FAIL,
    429: Event.RATE_LIMIT_EXCEEDED,
}


def event_of_refusal(status: int) -> Event:
    return REFUSALS.get(status, Event.INPUT_VALIDATION_FAIL)


def context_of(request: HttpRequest) -> dict[str, str]:
    """Say from where a request came, trusting X-Forwarded-For as far as TRUSTED_PROXIES says."""
    return {
        "ip": get_adapter().get_client_ip(request),
        "user_agent": request.headers.get("User-Agent", "").replace("\0", "")[:200],
    }


def pseudonym(identifier: str) -> str:
    """Stand for what was typed as a name: equal for equal names, meaningless without SECRET_KEY.

    People type passwords there (ASVS 6.3.5, 16.2.5).
    """
    mac = salted_hmac("auth_core.audit", canonical(identifier) or "", algorithm="sha256")
    return mac.hexdigest()[:16]


def record(
    event: StrEnum,
    request: HttpRequest | None = None,
    *,
    user_id: Any = None,
    session_id: Any = None,
    **detail: str | int,
) -> None:
    """Add an event to the trail and the log. Never pass a password, token, key or code as detail.

    `user_id` is the account concerned; who did it is read from the request, by default the current one.
    Raises OperationalError, which is answered by 503, where the trail cannot be written.
    """
    row = _row(event, request, user_id, session_id, detail)
    try:
        row.save()
    except Error as error:
        logger.critical("An event could not be recorded.", exc_info=True, extra=_fields(row))
        raise OperationalError("The audit trail cannot be written.") from error
    # What is rolled back did not happen.
    transaction.on_commit(partial(logger.info, event, extra=_fields(row)))


def note(event: Event, request: HttpRequest, *, user_id: Any, session_id: Any) -> None:
    """Add an event to the log alone: one that is too frequent for a row."""
    logger.info(event, extra=_fields(_row(event, request, user_id, session_id, {})))


def _row(
    event: StrEnum,
    request: HttpRequest | None,
    user_id: Any,
    session_id: Any,
    detail: dict[str, str | int],
) -> AuditEvent:
    request = request or current_request.get()
    failed = event in FAILURES
    return AuditEvent(
        event=event,
        outcome="failure" if failed else "success",
        user_id=user_id,
        actor_id=_logged_in(request) or (None if failed or request is None else user_id),
        session_id=session_id,
        request_id=request_id(request) if request else "",
        detail=detail,
        **(context_of(request) if request else {}),
    )


def _logged_in(request: HttpRequest | None) -> Any:
    """Whose request it is; where it is nobody's, a success says that they just proved to be the user."""
    user = getattr(request, "user", None)
    return user.pk if user is not None and user.is_authenticated else None


LINE = ("event", "outcome", "user_id", "actor_id", "session_id", "ip", "user_agent", "request_id")


def _fields(row: AuditEvent) -> dict[str, Any]:
    return {"audit": {**row.detail, **{name: getattr(row, name) for name in LINE}}}
