"""Imported first by the process that forks those of models: a signal to the group must end neither it nor them.

The server acts on signals, and may still have requests to answer; without their parent, its processes die.
"""

import signal

for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
