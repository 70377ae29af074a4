"""Fields that take identifiers in one spelling, so that equal means the same account."""

import unicodedata
from contextlib import suppress
from typing import Any

import idna
from django.db import models
from rest_framework import serializers


def canonical(value: str | None) -> str | None:
    """Fold case and compatibility forms (NFKC), trim; nothing left is None, which is unique to nobody.

    The domain of an e-mail address becomes ASCII (IDNA 2008, UTS 46), as the mail servers know it.
    """
    text = unicodedata.normalize("NFKC", value).strip().lower() if value else ""
    local, at, domain = text.rpartition("@")
    if at and not domain.isascii():
        with suppress(idna.IDNAError):  # no domain, which the validator says better
            domain = idna.encode(domain, uts46=True).decode()
    return f"{local}{at}{domain}" or None


class AddressField(serializers.EmailField):
    """An e-mail address in a body; validated as it is stored."""

    def to_internal_value(self, data: Any) -> str:
        return canonical(super().to_internal_value(data)) or ""


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
