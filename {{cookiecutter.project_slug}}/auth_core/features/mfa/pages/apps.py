"""The Django application of these parts of pages."""

from django.apps import AppConfig

from auth_core.features.pages.extensions import Extension


class MFAPagesConfig(Extension, AppConfig):
    name = "auth_core.features.mfa.pages"
    label = "auth_mfa_pages"
    verbose_name = "Pages of the second factor"
    slots = {
        "step": "pages/mfa_step.html",
        "account": "pages/mfa_account.html",
        "reauthenticate": "pages/mfa_reauthenticate.html",
    }
    pages = {"undo-factor": "pages/undo_factor.html"}
