"""Settings of the API keys."""

from auth_core import policy

INSTALLED_APPS = ["auth_core.features.api_keys"]
EXTRA_AUTHENTICATION_CLASSES = ["auth_core.features.api_keys.authentication.ApiKeyAuthentication"]
# What a key may be allowed to do, and how to say so; views ask for these names with `has_scope`.
API_KEY_SCOPES = {"read": "Read", "write": "Change"}
# What every key begins with, for scanners of leaked secrets; another one ends no key.
API_KEY_PREFIX = f"{policy.PROJECT_SLUG.replace('-', '').replace('_', '')}_key"
# The longest that a key may be asked to live.
API_KEY_MAX_DAYS = 365
# Of those that live.
API_KEYS_PER_USER = 20
# How exact `last_used` is: a key in use is written as often.
API_KEY_LAST_USED_MINUTES = 10
RATE_LIMITS = {"api_keys": "10/m/user,50/d/user", "api_key_failed": "20/m/ip,200/h/ip"}
PURGES = {"API keys": "auth_core.features.api_keys.services.purge"}
USER_EXPORTERS = ["auth_core.features.api_keys.serializers.export"]
SCHEMA_OPERATIONS = ["auth_core.features.api_keys.schema.describe"]
SCHEMA_EXAMPLES = {
    "name": "nightly backup",
    "prefix": f"{API_KEY_PREFIX}_3f1c9a52",
    "days": 90,
}
