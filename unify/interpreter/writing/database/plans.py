"""What a statement writes to a table of a database: columns, key and rows, checked against the table."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from unify.adapters.table_writes import DatabaseWriter, TableWrite, WritableColumn, WritableTable
from unify.engine.types import quote_identifier as quoted
from unify.errors import QueryError
from unify.interpreter.connections import ConnectionCatalog
from unify.interpreter.sources.source_tables import SourceTables
from unify.interpreter.writing.database.rows import CheckedColumn, CheckedRows
from unify.interpreter.writing.database.statements import RowsStatement
from unify.model import TableName
from unify.text import did_you_mean, format_count

_INSERTING = ("insert", "upsert", "mirror", "replace")


class DatabaseWritePlan(Struct, frozen=True):
    """A write with its rows and their values."""

    write: TableWrite
    rows: CheckedRows
    columns: tuple[CheckedColumn, ...]
    compared: tuple[CheckedColumn, ...]

    @property
    def values(self) -> Sequence[str]:
        return [one.conversion.value for one in (*self.columns, *self.compared)]


class DatabaseWritePlanner:
    """Plans the writes of one session."""

    def __init__(self, connections: ConnectionCatalog, sources: SourceTables) -> None:
        self._connections = connections
        self._sources = sources

    def plan(
        self,
        writer: DatabaseWriter,
        target: WritableTable | None,
        statement: RowsStatement,
        rows: CheckedRows,
    ) -> DatabaseWritePlan:
        """Check the rows against the table. Raises QueryError with row and column."""
        if target is None or statement.creation == "replace":
            names = [self._column_named(rows, key) for key in statement.key]
            made = writer.plan_target(statement.name.table, rows.columns, names)
            target = replace(made, replaces=target is not None)
        pairs = self._match_columns(target, statement, rows)
        used = [self._checked(writer, column, index, rows) for index, column in pairs]
        checked, compared = tuple(used[: len(used) - len(statement.compared)]), statement.compared
        if not statement.chosen:
            self._check_missing(target, statement, [one.column for one in checked])
        rows.check(str(statement.name), checked)
        key: Sequence[WritableColumn] = ()
        if statement.operation in ("update", "upsert", "mirror", "delete") and target.exists:
            key = self.key_columns(target, statement.key, statement.name)
            self._check_key(statement, rows, checked, key)
        write = TableWrite(
            statement.operation if target.exists else "insert",
            target,
            tuple(one.column for one in checked),
            tuple(one.name for one in key),
            tuple(one.column for one in used[len(checked) :]),
            must_match=statement.chosen,
            row_count=rows.count,
        )
        return DatabaseWritePlan(
            write, rows, checked, tuple(used[len(checked) : len(checked) + len(compared)])
        )

    def _match_columns(
        self, target: WritableTable, statement: RowsStatement, rows: CheckedRows
    ) -> Sequence[tuple[int, WritableColumn]]:
        """Return the position of each column of the rows with the column that it becomes."""
        name = statement.name
        listed = (*statement.columns, *statement.compared)
        if not listed and not statement.by_name:
            listed = tuple(one.name for one in target.columns if not one.is_generated)
        if not listed:
            listed = tuple(one.name for one in rows.columns)
        if len(listed) != len(rows.columns):
            raise QueryError(
                f"{name}: {format_count(len(listed), 'column')} but "
                f"{format_count(len(rows.columns), 'value')}; name the columns: (COLUMN, …)"
            )
        found = [self._writable_column(target, one, name) for one in listed]
        names = [one.name for one in found[: len(found) - len(statement.compared)]]
        if repeated := [one for one in names if names.count(one) > 1]:
            raise QueryError(f"{name}: the column {repeated[0]} is written twice")
        return list(enumerate(found))

    def _writable_column(self, target: WritableTable, column: str, name: TableName) -> WritableColumn:
        found = target.find(column)
        if found is None:
            known = [one.name for one in target.columns]
            hint = did_you_mean(column, known) or f"; it has {', '.join(known)}"
            raise QueryError(f"{name} has no column {column}{hint}")
        if found.is_generated:
            raise QueryError(f"{name}.{found.name} is computed by the database and cannot be written")
        return found

    def _check_missing(
        self, target: WritableTable, statement: RowsStatement, given: Sequence[WritableColumn]
    ) -> None:
        if statement.operation not in _INSERTING:
            return
        missing = [
            one.name
            for one in target.columns
            if one not in given and not (one.is_nullable or one.has_default or one.is_generated)
        ]
        if missing:
            raise QueryError(
                f"{statement.name}: {', '.join(missing)} must have a value: NOT NULL without a default"
            )

    def _check_key(
        self,
        statement: RowsStatement,
        rows: CheckedRows,
        columns: Sequence[CheckedColumn],
        key: Sequence[WritableColumn],
    ) -> None:
        checked = [one for one in columns if one.column in key]
        if len(checked) < len(key):
            given = [one.column for one in checked]
            missing = [one.name for one in key if one not in given]
            raise QueryError(f"{statement.name}: the rows have no column {', '.join(missing)} of the key")
        rows.check_key(str(statement.name), checked)

    def key_columns(
        self, target: WritableTable, named: Sequence[str], name: TableName
    ) -> Sequence[WritableColumn]:
        """Return the columns that find a row: those named, of connections.yaml, or of the primary key."""
        stored = self._sources.stored_name(name)
        settings = self._connections.table_settings(stored or name)
        names = named or settings.key or target.key
        if not names:
            raise QueryError(
                f"{name} has no primary key; say which columns find a row: by COLUMN in export, or "
                f"tables: {{{name.table}: {{key: COLUMN}}}} in connections.yaml"
            )
        return [self._writable_column(target, one, name) for one in names]

    def _column_named(self, rows: CheckedRows, key: str) -> str:
        found = next((one.name for one in rows.columns if one.name.lower() == key.lower()), None)
        if found is None:
            raise QueryError(f"the rows have no column {key}, which is of the key")
        return found

    def _checked(
        self, writer: DatabaseWriter, column: WritableColumn, index: int, rows: CheckedRows
    ) -> CheckedColumn:
        source = rows.columns[index]
        value = quoted(source.name)
        return CheckedColumn(column, value, writer.convert(value, source.type, column))
