"""Your settings: every name set here wins over the template's, for example:

from auth_core.settings import INSTALLED_APPS

INSTALLED_APPS += ["orders"]
LANGUAGE_CODE = "de"
"""
