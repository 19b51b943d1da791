"""Somebody who reads all the time: every answer is a whole table or none."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import TracebackType

from unify.errors import UnifyError
from unify.model import TableName
from unify.settings import Settings
from unify.store import catalog
from unify.store.lake import Lake

PAUSE_S = 0.05


class Reader:
    """Counts every table again and again, on a thread and a lake of its own.

    ``whole``  the rows each table has at its source, by table name.
    """

    def __init__(self, settings: Settings, whole: Mapping[str, int]) -> None:
        self._settings = settings
        self._whole = whole
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read, name="reader")
        self.reads = 0
        self.torn: list[str] = []

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _read(self) -> None:
        with Lake(self._settings, read_only=True) as lake:
            while not self._over.wait(PAUSE_S):
                try:
                    for name in catalog.stored_tables(lake):
                        self._look(lake, name)
                except UnifyError as error:
                    self.torn.append(error.message)

    def _look(self, lake: Lake, name: TableName) -> None:
        self.reads += 1
        if problem := wrong_rows(lake, name, self._whole[name.table]):
            self.torn.append(problem)


def wrong_rows(lake: Lake, name: TableName, whole: int) -> str:
    """What is wrong with the rows of a table; "" where every row is there once."""
    [(rows, keys)] = lake.read(
        f'SELECT count(*), count(DISTINCT id) FROM lake."{name.schema}"."{name.table}"'
    )
    return "" if rows == keys == whole else f"{name}: {rows} rows, {keys} keys, {whole} at the source"
