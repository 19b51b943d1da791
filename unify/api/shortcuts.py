"""One call without a connection: ``unify.load`` and ``unify.tables``."""

from __future__ import annotations

import os

from unify.api import session
from unify.interpreter.quiet_watcher import ProgressCallback
from unify.interpreter.state import TableState
from unify.model import LoadRecord


def load(
    table: str,
    home: str | os.PathLike[str] | None = None,
    *,
    on_progress: ProgressCallback | None = None,
) -> LoadRecord:
    """Load a table such as ``github.pulls``, or refresh one that is stored, and wait for it.

    Returns its row of ``unify.loads``: status, rows, seconds. Raises LoadFailed, UnknownName, ConfigError.
    """
    with session.open(home, on_progress=on_progress) as opened:
        return opened.load(table)


def tables(schema: str | None = None, home: str | os.PathLike[str] | None = None) -> list[TableState]:
    """Return the tables that a statement can name, stored or not, with rows, age and state."""
    with session.open(home) as opened:
        return opened.tables(schema)
