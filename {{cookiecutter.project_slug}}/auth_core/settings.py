"""Turns the policy and the environment into Django's, DRF's, allauth's, dj-rest-auth's and simplejwt's settings.

`config/settings.py` takes every name from here; `config/settings_team.py` has the last word.
"""

from datetime import timedelta
from typing import Any

import django

from . import env, features, policy
from .http.origins import origin_of
from .sessions.keys import KeyRing, WeakKey

BASE_DIR = env.BASE_DIR
env.load_dotenv(BASE_DIR / ".env")

DJANGO_ENV = env.read_choice("DJANGO_ENV", ("dev", "production"))
PRODUCTION = DJANGO_ENV == "production"
DEBUG = not PRODUCTION


def required(name: str, example: str) -> str:
    """Read a variable that production needs; in development it may be missing."""
    value = env.read(name)
    if PRODUCTION and not value:
        env.refuse(name, "must be set in production", f"for example {name}={example}")
    return value


# --- Secrets -------------------------------------------------------------------------------

SECRET_KEY = env.read("SECRET_KEY")
if not SECRET_KEY:
    env.refuse("SECRET_KEY", "is not set", "`make install` writes a .env with a random one")
SECRET_KEY_FALLBACKS = env.read_list("SECRET_KEY_FALLBACKS")
for _name, _key in [
    ("SECRET_KEY", SECRET_KEY),
    *(("SECRET_KEY_FALLBACKS", it) for it in SECRET_KEY_FALLBACKS),
]:
    # As Django's check security.W009 has it, which nobody runs before a start.
    if len(_key) < 50 or len(set(_key)) < 10 or _key.startswith("django-insecure-"):
        env.refuse(
            _name,
            "is shorter than 50 characters, monotonous or a sample",
            "take the output of `make secret`",
        )

# --- Hosts and addresses -------------------------------------------------------------------

ALLOWED_HOSTS = env.read_list("ALLOWED_HOSTS") or (
    [] if PRODUCTION else ["localhost", "127.0.0.1", "[::1]"]
)
if not ALLOWED_HOSTS or "*" in ALLOWED_HOSTS:
    env.refuse(
        "ALLOWED_HOSTS",
        "must list the host names served",
        "for example ALLOWED_HOSTS=api.example.com",
    )

# How many reverse proxies of yours stand in front: decides whose X-Forwarded-* is believed.
TRUSTED_PROXIES = env.read_count("TRUSTED_PROXIES", 0)
ALLAUTH_TRUSTED_PROXY_COUNT = TRUSTED_PROXIES
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None

# Mailed links start with this, never with the request's Host header.
FRONTEND_URL = (
    required("FRONTEND_URL", policy.FRONTEND_URL or "https://api.example.com")
    or policy.FRONTEND_URL
)
if FRONTEND_URL:
    FRONTEND_URL = env.origin("FRONTEND_URL", FRONTEND_URL, https=PRODUCTION)
else:
    FRONTEND_URL = f"http://127.0.0.1:{env.read_count('PORT', 8000)}"

# FRONTEND_URL's is allowed besides; CORS_ALLOWED_ORIGIN_REGEXES match whole origins.
CORS_ALLOWED_ORIGINS = [
    origin_of(env.origin("CORS_ALLOWED_ORIGINS", it, https=PRODUCTION, may_have_path=False))
    for it in env.read_list("CORS_ALLOWED_ORIGINS")
]

# --- Database, cache, mail -----------------------------------------------------------------

_database_url = env.read("DATABASE_URL") or "sqlite:///var/db.sqlite3"
if PRODUCTION and policy.DATABASE == "postgresql" and _database_url.startswith("sqlite:"):
    env.refuse(
        "DATABASE_URL",
        "must name a PostgreSQL database in production",
        "for example DATABASE_URL=postgresql://user:password@localhost:5432/name",
    )
DATABASES = {"default": env.database("DATABASE_URL", _database_url)}
if PRODUCTION and env.has_guessable_password(DATABASES["default"]):
    env.refuse(
        "DATABASE_URL",
        "names another host without a password or with a well-known one",
        "for example DATABASE_URL=postgresql://user:LONG-RANDOM-TEXT@db.example.com:5432/name?sslmode=verify-full",
    )
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHES = {"default": env.cache("CACHE_URL", env.read("CACHE_URL") or "locmem://")}

_email_url = env.read("EMAIL_URL")
if PRODUCTION and policy.EMAIL_PROVIDER != "file" and not _email_url:
    required("EMAIL_URL", f"{policy.EMAIL_PROVIDER}://...")
_mailer = env.mailer("EMAIL_URL", _email_url or "file://var/mail")
if django.VERSION >= (6, 1):
    MAILERS = {"default": _mailer}
else:
    globals().update(env.legacy_mail_settings(_mailer))
DEFAULT_FROM_EMAIL = env.read("DEFAULT_FROM_EMAIL") or f"no-reply@{ALLOWED_HOSTS[0].lstrip('.')}"
SERVER_EMAIL = DEFAULT_FROM_EMAIL

# Mails are tasks: in production rows of the database, for `make worker`; in development done after
# the commit, by whoever causes them. Django 5.2 has tasks in a package of their own.
_TASKS = "django.tasks" if django.VERSION >= (6, 0) else "django_tasks"
IMMEDIATE_BACKEND = f"{_TASKS}.backends.immediate.ImmediateBackend"
DATABASE_BACKEND = "django_tasks_db.DatabaseBackend"
TASKS: dict[str, Any] = {
    "default": {
        "BACKEND": DATABASE_BACKEND if PRODUCTION else IMMEDIATE_BACKEND,
        "QUEUES": ["default", "mail"],
    }
}
# What could not be sent is tried again, after a pause that doubles, for about two days. Longer than
# the lease no job takes: whoever began it is dead, and another worker takes it up.
MAIL_RETRY_SECONDS = 10
MAIL_RETRY_MAX_SECONDS = 3600
MAIL_ATTEMPTS = 56
MAIL_LEASE_SECONDS = 300

# --- Applications --------------------------------------------------------------------------

INSTALLED_APPS = [
    "auth_core.http.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "corsheaders",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    *([] if django.VERSION >= (6, 0) else ["django_tasks"]),
    "django_tasks_db",
    # Before allauth, whose templates of mails it replaces.
    "auth_core.accounts",
    "allauth",
    "allauth.account",
    # dj_rest_auth.registration imports its models.
    "allauth.socialaccount",
    "dj_rest_auth",
    "dj_rest_auth.registration",
    "auth_core.audit",
    "auth_core.throttling",
    "auth_core.sessions",
    "auth_core.mail",
    "auth_core.http",
    "users",
]

MIDDLEWARE = [
    "auth_core.http.middleware.RequestIdMiddleware",
    "auth_core.http.middleware.SecurityHeadersMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "auth_core.http.middleware.HttpsOnlyMiddleware",
    "auth_core.http.middleware.CorsMiddleware",
    "auth_core.http.middleware.MethodNotAllowedMiddleware",
    "auth_core.http.middleware.BodyLimitMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "auth_core.http.middleware.LanguageMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "auth_core.sessions.django_sessions.LivingSessionMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]
if PRODUCTION:
    MIDDLEWARE.insert(4, "whitenoise.middleware.WhiteNoiseMiddleware")

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
# A missing slash is answered by a 404 that names the right path; a redirect would turn POST into GET.
APPEND_SLASH = False

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# Of the admin: no cookie of its own, and no reading of cookies with every request.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "var" / "static"

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

# --- Users and passwords -------------------------------------------------------------------

AUTH_USER_MODEL = "users.User"
# One alone: a second backend would hash every password twice.
AUTHENTICATION_BACKENDS = ["auth_core.accounts.backend.AuthenticationBackend"]
PASSWORD_HASHERS = [
    "auth_core.accounts.hashers.Argon2idHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS: list[dict[str, Any]] = [
    {"NAME": "auth_core.accounts.password_policy.LengthValidator"},
    {"NAME": "auth_core.accounts.password_policy.CommonPasswordValidator"},
    {"NAME": "auth_core.accounts.password_policy.ContextValidator"},
]
# Where that was chosen; development and tests ask nobody.
CHECK_BREACHED_PASSWORDS = policy.BREACHED_PASSWORDS and PRODUCTION
PASSWORD_RESET_TIMEOUT = policy.PASSWORD_RESET_MINUTES * 60

# --- Transport (production) ----------------------------------------------------------------

SECURE_HSTS_SECONDS = 31_536_000 if PRODUCTION else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = PRODUCTION
SECURE_HSTS_PRELOAD = PRODUCTION
CSRF_FAILURE_VIEW = "auth_core.http.errors.csrf_failure"
SECURE_REFERRER_POLICY = "no-referrer"
X_FRAME_OPTIONS = "DENY"
# Plain http is refused, not redirected: a redirect answers after the secret was sent (ASVS 4.1.2).
SILENCED_SYSTEM_CHECKS = ["security.W008"]
if policy.EMAIL_PROVIDER == "file":
    # That mail goes to files in production was asked for; Django 6.1 calls it an error.
    SILENCED_SYSTEM_CHECKS.append("mail.E001")

# The largest body accepted, in bytes; raise it for uploads of your own.
BODY_LIMIT_BYTES = 65_536

# --- Django's own session: of the admin, and of pages of yours --------------------------------

# Named by the project, or two on one host would log each other out (cookies know no ports). The prefix
# ties a cookie to this host and https (RFC 6265bis, 4.1.3.2).
_cookie = f"{'__Host-' if PRODUCTION else ''}{policy.PROJECT_SLUG}"
SESSION_COOKIE_NAME = f"{_cookie}-sessionid"
CSRF_COOKIE_NAME = f"{_cookie}-csrftoken"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PRODUCTION
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
# How long, in seconds, a login lasts at the most, and while nothing is asked for (NIST SP 800-63B-4,
# 2.2.3: AAL2).
SESSION_COOKIE_AGE = 12 * 3600
SESSION_IDLE_SECONDS = 3600

# --- Django REST Framework -----------------------------------------------------------------

# Whose request it is: a feature may replace the one of sessions, and put others before it.
SESSION_AUTHENTICATION_CLASS = "auth_core.sessions.authentication.SessionTokenAuthentication"
EXTRA_AUTHENTICATION_CLASSES: list[str] = []
REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["auth_core.http.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "auth_core.http.openapi.Schema",
    "EXCEPTION_HANDLER": "auth_core.http.errors.exception_handler",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "NUM_PROXIES": TRUSTED_PROXIES,
}

# Otherwise the API documents are for staff who logged in to the admin.
API_DOCUMENTS_ARE_PUBLIC = DEBUG
# Where the admin is; empty: nowhere. ADMIN_NETWORKS, such as "10.0.0.0/8", who reaches it; empty: all.
ADMIN_PATH = "admin"
ADMIN_NETWORKS: list[str] = []

# Dotted paths of functions(operation, schema) that amend the description of an operation: what a
# feature may refuse besides (`x-refusals`), parameters, security. And examples: property -> value.
SCHEMA_OPERATIONS: list[str] = []
SCHEMA_EXAMPLES: dict[str, Any] = {}
# Operations that a client calls before its first unsafe one.
SCHEMA_FIRST: list[str] = []
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": policy.PROJECT_NAME,
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVERS": [{"url": "/"}],
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": ["rest_framework.authentication.SessionAuthentication"],
    "SERVE_PERMISSIONS": ["auth_core.http.permissions.MayReadDocuments"],
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "auth_core.http.openapi.add_refusals",
        "auth_core.http.openapi.add_examples",
    ],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

# --- Tokens and sessions -------------------------------------------------------------------

TOKEN_DELIVERY = "auth_core.sessions.delivery.HeaderDelivery"
ACCESS_TOKEN_LIFETIME = timedelta(minutes=policy.ACCESS_TOKEN_MINUTES)
REFRESH_TOKEN_LIFETIME = timedelta(days=policy.REFRESH_TOKEN_DAYS)
# Dotted paths of functions(session, request) that refuse by raising: one that was just begun, of which
# nothing then is left; the requests of one that lives.
SESSION_GATES: list[str] = []
SESSION_RESTRICTIONS: list[str] = []
# Of functions(user, request) that refuse by raising what comes without tokens: a request by a key of the
# user, a login by Django's session cookie.
USER_RESTRICTIONS: list[str] = []
# Dotted paths of serializers: what a login is answered with when a gate wants one more step first.
SESSION_STEP_ANSWERS: list[str] = []

# "ALGORITHM:base64url", comma-separated: the first signs, all verify. Never the SECRET_KEY.
AUTH_SIGNING_KEYS = env.read_list("AUTH_SIGNING_KEYS")
try:
    _ring = KeyRing(AUTH_SIGNING_KEYS)
except WeakKey as _error:
    env.refuse("AUTH_SIGNING_KEYS", str(_error), "take the output of `make secret`")
if any(map(_ring.reuses, [SECRET_KEY, *SECRET_KEY_FALLBACKS])):
    env.refuse("AUTH_SIGNING_KEYS", "is the SECRET_KEY", "take the output of `make secret`")
# One family at a time, the policy's: what is published (JWKS) follows from it.
if _ring.signer.symmetric != (policy.SIGNING_ALGORITHM == "HS256"):
    env.refuse(
        "AUTH_SIGNING_KEYS",
        f"holds {_ring.signer.algorithm} keys, but this project signs with {policy.SIGNING_ALGORITHM}",
        "take the one of `make secret`; everybody then logs in again",
    )

SIMPLE_JWT: dict[str, Any] = {
    "ACCESS_TOKEN_LIFETIME": ACCESS_TOKEN_LIFETIME,
    "REFRESH_TOKEN_LIFETIME": REFRESH_TOKEN_LIFETIME,
    "AUTH_HEADER_TYPES": (policy.AUTH_HEADER_TYPE,),
    "AUTH_TOKEN_CLASSES": ("auth_core.sessions.tokens.AccessToken",),
    # The tokens of this project are signed with the key ring of auth_core.sessions.keys;
    # simplejwt's own classes know no session and are left without a key on purpose.
    "SIGNING_KEY": None,
    "ISSUER": f"urn:{policy.PROJECT_SLUG}:auth",
    "AUDIENCE": f"urn:{policy.PROJECT_SLUG}:api",
    "LEEWAY": policy.CLOCK_SKEW_SECONDS,
    "USER_ID_CLAIM": "sub",
}

REST_AUTH: dict[str, Any] = {
    "USE_JWT": True,
    "JWT_AUTH_HTTPONLY": False,
    "JWT_AUTH_RETURN_EXPIRATION": True,
    "TOKEN_MODEL": None,
    "SESSION_LOGIN": False,
    "OLD_PASSWORD_FIELD_ENABLED": True,
    "JWT_SERIALIZER_WITH_EXPIRATION": "auth_core.accounts.answers.LoginAnswer",
    "LOGIN_SERIALIZER": "auth_core.accounts.serializers.LoginSerializer",
    "REGISTER_SERIALIZER": "auth_core.accounts.serializers.RegisterSerializer",
    "USER_DETAILS_SERIALIZER": "users.serializers.UserSerializer",
    "PASSWORD_CHANGE_SERIALIZER": "auth_core.accounts.serializers.PasswordChangeSerializer",
    "PASSWORD_RESET_SERIALIZER": "auth_core.accounts.recovery.PasswordResetSerializer",
    "PASSWORD_RESET_CONFIRM_SERIALIZER": "auth_core.accounts.recovery.PasswordResetConfirmSerializer",
}

# --- Limits (docs/security.md describes each) ----------------------------------------------

# allauth's spelling, uses/time/counted by: "ip" (an IPv4 address or an IPv6 /64), "key" (what the
# endpoint names), "user", or "all" together. Generous: many clients may share an address.
RATE_LIMITS = {
    # All logins; two cores hash about 2400 passwords a minute.
    "login": "120/m/ip,1200/m/all",
    "login_failed": "20/m/ip,200/h/ip",
    "signup": "20/m/ip,100/h/ip,5/h/key,10/d/key",
    "verify_email": "20/m/ip,200/h/ip",
    # By key: mails to one address.
    "resend_email": "20/m/ip,100/h/ip,5/h/key,10/d/key",
    "reset_password": "20/m/ip,100/h/ip,5/h/key,10/d/key",
    "reset_password_from_key": "20/m/ip,200/h/ip",
    # Each asks for a mail to an address of the caller's choice.
    "change_email": "5/m/user,20/d/user",
    # By key: refreshes of one session.
    "refresh": "300/m/ip,60/m/key",
}
# Wrong passwords for one account: so many are free, then each makes the next try wait, doubled up to the
# longest, until none was wrong for so long. A login after so many is mailed to the user.
LOGIN_FREE_FAILURES = 10
LOGIN_FIRST_WAIT_SECONDS = 30
LOGIN_LONGEST_WAIT_SECONDS = 900
LOGIN_FAILURES_FORGOTTEN_SECONDS = 86_400
LOGIN_FAILURES_NOTICED = 5

# --- Accounts (allauth) --------------------------------------------------------------------

_EMAIL_REQUIRED = policy.LOGIN_WITH != "username" or policy.EMAIL_VERIFICATION == "mandatory"

ACCOUNT_ADAPTER = "auth_core.accounts.adapter.AccountAdapter"
# Between FRONTEND_URL and the name of the page in a mailed link.
FRONTEND_PATH = ""
ACCOUNT_LOGIN_METHODS = {
    "username_or_email": {"username", "email"},
    "email": {"email"},
    "username": {"username"},
}[policy.LOGIN_WITH]
ACCOUNT_SIGNUP_FIELDS = [
    *([] if policy.LOGIN_WITH == "email" else ["username*"]),
    "email*" if _EMAIL_REQUIRED else "email",
    "password1*",
    "password2*",
]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None if policy.LOGIN_WITH == "email" else "username"
ACCOUNT_USERNAME_VALIDATORS = "auth_core.accounts.validators.username_validators"
ACCOUNT_PRESERVE_USERNAME_CASING = False
# Nobody takes these for themselves: roles (RFC 2142), staff, hosts, paths, and words that programs
# read as no name at all. An administrator may still give one.
ACCOUNT_USERNAME_BLACKLIST = [
    "abuse", "account", "accounts", "admin", "administrator", "all", "anonymous", "api", "auth",
    "billing", "cdn", "contact", "docs", "email", "everyone", "false", "ftp", "health", "help",
    "helpdesk", "hostmaster", "imap", "info", "localhost", "login", "logout", "mail",
    "mailer-daemon", "marketing", "me", "media", "moderator", "news", "nil", "no-reply", "nobody",
    "noc", "none", "noreply", "null", "official", "owner", "password", "pop", "postmaster",
    "register", "root", "sales", "security", "self", "service", "signup", "smtp", "staff",
    "static", "support", "sysadmin", "system", "team", "true", "undefined", "usenet", "user",
    "users", "uucp", "webmaster", "www",
]  # fmt: skip
ACCOUNT_UNIQUE_EMAIL = True
ACCOUNT_EMAIL_VERIFICATION = policy.EMAIL_VERIFICATION
ACCOUNT_EMAIL_CONFIRMATION_EXPIRE_DAYS = policy.EMAIL_VERIFICATION_HOURS / 24
ACCOUNT_EMAIL_SUBJECT_PREFIX = f"[{policy.PROJECT_NAME}] "
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False
# Otherwise allauth opens a Django session beside ours when a password changes.
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = True
# RATE_LIMITS has them: allauth's need the cache.
ACCOUNT_RATE_LIMITS = False

# What `manage.py purge` deletes: functions of the time that return how many rows they deleted.
PURGES = {
    "sessions": "auth_core.sessions.purge.purge",
    "admin sessions": "auth_core.http.admin.purge",
    "registrations": "auth_core.accounts.purge.purge",
    "audit events": "auth_core.audit.purge.purge",
    "changes of address": "auth_core.accounts.email_change.purge",
    "counters": "auth_core.throttling.counters.purge",
    "mail tasks": "auth_core.mail.purge.purge",
}

# Dotted paths of your functions(user) -> dict: what user/export/ tells besides.
USER_EXPORTERS: list[str] = []

DEFAULT_EXCEPTION_REPORTER_FILTER = "auth_core.http.errors.ReportFilter"

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "request": {"()": "auth_core.audit.lines.RequestFields"},
        "production": {"()": "django.utils.log.RequireDebugFalse"},
    },
    "formatters": {
        "json": {"()": "auth_core.audit.lines.JsonFormatter"},
        "text": {
            "()": "auth_core.audit.lines.TextFormatter",
            "fmt": "%(levelname)s %(name)s %(message)s",
        },
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "stream": "ext://sys.stdout",
            "filters": ["request"],
            "formatter": "json" if PRODUCTION else "text",
        },
        "mail_admins": {
            "class": "django.utils.log.AdminEmailHandler",
            "level": "ERROR",
            "filters": ["production"],
        },
    },
    "root": {"handlers": ["console"], "level": "INFO"},
    # In place of Django's own, which write to standard error, and without format.
    "loggers": {
        "django": {"handlers": ["mail_admins"], "level": "INFO"},
        # At DEBUG it would show what a mail is made of, links included.
        "django.template": {"level": "INFO"},
        "django.server": {"propagate": True},
    },
}

# Variables that features need in production -> an example.
REQUIRED_IN_PRODUCTION: dict[str, str] = {}

features.merge_settings(globals())
REST_FRAMEWORK["DEFAULT_AUTHENTICATION_CLASSES"] = [
    *EXTRA_AUTHENTICATION_CLASSES,
    SESSION_AUTHENTICATION_CLASS,
]

for _name, _example in REQUIRED_IN_PRODUCTION.items():
    required(_name, _example)
