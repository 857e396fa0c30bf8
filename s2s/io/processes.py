"""Processes: whose this one is, and children that end with their parent."""

import contextlib
import ctypes
import getpass
import os
import signal

SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl.h


def user_name() -> str:
    """Return the name of the user that this process belongs to, or the number of one without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return str(os.getuid())


def die_with_parent() -> None:
    """Have Linux kill this process when the one that started it ends for any reason."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(SET_DEATH_SIGNAL, signal.SIGKILL)
