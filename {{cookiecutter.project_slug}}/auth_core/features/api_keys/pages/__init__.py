"""The API keys in the built-in pages: a section of the account."""
