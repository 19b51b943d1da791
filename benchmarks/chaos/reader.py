"""A concurrent reader, which checks that each result is a complete table or none."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import TracebackType

from unify.config.settings import Settings
from unify.errors import UnifyError
from unify.lake import catalog
from unify.lake.lake import Lake
from unify.model import TableName

PAUSE_S = 0.05


class Reader:
    """Counts every table repeatedly, on a thread with its own lake connection.

    ``whole``  the number of rows of each table at its source, by table name.
    """

    def __init__(self, settings: Settings, whole: Mapping[str, int]) -> None:
        self._settings = settings
        self._expected_rows = whole
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._read, name="reader")
        self.reads = 0
        self.problems: list[str] = []

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()

    def _read(self) -> None:
        with Lake(self._settings, read_only=True) as lake:
            while not self._stopped.wait(PAUSE_S):
                try:
                    for name in catalog.stored_tables(lake):
                        self._check_table(lake, name)
                except UnifyError as error:
                    self.problems.append(error.message)

    def _check_table(self, lake: Lake, name: TableName) -> None:
        self.reads += 1
        if problem := row_problem(lake, name, self._expected_rows[name.table]):
            self.problems.append(problem)


def row_problem(lake: Lake, name: TableName, expected_rows: int) -> str:
    """Return what is wrong with the rows of a table; "" if each row is stored once."""
    [(rows, keys)] = lake.read(
        f'SELECT count(*), count(DISTINCT id) FROM lake."{name.schema}"."{name.table}"'
    )
    return (
        ""
        if rows == keys == expected_rows
        else f"{name}: {rows} rows, {keys} keys, {expected_rows} at the source"
    )
