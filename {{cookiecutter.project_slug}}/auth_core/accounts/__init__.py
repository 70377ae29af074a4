"""Accounts: registration, verification, passwords, user details."""
