"""The fixtures of these tests."""

from .testing import enrolled, make_enrolled

__all__ = ["enrolled", "make_enrolled"]
