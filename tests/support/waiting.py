"""Wait for a condition of another process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable


def scaled_limit_s(seconds: float) -> float:
    """Return a time limit for this machine: ``seconds`` on an idle one, more in proportion to its load."""
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def wait_until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Poll until ``condition`` is true: for files, locks and rows of another process, which send no event."""
    deadline = time.monotonic() + scaled_limit_s(timeout_s)
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s:.0f} s"
        time.sleep(0.01)
