"""The former name of ``daemon.main``: ``python -m unify.loading.daemon``."""

from __future__ import annotations

import sys

from unify.daemon.main import run_detached

if __name__ == "__main__":
    sys.exit(run_detached(sys.argv[1:]))
