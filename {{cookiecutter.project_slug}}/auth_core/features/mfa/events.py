"""What the audit trail tells of second factors."""

from enum import StrEnum


class Event(StrEnum):
    LOGIN_PENDING = "authn_mfa_required"
    RECOVERY_CODE_USED = "authn_mfa_recovery_code_used"
    ENABLED = "user_mfa_enabled"
    DISABLED = "user_mfa_disabled"
    DISOWNED = "user_mfa_disowned"
    RECOVERY_CODES_RENEWED = "user_mfa_recovery_codes_renewed"
