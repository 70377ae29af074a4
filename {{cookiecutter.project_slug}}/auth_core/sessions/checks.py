"""System checks of the signing keys."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from .keys import WeakKey, key_ring


@register()
def signing_keys_check(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    hint = "Write a new one with `make secret`, or `manage.py authkeys add`."
    try:
        key_ring()
    except WeakKey as error:
        return [Error(f"AUTH_SIGNING_KEYS: {error}.", hint=hint, id="auth_core.E001")]
    if any(settings.SECRET_KEY in entry for entry in settings.AUTH_SIGNING_KEYS):
        return [
            Error("AUTH_SIGNING_KEYS: a key is the SECRET_KEY.", hint=hint, id="auth_core.E002")
        ]
    return []
