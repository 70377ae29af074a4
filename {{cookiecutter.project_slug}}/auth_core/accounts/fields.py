"""Model fields that store identifiers in one spelling, so that equal means the same account."""

import unicodedata
from contextlib import suppress
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator
from django.db import models
from django.utils.encoding import punycode
from rest_framework import serializers


def canonical(value: str | None) -> str | None:
    """Fold case and compatibility forms (NFKC), trim, write a domain in ASCII (IDNA), as mail to it does.

    Nothing left is None, which is unique to nobody.
    """
    folded = unicodedata.normalize("NFKC", value or "").strip().lower()
    name, at, domain = folded.rpartition("@")
    if at and not domain.isascii():
        with suppress(UnicodeError):  # no domain: the validator refuses it
            folded = f"{name}@{punycode(domain)}"
    return folded or None


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


class AddressValidator(EmailValidator):
    """Django's, which ignores case and so takes a dotless i for an I, for ASCII alone."""

    def __call__(self, value: Any) -> None:
        if not str(value).isascii():
            raise ValidationError(self.message, code=self.code)
        super().__call__(value)


class CanonicalEmailField(_CanonicalMixin, models.EmailField):
    default_validators = [AddressValidator()]


class AddressField(serializers.EmailField):
    """An e-mail address in a body; validated as it is stored."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # The last one is Django's own.
        self.validators[-1] = AddressValidator()

    def to_internal_value(self, data: Any) -> str:
        return canonical(super().to_internal_value(data)) or ""
