"""SqlWriter: a write as statements within one transaction, for databases with a language of their own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager

from unify.adapters.database.writing.conversions import convert
from unify.adapters.database.writing.statements import StatementBuilder
from unify.adapters.table_writes import (
    ConfirmDeletes,
    DatabaseWriter,
    RowFetcher,
    TableWrite,
    ValueConversion,
    WritableColumn,
    WritableTable,
    WriteCounts,
)
from unify.errors import QueryError
from unify.text import format_count


class SqlWriter(DatabaseWriter):
    """Rows that need no row of the table go straight into it; others are staged in a temporary table."""

    connection: str
    builder: StatementBuilder

    @abstractmethod
    def transaction(self) -> AbstractContextManager[None]:
        """Run the block in one transaction; an exception rolls back."""

    @abstractmethod
    def execute(self, sql: str) -> int:
        """Run a statement; return how many rows it changed."""

    @abstractmethod
    def fetch_numbers(self, sql: str) -> Sequence[int]:
        """Return the only row of a SELECT of numbers."""

    def count_cascades(self, target: WritableTable) -> int:
        """Return how many foreign keys delete or change rows of other tables with those of ``target``."""
        return 0

    @abstractmethod
    def load_rows(
        self,
        sql_name: str,
        names: Sequence[str],
        columns: Sequence[WritableColumn],
        values: Sequence[str],
        rows: RowFetcher,
    ) -> int:
        """Send all rows into a table; return how many. ``names`` are its columns."""

    @abstractmethod
    def load_text(self, sql_name: str, names: Sequence[str]) -> str:
        """Return the statement that ``load_rows`` sends, without the rows."""

    def check(self) -> None:
        with self.transaction():
            pass

    def convert(self, value: str, type: str, column: WritableColumn) -> ValueConversion:
        return convert(value, type, column)

    def write(
        self, write: TableWrite, values: Sequence[str], rows: RowFetcher, confirm_deletes: ConfirmDeletes
    ) -> WriteCounts:
        if not write.target.exists:
            return WriteCounts(inserted=self.create(write, values, rows))
        with self.transaction():
            if write.operation == "replace":
                self.check_cascades(write.target)
                deleted = self.execute(self.builder.delete_all(write.target))
                return WriteCounts(inserted=self._insert(write, values, rows), deleted=deleted)
            if write.operation == "insert":
                return WriteCounts(inserted=self._insert(write, values, rows))
            self.stage(write, values, rows)
            self._check_staged_keys(write)
            counts = self._apply_staged(write, confirm_deletes)
            self.execute(self.builder.drop_staged())
            return counts

    @abstractmethod
    def create(self, write: TableWrite, values: Sequence[str], rows: RowFetcher) -> int:
        """Create a table with its rows, in one transaction; return how many there are."""

    def stage(self, write: TableWrite, values: Sequence[str], rows: RowFetcher) -> None:
        """Load the rows into a temporary table."""
        self.execute(self.builder.create_staged(write))
        self.load(self.builder.staged, write, values, rows)

    def upsert(self, write: TableWrite) -> WriteCounts:
        """Update the rows whose key the table has, and insert the others."""
        updated = self._update(write)
        return WriteCounts(inserted=self.execute(self.builder.insert_missing(write)), updated=updated)

    def truncate(self, target: WritableTable) -> int:
        with self.transaction():
            return self.execute(self.builder.delete_all(target))

    def drop(self, target: WritableTable) -> None:
        with self.transaction():
            self.execute(self.builder.drop(target))

    def statements(self, write: TableWrite) -> Sequence[str]:
        build, target = self.builder, write.target
        names = [column.name for column in write.columns]
        load = self.load_text(target.sql_name, names)
        if not target.exists:
            drop = [build.drop(target)] if target.replaces else []
            return [*drop, build.create_table(target, target.sql_name), load]
        if write.operation in ("insert", "replace"):
            return [*([build.delete_all(target)] if write.operation == "replace" else []), load]
        return [*self.staging_statements(write), *self.staged_statements(write)]

    def staging_statements(self, write: TableWrite) -> Sequence[str]:
        """Return what is sent to stage the rows."""
        build = self.builder
        return [build.create_staged(write), self.load_text(build.staged, build.staged_names(write))]

    def staged_statements(self, write: TableWrite) -> Sequence[str]:
        """Return what is sent after the rows are staged."""
        build = self.builder
        match write.operation:
            case "update":
                return [build.update_matching(write)]
            case "delete":
                return [build.delete_matching(write)]
            case "mirror":
                return [*self.upsert_statements(write), build.delete_gone(write)]
            case _:
                return self.upsert_statements(write)

    def upsert_statements(self, write: TableWrite) -> Sequence[str]:
        update = [self.builder.update_matching(write)] if write.changed else []
        return [*update, self.builder.insert_missing(write)]

    def check_cascades(self, target: WritableTable) -> None:
        """Refuse to replace a table if that deletes or changes rows of others. Raises QueryError."""
        if count := self.count_cascades(target):
            raise QueryError(
                f"{self.connection}.{target.name}: nothing was written: {format_count(count, 'foreign key')} "
                "would delete or change rows of other tables; mirror by KEY keeps the rows that stay"
            )

    def _check_staged_keys(self, write: TableWrite) -> None:
        """Refuse rows whose keys the database treats as equal, such as ``a`` and ``A`` without case."""
        [count] = self.fetch_numbers(self.builder.count_repeated_keys(write))
        if count:
            name, key = f"{self.connection}.{write.target.name}", ", ".join(write.key)
            raise QueryError(
                f"{name}: nothing was written: several rows have keys that are equal in the database "
                f"({key}: {format_count(count, 'key')})"
            )

    def _insert(self, write: TableWrite, values: Sequence[str], rows: RowFetcher) -> int:
        if write.target.is_loadable:
            return self.load(write.target.sql_name, write, values, rows)
        self.stage(write, values, rows)
        count = self.execute(self.builder.insert_staged(write))
        self.execute(self.builder.drop_staged())
        return count

    def load(self, sql_name: str, write: TableWrite, values: Sequence[str], rows: RowFetcher) -> int:
        """Send all rows into a table; return how many."""
        names = self.builder.staged_names(write)
        return self.load_rows(sql_name, names, (*write.columns, *write.compared), values, rows)

    def _apply_staged(self, write: TableWrite, confirm_deletes: ConfirmDeletes) -> WriteCounts:
        match write.operation:
            case "update":
                updated = self._update(write)
                self._check_matched(write, updated)
                return WriteCounts(updated=updated, unmatched=write.row_count - updated)
            case "delete":
                deleted = self.execute(self.builder.delete_matching(write))
                self._check_matched(write, deleted)
                return WriteCounts(deleted=deleted, unmatched=write.row_count - deleted)
            case "mirror":
                gone, total = self.fetch_numbers(self.builder.count_gone(write))
                confirm_deletes(gone, total)
                counts = self.upsert(write)
                deleted = self.execute(self.builder.delete_gone(write)) if gone else 0
                if deleted > gone:
                    raise QueryError(
                        f"{self.connection}.{write.target.name}: rows were added meanwhile, which the SELECT "
                        "does not have; nothing was written. Run the statement again"
                    )
                return WriteCounts(counts.inserted, counts.updated, deleted)
            case _:
                return self.upsert(write)

    def _update(self, write: TableWrite) -> int:
        """Update the rows whose key the table has; return how many there are."""
        if not write.changed:
            return self.fetch_numbers(self.builder.count_matching(write))[0]
        return self.execute(self.builder.update_matching(write))

    def _check_matched(self, write: TableWrite, count: int) -> None:
        if write.must_match and count != write.row_count:
            lost = format_count(abs(write.row_count - count), "row")
            raise QueryError(
                f"{self.connection}.{write.target.name}: {lost} changed since the statement read the table; "
                "nothing was written. Run the statement again"
            )
