"""The daemon of ``tests.daemon_process``, for which a fifth of a second is quiet: it tends the lake soon."""

from __future__ import annotations

import sys

from tests.runners import AsTheTableSays
from unify.loading import upkeep
from unify.loading.daemon import run_detached

if __name__ == "__main__":
    upkeep.QUIET_S = 0.2
    sys.exit(run_detached(sys.argv[1:], AsTheTableSays()))
