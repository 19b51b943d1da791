"""The daemon whose workers do not wait to settle rows: ``python -m tests.support.daemon_quick_writes``."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.quick_write_runner import QuickWriteRunner
from unify.daemon.jobs import policies
from unify.daemon.main import run_detached

if __name__ == "__main__":
    policies.CRASH_BACKOFF_S = 0.0
    policies.FIRST_BACKOFF_S = 0.01
    home = Path(sys.argv[sys.argv.index("--home") + 1])
    sys.exit(run_detached(sys.argv[1:], QuickWriteRunner(home, "default")))
