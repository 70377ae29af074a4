"""Argon2id with OWASP's parameters (Password Storage Cheat Sheet; ASVS 11.4.2)."""

from django.contrib.auth.hashers import Argon2PasswordHasher


class Argon2idHasher(Argon2PasswordHasher):
    """19 MiB, two passes, one lane: a fifth of the CPU time of Django's own parameters."""

    time_cost = 2
    memory_cost = 19_456
    parallelism = 1
