"""Settings of the check against breached passwords; CHECK_BREACHED_PASSWORDS says whether it asks."""

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "auth_core.features.breached_passwords.validators.BreachedPasswordValidator"}
]
# Whether a password is refused when nobody could be asked; otherwise it is accepted, and logged.
BREACHED_PASSWORDS_FAIL_CLOSED = False
