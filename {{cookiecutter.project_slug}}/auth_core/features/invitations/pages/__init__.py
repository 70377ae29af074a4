"""The page that a mailed invitation leads to."""
