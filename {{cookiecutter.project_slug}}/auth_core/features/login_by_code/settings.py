"""Settings of the logins by an e-mailed code."""

INSTALLED_APPS = ["auth_core.features.login_by_code"]

# allauth's, and how its adapter makes a code: eight of twenty letters, 34 bits (ASVS 6.5.4 wants 20).
# From the request on, in seconds; at most ten minutes (ASVS 6.5.5).
ACCOUNT_LOGIN_BY_CODE_TIMEOUT = 600
# How many codes can be tried for one request.
ACCOUNT_LOGIN_BY_CODE_MAX_ATTEMPTS = 3

# By key: mails to whom a name means. With the tries of each, what guessing can reach in a day.
RATE_LIMITS = {"login_code": "20/m/ip,100/h/ip,5/h/key,10/d/key"}
PURGES = {"login codes": "auth_core.features.login_by_code.services.purge"}
SCHEMA_EXAMPLES = {"login_token": "TOKEN-OF-THE-REQUEST"}
