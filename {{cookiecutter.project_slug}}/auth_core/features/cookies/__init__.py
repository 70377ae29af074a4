"""Tokens in HttpOnly cookies, for browsers: no script can read them, and every change needs a CSRF proof."""
