"""Model fields that store identifiers in one spelling, so that equal means the same account."""

import unicodedata
from contextlib import suppress
from typing import Any

import idna
from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator
from django.db import models
from django.utils.encoding import punycode
from django.utils.translation import gettext as _
from rest_framework import serializers

IS_A_LABEL = "xn--"
# No name or address is longer (RFC 5321, 4.5.3.1). To fold more costs seconds: it grows with the square.
LONGEST = 320
SIGMA = "\N{GREEK SMALL LETTER SIGMA}"


def canonical(value: str | None) -> str | None:
    """Fold case and compatibility forms (NFKC), trim, write a domain in ASCII, as mail to it does.

    By IDNA 2008 with the mapping of UTS 46, non-transitional, as registries and browsers read it; what that has
    no form for stays, and AddressValidator refuses it. Nothing left is None, which is unique to nobody.
    What is longer than LONGEST is nobody's, and returned as it is.
    """
    if value and len(value) > LONGEST:
        return value
    folded = unicodedata.normalize("NFKC", value or "").strip()
    name, at, domain = folded.rpartition("@")
    return f"{name.lower()}{at}{_in_ascii(domain) if at else domain.lower()}" or None


def _in_ascii(domain: str) -> str:
    if not domain.isascii():
        # Not lower() before, which knows a final sigma, and IDNA maps none to it.
        with suppress(UnicodeError):
            return idna.encode(domain, uts46=True).decode()
    return domain.lower()


def former_spelling(address: str) -> str | None:
    """Return how versions before stored an address, by IDNA 2003, if that differs.

    With ss for a sharp s, another sigma at the end, without joiners; and what IDNA 2008 has not, such as emoji.
    """
    if len(address) > LONGEST:
        return None
    name, _at, domain = (canonical(address) or "").rpartition("@")
    with suppress(UnicodeError):
        former = f"{name}@{punycode('.'.join(map(_in_unicode, domain.split('.'))))}"
        return former if former != canonical(address) else None
    return None


def other_spellings(address: str) -> list[str]:
    """Return what IDNA 2003 may have stored as this address: with a sharp s, or with a final sigma."""
    name, _at, domain = address.rpartition("@")
    try:
        labels = [_in_unicode(it) for it in domain.split(".")]
    except UnicodeError:
        return []
    final = [
        f"{it[:-1]}\N{GREEK SMALL LETTER FINAL SIGMA}" if it[-1:] == SIGMA else it for it in labels
    ]
    sharp = [it.replace("ss", "\N{LATIN SMALL LETTER SHARP S}") for it in labels]
    return [f"{name}@{'.'.join(it)}" for it in (sharp, final) if it != labels]


def _in_unicode(label: str) -> str:
    is_a_label = label.startswith(IS_A_LABEL)
    return label.removeprefix(IS_A_LABEL).encode().decode("punycode") if is_a_label else label


def problem_of(address: str) -> str | None:
    """Say why no account may take an address that is spelled well otherwise, or None."""
    name, _at, domain = address.rpartition("@")
    if '"' in name:
        # Quoted or not it is one mailbox (RFC 5321, 4.1.2), which would have many accounts.
        return _("Write the address without quotation marks.")
    if domain.startswith("["):
        return _("Write the address with the name of a domain, not with an IP address.")
    try:
        is_sound = all(
            idna.encode(_in_unicode(it), uts46=True).decode() == it
            for it in domain.split(".")
            if it.startswith(IS_A_LABEL)
        )
    except UnicodeError:
        is_sound = False
    return None if is_sound else _("The domain of this address is not valid (IDNA 2008).")


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
    """Of an address that an account shall have: more than Django's, which takes a dotless i for an I."""

    def __call__(self, value: Any) -> None:
        if not str(value).isascii():
            raise ValidationError(self.message, code=self.code)
        super().__call__(value)
        if problem := problem_of(str(value)):
            raise ValidationError(problem, code=self.code)


class CanonicalEmailField(_CanonicalMixin, models.EmailField):
    default_validators = [AddressValidator()]


class AddressField(serializers.EmailField):
    """An e-mail address in a body, by which an account is looked for, also one that was stored before."""

    def to_internal_value(self, data: Any) -> str:
        return canonical(super().to_internal_value(data)) or ""


class NewAddressField(AddressField):
    """An e-mail address in a body that an account shall have; validated as it is stored."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # The last one is Django's own.
        self.validators[-1] = AddressValidator()
