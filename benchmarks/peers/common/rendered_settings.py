"""The rendered project's settings, with limits that no load reaches: they are counted all the same.

Whether a password is a breached one is not asked: that is a request to a service elsewhere.
"""

import os
import re

from config.settings import *  # noqa: F403
from config.settings import MIDDLEWARE, RATE_LIMITS

CHECK_BREACHED_PASSWORDS = False
RATE_LIMITS = {name: re.sub(r"\d+/", "99999999/", rates) for name, rates in RATE_LIMITS.items()}
if "COUNT_QUERIES" in os.environ:
    MIDDLEWARE = ["counting.CountQueries", *MIDDLEWARE]
if "FAST_HASHER" in os.environ:
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
