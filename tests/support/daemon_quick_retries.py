"""The daemon with a retry delay of 50 ms: ``python -m tests.support.daemon_quick_retries``."""

from __future__ import annotations

import sys

from unify.daemon.jobs import policies
from unify.daemon.main import run_detached

if __name__ == "__main__":
    policies.FIRST_BACKOFF_S = 0.05
    sys.exit(run_detached(sys.argv[1:]))
