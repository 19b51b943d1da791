"""``changes``: what is different in a table now from how it was at a moment.

The two versions are compared as they stand, so that it does not matter by how many loads, merges or
reloads the one became the other. Rows with a key are compared by it; other rows come and go whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from unify.engine.types import quote_identifier as quoted
from unify.errors import LoadFailed, NoSuchVersion, QueryError
from unify.interpreter.connections import ConnectionCatalog
from unify.interpreter.results import Rows, result_columns
from unify.lake import catalog
from unify.lake.lake import Lake
from unify.model import TableName

_IS_PRESENT = '"$here"'  # true in every row of its side of the join; no column is called so


@dataclass(frozen=True, slots=True)
class TableVersions:
    """A table now and then: SQL of both, column types by name, and what identifies a row."""

    current_sql: str
    previous_sql: str
    types: Mapping[str, str]
    previous_columns: frozenset[str]  # names in lower case
    key: tuple[str, ...]

    def had_column(self, column: str) -> bool:
        return column.lower() in self.previous_columns


class ChangesQuery:
    """Compares versions of stored tables."""

    def __init__(self, lake: Lake, connections: ConnectionCatalog) -> None:
        self.lake = lake
        self.connections = connections

    def rows_since(self, name: TableName, moment: datetime) -> Rows:
        """Rows inserted, updated (as they are now) and deleted (as they were), with what happened to each.

        Raises  LoadFailed for a table without stored rows.
        """
        types = {column.name: column.type for column in catalog.table_columns(self.lake, name)}
        if not types:
            raise LoadFailed(f"{name} is not loaded, so nothing of it can have changed: load table {name}")
        table = f"lake.{quoted(name.schema)}.{quoted(name.table)}"
        then = f"SELECT * FROM {table} AT (TIMESTAMP => TIMESTAMPTZ '{moment.astimezone(UTC).isoformat()}')"
        before = self._version_columns(then)
        note = f"since {moment:%Y-%m-%d %H:%M:%S %Z}"
        if before is None:
            before, note = frozenset(name.lower() for name in types), f"{note}, when there was no such table"
            then = f"SELECT * FROM {table} WHERE false"
        versions = TableVersions(
            f"SELECT * FROM {table}", then, types, before, self._shared_key(name, types, before)
        )
        outcome = self.lake.execute(
            _keyed_diff_sql(versions) if versions.key else _unkeyed_diff_sql(versions)
        )
        return Rows(result_columns(outcome.columns), outcome.batches(), note)

    def parse_moment(self, text: str) -> datetime:
        """A moment as DuckDB reads it, on the session's clock. Raises QueryError."""
        outcome = self.lake.execute("SELECT epoch_us(TRY_CAST($text AS TIMESTAMPTZ))", {"text": text})
        [[(found,)]] = list(outcome.batches())
        if found is None:
            raise QueryError(f"'{text}' is no moment; write it like '2026-03-01 08:00', or since 2 hours")
        return datetime.fromtimestamp(int(str(found)) / 1e6, UTC)

    def _version_columns(self, query: str) -> frozenset[str] | None:
        """The names that a version has; None where there was none yet."""
        try:
            outcome = self.lake.execute(f"DESCRIBE {query}")
        except NoSuchVersion:
            return None
        return frozenset(str(row[0]).lower() for batch in outcome.batches() for row in batch)

    def _shared_key(
        self, name: TableName, types: Mapping[str, str], previous_columns: frozenset[str]
    ) -> tuple[str, ...]:
        """What identifies a row, where the adapter says so and both versions have it."""
        if not self.connections.has(name.schema) or name.table.lower() not in self.connections.tables(
            name.schema
        ):
            return ()
        key = self.connections.table(name).key
        there = previous_columns & {column.lower() for column in types}
        return key if {column.lower() for column in key} <= there else ()


def _keyed_diff_sql(versions: TableVersions) -> str:
    same = " AND ".join(
        f"n.{quoted(column)} IS NOT DISTINCT FROM {_previous_value_sql(versions, column)}"
        for column in versions.key
    )
    differs = " OR ".join(_differs_sql(versions, column) for column in versions.types)
    values = ", ".join(
        f"CASE WHEN n.{_IS_PRESENT} THEN n.{quoted(column)} ELSE {_previous_value_sql(versions, column)} END AS {quoted(column)}"
        for column in versions.types
    )
    return (
        f"SELECT CASE WHEN o.{_IS_PRESENT} IS NULL THEN 'insert' WHEN n.{_IS_PRESENT} IS NULL THEN 'delete' "
        f"ELSE 'update' END AS change, {values} "
        f"FROM (SELECT true AS {_IS_PRESENT}, * FROM ({versions.current_sql}) AS t) AS n "
        f"FULL JOIN (SELECT true AS {_IS_PRESENT}, * FROM ({versions.previous_sql}) AS t) AS o ON {same} "
        f"WHERE o.{_IS_PRESENT} IS NULL OR n.{_IS_PRESENT} IS NULL OR {differs}"
    )


def _previous_value_sql(versions: TableVersions, column: str) -> str:
    """The old value as the new type; a column that is new had none."""
    kind = versions.types[next(name for name in versions.types if name.lower() == column.lower())]
    return f"CAST(o.{quoted(column)} AS {kind})" if versions.had_column(column) else f"CAST(NULL AS {kind})"


def _differs_sql(versions: TableVersions, column: str) -> str:
    return f"n.{quoted(column)} IS DISTINCT FROM {_previous_value_sql(versions, column)}"


def _unkeyed_diff_sql(versions: TableVersions) -> str:
    names = list(versions.types)
    now = f"SELECT {', '.join(f'n.{quoted(name)}' for name in names)} FROM ({versions.current_sql}) AS n"
    then = (
        f"SELECT {', '.join(f'{_previous_value_sql(versions, name)} AS {quoted(name)}' for name in names)} "
        f"FROM ({versions.previous_sql}) AS o"
    )
    return (
        f"SELECT 'delete' AS change, * FROM ({then} EXCEPT ALL {now}) AS gone "
        f"UNION ALL SELECT 'insert', * FROM ({now} EXCEPT ALL {then}) AS come"
    )
