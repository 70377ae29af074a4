"""Argon2id with OWASP's parameters (Password Storage Cheat Sheet; ASVS 11.4.2), one hash at a time."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore, Lock

from django.contrib.auth.hashers import Argon2PasswordHasher
from django.dispatch import Signal

from auth_core.http.errors import Unavailable

from .password_policy import nfc

# A hash takes a core for 50 ms. Otherwise a flood of logins takes every core and every thread, and
# nobody who is logged in is served (ASVS 15.1.3): a process hashes one password at a time, and fewer
# threads than it has (gunicorn.conf.py) hash or wait. Have as many processes as cores.
HASHING_OR_WAITING = 3
_places = BoundedSemaphore(HASHING_OR_WAITING)
_hashing = Lock()
# Sent after each hash with how long it `waited` for its turn and how long it `worked`, in seconds.
hashed = Signal()


@contextmanager
def turn_to_hash() -> Iterator[None]:
    """Wait for a turn; raise Unavailable (503, Retry-After) where enough wait already."""
    if not _places.acquire(blocking=False):
        raise Unavailable
    try:
        came = time.perf_counter()
        with _hashing:
            began = time.perf_counter()
            yield
            ended = time.perf_counter()
    finally:
        _places.release()
    hashed.send(turn_to_hash, waited=began - came, worked=ended - began)


class Argon2idHasher(Argon2PasswordHasher):
    """19 MiB, two passes, one lane: a fifth of the CPU time of Django's own parameters.

    Hashes Unicode's NFC, so that a password set in the admin or by a command, however its keyboard
    spelt it, is the one that logs in over the API (NIST SP 800-63B-4, 3.1.1.2).
    """

    time_cost = 2
    memory_cost = 19_456
    parallelism = 1

    def encode(self, password: str, salt: str) -> str:
        with turn_to_hash():
            return super().encode(nfc(password), salt)

    def verify(self, password: str, encoded: str) -> bool:
        with turn_to_hash():
            return super().verify(nfc(password), encoded)
