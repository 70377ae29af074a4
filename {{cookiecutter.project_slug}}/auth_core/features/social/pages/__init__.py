"""Logins at other providers in the built-in pages: buttons, the way back, and a section of the account."""
