"""Fixtures for every test: `api`, `account`, `make_account`, `mailbox`, `clock` (see auth_core/testing.py)."""

pytest_plugins = ["auth_core.testing"]
