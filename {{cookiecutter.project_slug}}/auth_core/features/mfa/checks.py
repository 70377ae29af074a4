"""System check: a mistyped MFA_REQUIRED would require a second factor of nobody."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

CHOICES = ("optional", "staff", "all")


@register()
def mfa_required(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    chosen: Any = settings.MFA_REQUIRED  # type: ignore[misc] # of a feature: mypy reads the kernel's
    if chosen in CHOICES:
        return []
    hint = f"Choose one of {', '.join(CHOICES)}."
    return [Error(f"MFA_REQUIRED is {chosen!r}.", hint=hint, id="auth_mfa.E001")]
