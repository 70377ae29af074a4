"""Logins by an e-mailed code in the built-in pages."""
