"""The daemon of ``tests.support.daemon_process`` with maintenance after 0.2 s of idleness."""

from __future__ import annotations

import sys

from tests.support.fake_runners import TableNameRunner
from unify.daemon import maintenance
from unify.daemon.main import run_detached

if __name__ == "__main__":
    maintenance.IDLE_BEFORE_S = 0.2
    sys.exit(run_detached(sys.argv[1:], TableNameRunner()))
