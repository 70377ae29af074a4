"""The second factor in the built-in pages: the step of a login, and a section of the account."""
