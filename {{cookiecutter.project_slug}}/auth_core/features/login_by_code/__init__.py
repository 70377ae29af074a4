"""Logging in by a code that is mailed, instead of the password."""
