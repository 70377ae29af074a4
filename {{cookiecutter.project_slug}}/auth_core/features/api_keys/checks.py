"""System check: a prefix that no key could be read with again, or a scope that cannot be listed."""

import re
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register


@register()
def bad_settings(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    return [Error(problem, hint=hint, id="auth_api_keys.E001") for problem, hint in _problems()]


def _problems() -> Iterator[tuple[str, str]]:
    # Of a feature: mypy reads the kernel's.
    prefix: str = settings.API_KEY_PREFIX  # type: ignore[misc]
    if not re.fullmatch(r"[a-z][a-z0-9_]*", prefix):
        yield f"API_KEY_PREFIX is {prefix!r}.", "Letters a-z, digits and _, like myapi_key."
    scopes: dict[str, str] = settings.API_KEY_SCOPES  # type: ignore[misc]
    for scope in scopes:
        if not re.fullmatch(r"[A-Za-z0-9:._/-]+", scope):
            hint = "Letters, digits and : . _ / -, like orders:read."
            yield f"API_KEY_SCOPES holds {scope!r}.", hint
    if not scopes:
        yield "API_KEY_SCOPES is empty.", "No key could be made; name a scope, like read."
