"""Settings of the second factor."""

from typing import Literal

from auth_core import env, policy

from .encryption import WeakKey, parse_keys

INSTALLED_APPS = ["allauth.mfa", "auth_core.features.mfa"]

# Who must have a second factor: until they do, they can do nothing else but enrol.
MFA_REQUIRED: Literal["optional", "staff", "all"] = "optional"
# How long a login waits for its code, and how many tries it has.
MFA_PENDING_SECONDS = 300
MFA_PENDING_TRIES = 5
# How long the link in the notice of a first factor removes it, and voids the password; 0: there is none.
FACTOR_UNDO_HOURS = 72

# Comma-separated keys of Fernet: the first encrypts, all decrypt.
MFA_ENCRYPTION_KEYS = env.read_list("MFA_ENCRYPTION_KEYS")
try:
    parse_keys(MFA_ENCRYPTION_KEYS)
except WeakKey as _error:
    env.refuse("MFA_ENCRYPTION_KEYS", str(_error), "take the one of `make secret`")
for _name in ("SECRET_KEY", "SECRET_KEY_FALLBACKS", "AUTH_SIGNING_KEYS"):
    if any(_key.rstrip("=") in env.read(_name) for _key in MFA_ENCRYPTION_KEYS):
        env.refuse("MFA_ENCRYPTION_KEYS", f"is in {_name}", "take the one of `make secret`")

SESSION_GATES = ["auth_core.features.mfa.services.require_factor"]
SESSION_STEP_ANSWERS = ["auth_core.features.mfa.serializers.PendingLoginAnswer"]
SESSION_RESTRICTIONS = ["auth_core.features.mfa.services.require_enrolment"]
USER_RESTRICTIONS = ["auth_core.features.mfa.services.require_enrolled_user"]
USER_EXPORTERS = ["auth_core.features.mfa.services.export"]
PURGES = {
    "pending logins": "auth_core.features.mfa.services.purge",
    "first factors": "auth_core.features.mfa.disowning.purge",
}

# allauth's.
MFA_ADAPTER = "auth_core.features.mfa.adapter.MFAAdapter"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = policy.PROJECT_NAME
SCHEMA_OPERATIONS = ["auth_core.features.mfa.schema.describe"]
SCHEMA_EXAMPLES = {
    "activation_token": "TOKEN-OF-THE-SECRET",
    "code": "123456",
    "ephemeral_token": "TOKEN-OF-THE-LOGIN",
    "qr_code_data_uri": "data:image/svg+xml;base64,...",
    "recovery_codes": ["abcde-fghij"],
    "codes": ["abcde-fghij"],
    "recovery_codes_left": 10,
    "secret": "JBSWY3DPEHPK3PXP",
    "totp_url": "otpauth://totp/...",
}
