"""Settings that name functions and classes by dotted paths: what names nothing stops the start.

A server runs no system checks, and would find out at the first login, or never.
"""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from . import env

LISTS = (
    "SESSION_GATES",
    "SESSION_RESTRICTIONS",
    "USER_RESTRICTIONS",
    "SESSION_STEP_ANSWERS",
    "USER_EXPORTERS",
    "PURGES",
    "SCHEMA_OPERATIONS",
    "AUTHENTICATION_BACKENDS",
)
SINGLE = ("TOKEN_DELIVERY", "SESSION_AUTHENTICATION_CLASS", "ACCOUNT_ADAPTER")
# Of REST_FRAMEWORK.
CLASSES = ("DEFAULT_AUTHENTICATION_CLASSES", "DEFAULT_PERMISSION_CLASSES")


def refuse_what_names_nothing() -> None:
    for name in SINGLE:
        demand(name, getattr(settings, name))
    for name in LISTS:
        _demand_all(name, getattr(settings, name))
    for name in CLASSES:
        _demand_all(f'REST_FRAMEWORK["{name}"]', settings.REST_FRAMEWORK.get(name, ()))


def _demand_all(name: str, paths: Any) -> None:
    if isinstance(paths, str):
        env.refuse(name, "is a text", f'for example ["{paths}"]')
    for path in paths.values() if isinstance(paths, Mapping) else paths:
        demand(name, path)


def demand(name: str, path: Any) -> None:
    """Stop the start where a setting's path names nothing that can be called."""
    try:
        found = import_string(path) if isinstance(path, str) else path
    except ImportError as error:
        env.refuse(name, f"names {path!r} ({error})", "correct the dotted path")
    if not callable(found):
        env.refuse(name, f"names {path!r}, which cannot be called", "name a function or a class")
