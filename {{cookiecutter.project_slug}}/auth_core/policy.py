"""Every answer, as plain typed constants: the only file of auth_core that differs between repositories.

Change an answer by regenerating the project with it, not here: auth_core is hash-locked
(see auth_core/README.md). Durations carry their unit in their name.
"""

from typing import Final, Literal

# An answer may be longer than a line.
# fmt: off
PROJECT_NAME: Final = "{{ cookiecutter.project_name }}"
PROJECT_SLUG: Final = "{{ cookiecutter.project_slug }}"

DATABASE: Final[Literal["sqlite", "postgresql"]] = "{{ cookiecutter.database }}"

LOGIN_WITH: Final[Literal["username_or_email", "email", "username"]] = "{{ cookiecutter.login_with }}"
REGISTRATION: Final[Literal["open", "invite", "closed"]] = "{{ cookiecutter.registration }}"
EMAIL_VERIFICATION: Final[Literal["mandatory", "optional", "none"]] = "{{ cookiecutter.email_verification }}"
EMAIL_PROVIDER: Final[Literal["smtp", "postmark", "mailgun", "file"]] = "{{ cookiecutter.email_provider }}"

# Whether new passwords are looked up in haveibeenpwned.com's list of breached ones.
BREACHED_PASSWORDS: Final[bool] = {{ cookiecutter.breached_passwords }}

# Where mailed links lead; empty means the built-in pages of this project.
FRONTEND_URL: Final[str] = "{{ cookiecutter.frontend_url }}"

ACCESS_TOKEN_MINUTES: Final[int] = {{ cookiecutter.access_token_minutes }}
# A session dies when it was not refreshed for this long (NIST SP 800-63B-4, 2.1.3: inactivity).
REFRESH_TOKEN_DAYS: Final[int] = {{ cookiecutter.refresh_token_days }}
TOKEN_DELIVERY: Final[Literal["header", "cookie", "both"]] = "{{ cookiecutter.token_delivery }}"
AUTH_HEADER_TYPE: Final[Literal["Bearer", "JWT"]] = "{{ cookiecutter.auth_header_type }}"

SIGNING_ALGORITHM: Final[Literal["HS256", "EdDSA", "ES256", "RS256"]] = "{{ cookiecutter.signing_algorithm }}"

AUTH_URL_PREFIX: Final = "{{ cookiecutter.auth_url_prefix }}"
REGISTRATION_URL_PREFIX: Final = "{{ cookiecutter.registration_url_prefix }}"
REFRESH_URL: Final = "{{ cookiecutter.refresh_url }}"

MFA: Final[Literal["totp", "totp_and_passkeys", "none"]] = "{{ cookiecutter.mfa }}"
# Where else people may log in, with commas between; empty means nowhere.
SOCIAL_PROVIDERS: Final = "{{ cookiecutter.social_providers }}"
# fmt: on

# However active, a session ends after this long (NIST SP 800-63B-4, 2.1.3: overall, 30 days at AAL1).
SESSION_ABSOLUTE_DAYS: Final[int] = max(30, REFRESH_TOKEN_DAYS)
# How long the parent of the current refresh token is answered with the current one again, for
# clients that refresh twice at once or lose an answer. 0 is strict reuse detection.
REFRESH_GRACE_SECONDS: Final[int] = 10
# A login beyond this many sessions ends the user's oldest.
MAX_SESSIONS_PER_USER: Final[int] = 20
# Clock difference tolerated between hosts (0 to 30).
CLOCK_SKEW_SECONDS: Final[int] = 10

# How long after a login or reauthenticate/ a session may change what recovers the account (ASVS 7.5.1).
REAUTHENTICATION_MINUTES: Final[int] = 10

EMAIL_VERIFICATION_HOURS: Final[int] = 24
# How long the former owner of an address can take a change of it back.
EMAIL_UNDO_DAYS: Final[int] = 7
PASSWORD_RESET_MINUTES: Final[int] = 60
# NIST SP 800-63B-4, 3.1.1.2: 15 where the password is the only factor.
PASSWORD_MIN_LENGTH: Final[int] = 15

# What `manage.py purge` keeps, in days: the audit trail; registrations that nobody finished.
AUDIT_RETENTION_DAYS: Final[int] = 365
UNVERIFIED_RETENTION_DAYS: Final[int] = 7
