"""Settings of the passkeys; where they are used comes from the environment, or from FRONTEND_URL."""

from auth_core import env, policy
from auth_core.http.origins import origin_of

from .origins import host_of, problem_of_origin, problem_of_rp_id

INSTALLED_APPS = ["auth_core.features.passkeys"]

_production = env.read("DJANGO_ENV") == "production"
_frontend = origin_of(env.read("FRONTEND_URL") or policy.FRONTEND_URL)
if not _production and problem_of_origin(_frontend, host_of(_frontend), is_production=False):
    # Browsers have no passkeys on addresses such as 127.0.0.1.
    _frontend = f"http://localhost:{env.read_count('PORT', 8000)}"

# The pages that may use passkeys, exactly, and the one domain that these are in. Another domain, and every
# passkey is lost.
PASSKEY_ORIGINS = env.read_list("PASSKEY_ORIGINS") or [_frontend]
PASSKEY_RP_ID = env.read("PASSKEY_RP_ID") or host_of(PASSKEY_ORIGINS[0])

_problem = problem_of_rp_id(PASSKEY_RP_ID, is_production=_production)
if _problem:
    env.refuse("PASSKEY_RP_ID", _problem, "for example PASSKEY_RP_ID=example.com")
for _origin in PASSKEY_ORIGINS:
    _problem = problem_of_origin(_origin, PASSKEY_RP_ID, is_production=_production)
    if _problem:
        env.refuse(
            "PASSKEY_ORIGINS", _problem, "for example PASSKEY_ORIGINS=https://app.example.com"
        )

PASSKEY_RP_NAME = policy.PROJECT_NAME
# How long the browser may take.
PASSKEY_CEREMONY_SECONDS = 300
PASSKEYS_PER_USER = 20

RATE_LIMITS = {"passkeys": "60/m/ip,600/h/ip"}
USER_EXPORTERS = ["auth_core.features.passkeys.services.export"]
PURGES = {"ceremonies of passkeys": "auth_core.features.passkeys.ceremonies.purge"}

# allauth's.
MFA_SUPPORTED_TYPES = ["webauthn"]
SCHEMA_EXAMPLES = {"flow_token": "TOKEN-OF-THE-CEREMONY"}
