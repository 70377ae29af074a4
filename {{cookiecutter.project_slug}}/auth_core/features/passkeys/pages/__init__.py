"""Passkeys in the built-in pages: a way to log in, a second step, a section of the account."""
