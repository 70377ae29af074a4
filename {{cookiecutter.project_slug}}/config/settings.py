"""The kernel's settings, then the team's, which win."""

from auth_core.settings import *  # noqa: F403

from .settings_team import *  # noqa: F403
