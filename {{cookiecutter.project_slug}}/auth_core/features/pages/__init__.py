"""The built-in pages that mailed links lead to, for projects without a frontend of their own."""
