"""Settings of the logins at other providers; their credentials come from the environment."""

from typing import Any

from auth_core import env, policy

INSTALLED_APPS = [
    "allauth.socialaccount.providers.github",
    "allauth.socialaccount.providers.openid_connect",
    "auth_core.features.social",
]

_names = policy.SOCIAL_PROVIDERS.split(",")
_issuers = {"google": "https://accounts.google.com"}
REQUIRED_IN_PRODUCTION = {
    f"{_name.upper()}_{_part}": _example
    for _name in _names
    for _part, _example in [("CLIENT_ID", "my-client"), ("CLIENT_SECRET", "LONG-RANDOM-TEXT")]
}
if "openid_connect" in _names:
    _issuer = env.read("OPENID_CONNECT_ISSUER")
    if _issuer:
        _https = env.read("DJANGO_ENV") == "production"
        env.origin("OPENID_CONNECT_ISSUER", _issuer, https=_https)
    _issuers["openid_connect"] = _issuer
    REQUIRED_IN_PRODUCTION["OPENID_CONNECT_ISSUER"] = "https://login.example.com"

# What a provider is called in URLs -> what accounts there are known by, which must never change: for a
# provider of OpenID Connect its issuer, because `sub` is unique only there.
SOCIAL_PROVIDERS = {_name: _name for _name in _names} | {
    _name: _issuer for _name, _issuer in _issuers.items() if _name == "openid_connect"
}
# Where providers may send people besides the frontend's page social/<provider>, exactly.
SOCIAL_REDIRECT_URIS = env.read_list("SOCIAL_REDIRECT_URIS")
# How long somebody may stay at the provider.
SOCIAL_FLOW_SECONDS = 600


def _app(name: str) -> dict[str, Any]:
    issuer = _issuers.get(name, "")
    return {
        "provider_id": SOCIAL_PROVIDERS[name],
        "client_id": env.read(f"{name.upper()}_CLIENT_ID"),
        "secret": env.read(f"{name.upper()}_CLIENT_SECRET"),
        "settings": {
            "issuer": issuer,
            "server_url": f"{issuer.rstrip('/')}/.well-known/openid-configuration",
        },
    }


# allauth's. Google is a provider of OpenID Connect like any other.
SOCIALACCOUNT_PROVIDERS = {
    "openid_connect": {"APPS": [_app(_name) for _name in _names if _name != "github"]},
    "github": {"APPS": [_app(_name) for _name in _names if _name == "github"]},
}
SESSION_GATES = ["auth_core.features.social.services.require_link"]
SOCIALACCOUNT_ADAPTER = "auth_core.features.social.providers.SocialAccountAdapter"
SOCIALACCOUNT_QUERY_EMAIL = True
SOCIALACCOUNT_STORE_TOKENS = False
# In seconds, of each connection and each silence.
SOCIALACCOUNT_REQUESTS_TIMEOUT = 5
# In seconds, of one step with a provider, all its requests together; and the most of one answer.
SOCIAL_SECONDS = 10
SOCIAL_ANSWER_BYTES = 262_144

RATE_LIMITS = {"social": "30/m/ip,300/h/ip"}
USER_EXPORTERS = ["auth_core.features.social.services.export"]
PURGES = {"logins at providers": "auth_core.features.social.flows.purge"}
SCHEMA_OPERATIONS = ["auth_core.features.social.schema.describe"]
SCHEMA_EXAMPLES = {
    "authorization_url": "https://provider.example/authorize?...",
    "flow_token": "TOKEN-OF-THE-BEGINNING",
    "state": "STATE-OF-THE-REDIRECT",
    "iss": "https://provider.example",
    "uid": "110248495921238986420",
}
