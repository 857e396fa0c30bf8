"""Child processes that end with their parent."""

import contextlib
import ctypes
import signal

SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl.h


def die_with_parent() -> None:
    """Have Linux kill this process when the one that started it ends for any reason."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(SET_DEATH_SIGNAL, signal.SIGKILL)
