"""API keys for scripts and services: named, scoped, expiring secrets of a user, for views that say so."""
