"""Reads the lake for monitoring: totals of loads, and the size of the stored data. Read-only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from unify.config.settings import Settings
from unify.errors import StoreError
from unify.lake.attachment.attach import ready_marker
from unify.lake.lake import Lake
from unify.lake.protocols import METADATA
from unify.model import TableName
from unify.servers.monitoring.ledger_totals import LedgerTotals, LoadTotals

_FILES_SQL = (
    "SELECT end_snapshot IS NULL, count(*), coalesce(sum(file_size_bytes), 0) "
    f"FROM {METADATA}.ducklake_data_file GROUP BY 1"
)


class LakeSize(Struct, frozen=True):
    """Data files of the stored versions, and of the older versions that are kept for a time."""

    current_files: int = 0
    current_bytes: int = 0
    history_files: int = 0
    history_bytes: int = 0


class LakeSummary(Struct, frozen=True):
    """The lake at one moment."""

    tables: Mapping[TableName, LoadTotals]
    size: LakeSize


class LakeMonitor:
    """Reads summaries of a lake that it keeps open. Use it from one thread at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lake: Lake | None = None
        self._totals = LedgerTotals()

    def close(self) -> None:
        if self._lake is not None:
            self._lake.close()
            self._lake = None

    def read(self) -> LakeSummary:
        """Return the current summary; empty for a home in which nothing was loaded yet.

        Raises StoreError: the lake cannot be read. The next call opens it again.
        """
        try:
            lake = self._open()
            if lake is None:
                return LakeSummary({}, LakeSize())
            return lake.read_cached("monitoring", lambda: self._read_summary(lake))
        except StoreError:
            self.close()
            raise

    def _open(self) -> Lake | None:
        """Return the lake; None if there is none yet. It is opened again if its catalog is another file."""
        if self._lake is not None and self._lake.is_outdated:
            self.close()
        if self._lake is None and _exists(ready_marker(self._settings)):
            self._totals = LedgerTotals()
            self._lake = Lake(self._settings, read_only=True, create=False, purpose="unify serve")
        return self._lake

    def _read_summary(self, lake: Lake) -> LakeSummary:
        with lake.read_transaction():
            return LakeSummary(self._totals.update(lake), _read_size(lake))


def _read_size(lake: Lake) -> LakeSize:
    sizes = {is_current: (files, int(size)) for is_current, files, size in lake.read(_FILES_SQL)}
    return LakeSize(*sizes.get(True, (0, 0)), *sizes.get(False, (0, 0)))


def _exists(path: Path) -> bool:
    """Whether a file exists. Raises StoreError if its folder cannot be searched."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror})") from error
    return True
