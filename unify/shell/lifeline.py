"""A scheduled script ends with the daemon that has started it, however that one ends."""

from __future__ import annotations

import os
import signal
import threading

NAME = "UNIFY_LIFELINE"  # the descriptor of a pipe that breaks when the daemon dies
END_S = 2.0  # for an orderly end; then without
INTERRUPTED = 130


def hold() -> None:
    """Watch the pipe that the environment names, if it does; what we start ourselves does not inherit it."""
    named = os.environ.pop(NAME, "")
    if not named.isdecimal():
        return
    lifeline = int(named)
    try:
        os.set_inheritable(lifeline, False)
    except OSError:
        return  # a left-over of somebody else's environment
    threading.Thread(target=_watch, args=(lifeline,), name="lifeline", daemon=True).start()


def _watch(lifeline: int) -> None:
    try:
        os.read(lifeline, 1)  # nobody writes: it returns when the other end is gone
    except OSError:
        return
    os.kill(os.getpid(), signal.SIGINT)
    threading.Event().wait(END_S)
    os._exit(INTERRUPTED)
