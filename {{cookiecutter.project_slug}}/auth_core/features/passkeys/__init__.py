"""Passkeys (WebAuthn): a second factor, and a login without a password."""
