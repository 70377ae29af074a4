"""The fixtures of these tests."""

from .testing import holder, make_holder

__all__ = ["holder", "make_holder"]
