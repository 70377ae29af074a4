"""System checks: a limit that is mistyped or missing would show when it is needed."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from auth_core import settings as kernel

from .limits import rates


@register()
def bad_rate_limits(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    return [Error(problem, hint=HINT, id="auth_core.E005") for problem in _problems()]


HINT = (
    'For example "20/m/ip,100/h/ip"; per s, m, h, d; counted by ip, key, user, all; "" is no limit.'
)


def _problems() -> Iterator[str]:
    for name in kernel.RATE_LIMITS.keys() - settings.RATE_LIMITS.keys():
        yield f'RATE_LIMITS["{name}"] is missing.'
    for name in settings.RATE_LIMITS:
        try:
            rates(name)
        except ValueError as error:
            yield f'RATE_LIMITS["{name}"] holds no rate: {error}.'
