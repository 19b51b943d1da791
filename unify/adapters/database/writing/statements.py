"""The statements of a write, in the SQL of a database. The staged rows are in a temporary table."""

from __future__ import annotations

from collections.abc import Iterable

from unify.adapters.table_writes import TableWrite, WritableColumn, WritableTable
from unify.engine.types import quote_identifier

OLD_PREFIX = "unify old "  # columns of the staged rows: the values of the table when it was read
STAGED = "unify_rows"


class StatementBuilder:
    """Standard SQL, as PostgreSQL, SQLite and DuckDB run it. ``t`` is the table, ``r`` the staged rows."""

    staged = STAGED

    def quote(self, name: str) -> str:
        return quote_identifier(name)

    def same_value(self, column: WritableColumn, one: str, other: str) -> str:
        """Return the condition that two values of a column are the same, NULL included."""
        return f"{one} IS NOT DISTINCT FROM {other}"

    def names(self, columns: Iterable[WritableColumn], prefix: str = "") -> str:
        dot = f"{prefix}." if prefix else ""
        return ", ".join(f"{dot}{self.quote(column.name)}" for column in columns)

    def staged_names(self, write: TableWrite) -> tuple[str, ...]:
        """Return the columns of the staged rows."""
        return (
            *(column.name for column in write.columns),
            *(f"{OLD_PREFIX}{column.name}" for column in write.compared),
        )

    def create_staged(self, write: TableWrite) -> str:
        """Create an empty temporary table with the types of the columns."""
        old = [f"{self.quote(one.name)} AS {self.quote(f'{OLD_PREFIX}{one.name}')}" for one in write.compared]
        columns = ", ".join([self.names(write.columns), *old])
        return (
            f"CREATE TEMPORARY TABLE {self.staged} AS SELECT {columns} FROM {write.target.sql_name} LIMIT 0"
        )

    def drop_staged(self) -> str:
        return f"DROP TABLE {self.staged}"

    def create_table(self, target: WritableTable, sql_name: str) -> str:
        columns = [
            f"{self.quote(column.name)} {column.source_type}{'' if column.is_nullable else ' NOT NULL'}"
            for column in target.columns
        ]
        if target.key:
            columns.append(f"PRIMARY KEY ({', '.join(map(self.quote, target.key))})")
        return f"CREATE TABLE {sql_name} ({', '.join(columns)})"

    def insert_staged(self, write: TableWrite) -> str:
        return f"{self._insert(write)} FROM {self.staged} AS r"

    def insert_missing(self, write: TableWrite) -> str:
        """Insert the rows whose key the table does not have."""
        found = f"SELECT 1 FROM {write.target.sql_name} AS t WHERE {self.same_key(write)}"
        return f"{self._insert(write)} FROM {self.staged} AS r WHERE NOT EXISTS ({found})"

    def update_matching(self, write: TableWrite) -> str:
        assigned = ", ".join(f"{self.quote(one.name)} = r.{self.quote(one.name)}" for one in write.changed)
        return (
            f"UPDATE {write.target.sql_name} AS t SET {assigned} FROM {self.staged} AS r "
            f"WHERE {self.same_row(write)}"
        )

    def count_matching(self, write: TableWrite) -> str:
        return (
            f"SELECT count(*) FROM {write.target.sql_name} AS t, {self.staged} AS r "
            f"WHERE {self.same_row(write)}"
        )

    def delete_matching(self, write: TableWrite) -> str:
        found = f"SELECT 1 FROM {self.staged} AS r WHERE {self.same_row(write)}"
        return f"DELETE FROM {write.target.sql_name} AS t WHERE EXISTS ({found})"

    def delete_gone(self, write: TableWrite) -> str:
        return f"DELETE FROM {write.target.sql_name} AS t WHERE {self._is_gone(write)}"

    def count_gone(self, write: TableWrite) -> str:
        """Count the rows whose key no staged row has, and all rows."""
        return (
            f"SELECT count(CASE WHEN {self._is_gone(write)} THEN 1 END), count(*) "
            f"FROM {write.target.sql_name} AS t"
        )

    def count_repeated_keys(self, write: TableWrite) -> str:
        """Count the keys of several staged rows, compared as the columns of the table are."""
        key = ", ".join(map(self.quote, write.key))
        rows = (
            f"SELECT {key} FROM {write.target.sql_name} WHERE 1 = 0 UNION ALL SELECT {key} FROM {self.staged}"
        )
        return (
            f"SELECT count(*) FROM (SELECT {key} FROM ({rows}) AS k GROUP BY {key} HAVING count(*) > 1) AS d"
        )

    def delete_all(self, target: WritableTable) -> str:
        return f"DELETE FROM {target.sql_name}"

    def drop(self, target: WritableTable) -> str:
        return f"DROP TABLE {target.sql_name}"

    def same_key(self, write: TableWrite) -> str:
        return " AND ".join(f"t.{self.quote(name)} = r.{self.quote(name)}" for name in write.key)

    def same_row(self, write: TableWrite) -> str:
        """Return the condition that a row of the table has the key of a staged row, and is as it was read."""
        compared = [
            self.same_value(one, f"t.{self.quote(one.name)}", f"r.{self.quote(f'{OLD_PREFIX}{one.name}')}")
            for one in write.compared
        ]
        return " AND ".join([self.same_key(write), *compared])

    def _is_gone(self, write: TableWrite) -> str:
        return f"NOT EXISTS (SELECT 1 FROM {self.staged} AS r WHERE {self.same_key(write)})"

    def _insert(self, write: TableWrite) -> str:
        names = self.names(write.columns)
        return f"INSERT INTO {write.target.sql_name} ({names}) SELECT {self.names(write.columns, 'r')}"
