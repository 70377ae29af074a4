"""Settings of the pages."""

INSTALLED_APPS = ["auth_core.features.pages"]
FRONTEND_PATH = "account/"
