"""Optional features: one folder each, rendered only when it was chosen; nothing in the kernel names one.

A feature may hold `settings.py` (lists are appended to the kernel's, dictionaries merged into
them, other names set), `urls.py` (its `urlpatterns` come before the kernel's), `secrets.py` (its
`new_secrets()` are made with the kernel's) and `serving.py` (`begin` and `end` are called in gunicorn's
first process, with its server).
"""

import importlib
import pkgutil
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django.urls import URLPattern, URLResolver


def installed() -> list[str]:
    """Dotted names of the features this project was rendered with, in alphabetical order."""
    return sorted(
        f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__) if module.ispkg
    )


def modules(name: str) -> list[ModuleType]:
    return [
        importlib.import_module(f"{feature}.{name}")
        for feature in installed()
        if any(
            module.name == name
            for module in pkgutil.iter_modules(importlib.import_module(feature).__path__)
        )
    ]


def merge_settings(namespace: dict[str, Any]) -> None:
    for module in modules("settings"):
        for name, value in vars(module).items():
            if not name.isupper():
                continue
            if isinstance(value, list):
                namespace[name] = [*namespace.get(name, []), *value]
            elif isinstance(value, dict):
                namespace[name] = {**namespace.get(name, {}), **value}
            else:
                namespace[name] = value


def new_secrets() -> dict[str, str]:
    """Make what the features need in the environment besides."""
    return {name: value for it in modules("secrets") for name, value in it.new_secrets().items()}


def urlpatterns() -> "list[URLPattern | URLResolver]":
    return [pattern for module in modules("urls") for pattern in module.urlpatterns]
