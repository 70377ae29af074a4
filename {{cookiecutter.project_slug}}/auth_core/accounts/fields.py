"""Model fields that store identifiers in one spelling, so that equal means the same account."""

import unicodedata
from typing import Any

from django.db import models


def canonical(value: str | None) -> str | None:
    """Fold case and compatibility forms (NFKC), trim; nothing left is None, which is unique to nobody."""
    return unicodedata.normalize("NFKC", value).strip().lower() or None if value else None


class _CanonicalMixin:
    """Applies `canonical` to what is saved and to what is looked up."""

    def to_python(self, value: Any) -> Any:
        return canonical(super().to_python(value))  # type: ignore[misc]

    def get_prep_value(self, value: Any) -> Any:
        return canonical(super().get_prep_value(value))  # type: ignore[misc]

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        value = canonical(super().pre_save(model_instance, add))  # type: ignore[misc]
        setattr(model_instance, self.attname, value)  # type: ignore[attr-defined]
        return value


class CanonicalCharField(_CanonicalMixin, models.CharField):
    pass


class CanonicalEmailField(_CanonicalMixin, models.EmailField):
    pass
