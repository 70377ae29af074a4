"""Limits on guessing, flooding and mail: counted in the database, which alone decides; no cache is asked."""
