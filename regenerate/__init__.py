"""Brings rendered projects to another version of the template, or to other answers."""
