"""The ``unify`` command. Next to nothing is imported here: ``unify --version`` answers at once."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``unify`` with these arguments, or with the process's own; gives the exit status."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments == ["--version"] and sys.stdout is not None:
        from unify import __version__

        sys.stdout.write(f"unify {__version__}\n")
        return 0
    from unify.shell.composition import open_interpreter, run

    return run(arguments, open_interpreter)
