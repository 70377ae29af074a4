"""allauth's adapter for second factors: its secrets are encrypted at rest."""

from allauth.mfa.adapter import DefaultMFAAdapter

from . import encryption


class MFAAdapter(DefaultMFAAdapter):
    def encrypt(self, text: str) -> str:
        return encryption.encrypt(text)

    def decrypt(self, encrypted_text: str) -> str:
        return encryption.decrypt(encrypted_text)
