"""Refuses passwords that a breach made known, by the list of haveibeenpwned.com."""
