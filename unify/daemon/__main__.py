"""The daemon as its own process: ``python -m unify.daemon --home H``."""

from __future__ import annotations

import gc
import sys

from unify.imports import skip_unneeded_packages


def main() -> int:
    """Import and run the daemon with the arguments of the process; return the exit status."""
    skip_unneeded_packages()
    gc.disable()  # else Python collects a hundred times during the imports: a tenth of the start-up
    from unify.daemon.main import run_detached

    gc.enable()
    return run_detached(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
