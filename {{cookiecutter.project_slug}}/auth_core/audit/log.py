"""Records events: a row of the audit trail and one JSON line in the log, without secrets.

Names are of OWASP's Logging Vocabulary Cheat Sheet.
"""

import logging
from enum import StrEnum
from typing import Any

from allauth.account.adapter import get_adapter
from django.http import HttpRequest

from auth_core.http.request_id import request_id

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
    SESSION_RENEWED = "session_renewed"
    ADMIN_ACTION = "authz_admin"


def context_of(request: HttpRequest) -> dict[str, str]:
    """Say from where a request came, trusting X-Forwarded-For as far as TRUSTED_PROXIES says."""
    return {
        "ip": get_adapter().get_client_ip(request),
        "user_agent": request.headers.get("User-Agent", "").replace("\0", "")[:200],
    }


def record(
    event: StrEnum,
    request: HttpRequest | None = None,
    *,
    user_id: Any = None,
    session_id: Any = None,
    **detail: str | int,
) -> None:
    """Add an event to the trail and the log. Never pass a password, token, key or code as detail."""
    source = context_of(request) if request else {}
    row = AuditEvent(
        event=event,
        user_id=user_id,
        session_id=session_id,
        request_id=request_id(request) if request else "",
        detail=detail,
        **source,
    )
    row.save(force_insert=True)
    write_line(row)


def write_line(row: AuditEvent) -> None:
    fields = {name: getattr(row, name) for name in ("user_id", "session_id", "ip", "user_agent")}
    logger.info(row.event, extra={"audit": {**fields, "request_id": row.request_id, **row.detail}})
