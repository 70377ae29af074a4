"""Whether the server is to stop: one byte that its processes share, because they are forked."""

import mmap

_STATE = mmap.mmap(-1, 1)


def begin_draining() -> None:
    """Have `/health/ready` answer 503 in every process that was or will be forked from this one."""
    _STATE[0] = 1


def is_draining() -> bool:
    return bool(_STATE[0])
