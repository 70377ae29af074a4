"""Argon2id with OWASP's parameters (Password Storage Cheat Sheet; ASVS 11.4.2)."""

from django.contrib.auth.hashers import Argon2PasswordHasher

from .password_policy import nfc


class Argon2idHasher(Argon2PasswordHasher):
    """19 MiB, two passes, one lane: a fifth of the CPU time of Django's own parameters.

    Hashes Unicode's NFC, so that a password set in the admin or by a command, however its keyboard
    spelt it, is the one that logs in over the API (NIST SP 800-63B-4, 3.1.1.2).
    """

    time_cost = 2
    memory_cost = 19_456
    parallelism = 1

    def encode(self, password: str, salt: str) -> str:
        return super().encode(nfc(password), salt)

    def verify(self, password: str, encoded: str) -> bool:
        return super().verify(nfc(password), encoded)
