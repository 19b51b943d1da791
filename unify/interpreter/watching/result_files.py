"""The last result of a watch as a Parquet file, and its changes as another one.

``result-3.parquet`` is version 3 of the result, ``changes-3.parquet`` what differs from version 2. The queue
knows the current version: files of any other version are left of a look that did not end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from unify.engine.connection import quote_literal
from unify.engine.types import quote_identifier as quoted
from unify.errors import FileError, QueryError, StoreError
from unify.fs import durable
from unify.fs.durable import private_umask
from unify.interpreter.files.exporter import FileExporter
from unify.interpreter.variables import BoundQuery
from unify.lake.lake import Lake
from unify.queue.watches import ChangeCounts

CHANGE = "_change"  # the column of the changes that says insert, update or delete
BATCH_ROWS = 1_000
_IS_PRESENT = '"_present"'  # true in every row of its side of the join
Column = tuple[str, str]  # name and type


class ResultFiles:
    """The files of one watch, in ``folder``."""

    def __init__(self, lake: Lake, folder: Path) -> None:
        self._lake = lake
        self.folder = folder

    def result(self, version: int) -> Path:
        return self.folder / f"result-{version}.parquet"

    def changes(self, version: int) -> Path:
        return self.folder / f"changes-{version}.parquet"

    def write(self, bound: BoundQuery, version: int) -> int:
        """Write a result; return its number of rows. Raises QueryError, StoreError."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{self.folder}: cannot be created ({error.strerror})") from error
        target = self.result(version)
        try:
            return FileExporter(self._lake).write(bound, target, "overwrite")
        except FileError as error:  # of the statement: the file is an implementation detail
            raise QueryError(error.message.removeprefix(f"{target.name}: ")) from error

    def columns(self, version: int) -> Sequence[Column]:
        rows = self._lake.read(f"DESCRIBE FROM {_read(self.result(version))}")
        return [(name, type) for name, type, *_ in rows]

    def check(self, version: int, key: Sequence[str]) -> None:
        """Raise QueryError if the rows of a result cannot be compared with those of another one."""
        names = {name.lower() for name, _ in self.columns(version)}
        if CHANGE in names:
            raise QueryError(f"the SELECT has a column {CHANGE}, which watch adds itself; name it otherwise")
        if missing := [column for column in key if column.lower() not in names]:
            raise QueryError(f"the SELECT has no column {missing[0]}, which is part of the key (by)")
        if not key:
            return
        columns = ", ".join(map(quoted, key))
        twice = self._lake.read(
            f"SELECT CAST(row({columns}) AS VARCHAR), count(*) FROM {_read(self.result(version))} "
            "GROUP BY ALL HAVING count(*) > 1 LIMIT 1"
        )
        for values, count in twice:
            raise QueryError(f"{count} rows of the SELECT have the same key: {', '.join(key)} = {values}")

    def compare(self, old: int, new: int, key: Sequence[str]) -> ChangeCounts:
        """Write what differs between two versions of the result; return the numbers of rows.

        Without the old version, or if the columns have changed, every row counts as inserted.
        """
        note = ""
        if not self.result(old).is_file():
            note = "the last result is lost; these are all rows"
        elif self.columns(old) != self.columns(new):
            note = "the columns have changed; these are all rows"
        if note:
            sql = f"SELECT 'insert' AS {CHANGE}, * FROM {_read(self.result(new))}"
        elif key:
            sql = self._keyed_changes(old, new, key)
        else:
            sql = _unkeyed_changes(_read(self.result(old)), _read(self.result(new)))
        target = self.changes(new)
        target.unlink(missing_ok=True)
        with private_umask():
            self._lake.read(f"COPY (\n{sql}\n) TO {quote_literal(str(target))} (FORMAT parquet)")
        counted = self._lake.read(f"SELECT {CHANGE}, count(*) FROM {_read(target)} GROUP BY 1")
        counts = {str(change): int(count) for change, count in counted}
        return ChangeCounts(counts.get("insert", 0), counts.get("update", 0), counts.get("delete", 0), note)

    def keep(self, version: int) -> None:
        """Make a result durable, and the changes that lead to it."""
        for path in (self.result(version), self.changes(version), self.folder):
            if path.exists():
                durable.fsync_path(path)

    def remove_others(self, results: Collection[int], changes: Collection[int]) -> None:
        """Remove the files of all other versions."""
        kept = {*map(self.result, results), *map(self.changes, changes)}
        for path in self.folder.glob("*.parquet"):
            if path not in kept:
                path.unlink(missing_ok=True)

    def read_changes(self, version: int) -> Iterator[Sequence[tuple[str, str]]]:
        """Yield the changes in batches: insert, update or delete, and the row as JSON."""
        path = self.changes(version)
        if not path.is_file():
            raise StoreError(f"{path}: the changes are lost, so they cannot be sent")
        names = [name for name, _, *_ in self._lake.read(f"DESCRIBE FROM {_read(path)}") if name != CHANGE]
        members = ", ".join(f"{quote_literal(name)}: {quoted(name)}" for name in names)
        with self._lake.read_connection() as connection:
            cursor = connection.cursor()
        rows = cursor.execute(f"SELECT {CHANGE}, CAST(to_json({{{members}}}) AS VARCHAR) FROM {_read(path)}")
        while batch := rows.fetchmany(BATCH_ROWS):
            yield batch

    def _keyed_changes(self, old: int, new: int, key: Sequence[str]) -> str:
        names = [name for name, _ in self.columns(new)]
        same = " AND ".join(f"n.{quoted(column)} IS NOT DISTINCT FROM o.{quoted(column)}" for column in key)
        differs = " OR ".join(f"n.{quoted(name)} IS DISTINCT FROM o.{quoted(name)}" for name in names)
        values = ", ".join(
            f"CASE WHEN n.{_IS_PRESENT} THEN n.{quoted(name)} ELSE o.{quoted(name)} END AS {quoted(name)}"
            for name in names
        )
        return (
            f"SELECT CASE WHEN o.{_IS_PRESENT} IS NULL THEN 'insert' WHEN n.{_IS_PRESENT} IS NULL "
            f"THEN 'delete' ELSE 'update' END AS {CHANGE}, {values} "
            f"FROM (SELECT true AS {_IS_PRESENT}, * FROM {_read(self.result(new))}) AS n "
            f"FULL JOIN (SELECT true AS {_IS_PRESENT}, * FROM {_read(self.result(old))}) AS o ON {same} "
            f"WHERE o.{_IS_PRESENT} IS NULL OR n.{_IS_PRESENT} IS NULL OR {differs}"
        )


def _unkeyed_changes(old: str, new: str) -> str:
    return (
        f"SELECT 'delete' AS {CHANGE}, * FROM (FROM {old} EXCEPT ALL FROM {new}) AS gone "
        f"UNION ALL SELECT 'insert', * FROM (FROM {new} EXCEPT ALL FROM {old}) AS come"
    )


def _read(path: Path) -> str:
    return f"read_parquet({quote_literal(str(path))})"
