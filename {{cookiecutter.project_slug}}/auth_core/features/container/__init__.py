"""Dockerfile, compose.yaml and kubernetes/: nothing of the application, only tests of what they promise."""
