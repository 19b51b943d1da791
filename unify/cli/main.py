"""The ``unify`` command. ``unify --version`` imports nothing else."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence

# Python's default of 700 starts a hundred collections while modules are imported: a tenth of the start-up.
GC_THRESHOLD = 50_000  # objects


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``unify`` with ``argv``, or the arguments of the process, and return the exit status."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments == ["--version"] and sys.stdout is not None:
        return _print_version()
    gc.set_threshold(GC_THRESHOLD)
    if argv is None:
        from unify.imports import skip_unneeded_packages

        skip_unneeded_packages()
    from unify.cli.bootstrap import open_interpreter, run_command

    try:
        return run_command(arguments, open_interpreter)
    finally:
        if argv is None:
            gc.freeze()  # the process ends: nothing is left to collect


def _print_version() -> int:
    from unify.version import VERSION

    text = f"unify {VERSION}\n"
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError:
        from unify.cli.bootstrap import print_text

        return print_text(text)
    return 0
