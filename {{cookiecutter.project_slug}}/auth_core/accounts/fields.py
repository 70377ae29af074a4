"""Model fields that store identifiers in one spelling, so that equal means the same account."""

import unicodedata
from contextlib import suppress
from typing import Any

from django.core.validators import EmailValidator, RegexValidator
from django.db import models
from django.utils.encoding import punycode


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


class CanonicalEmailField(_CanonicalMixin, models.EmailField):
    # Django's validator, which ignores case, takes a dotless i for an I.
    default_validators = [
        *models.EmailField.default_validators,
        RegexValidator(r"\A[ -~]+\Z", EmailValidator.message, code="invalid"),
    ]
