"""The ``unify`` command. ``unify --version`` imports nothing else."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``unify`` with ``argv``, or the arguments of the process, and return the exit status."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments == ["--version"] and sys.stdout is not None:
        from unify.version import VERSION

        sys.stdout.write(f"unify {VERSION}\n")
        return 0
    from unify.cli.bootstrap import open_interpreter, run_command

    return run_command(arguments, open_interpreter)
