"""The daemon with workers that do what a table is called after: ``python -m tests.daemon_process``."""

from __future__ import annotations

import sys

from tests.runners import AsTheTableSays
from unify.loading.daemon import run_detached

if __name__ == "__main__":
    sys.exit(run_detached(sys.argv[1:], AsTheTableSays()))
