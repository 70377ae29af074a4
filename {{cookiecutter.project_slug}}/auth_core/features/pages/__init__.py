"""The built-in pages, for projects without a frontend of their own: all that a user does with an account."""
