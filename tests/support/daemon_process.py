"""The daemon with fake workers: ``python -m tests.support.daemon_process``."""

from __future__ import annotations

import sys

from tests.support.fake_runners import TableNameRunner
from unify.daemon.main import run_detached

if __name__ == "__main__":
    sys.exit(run_detached(sys.argv[1:], TableNameRunner()))
