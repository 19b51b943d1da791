"""``changes``: the rows of a table that differ from an earlier version.

The two versions are compared, not the loads between them. Rows are matched by key; without a key, a changed
row counts as deleted and inserted. A renamed table or column is the same one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from unify.engine.types import quote_identifier as quoted
from unify.errors import LoadFailed, QueryError
from unify.interpreter.connections import ConnectionCatalog
from unify.interpreter.results import Rows, result_columns
from unify.lake import catalog
from unify.lake.history.versions import table_at
from unify.lake.lake import Lake
from unify.model import TableName

_IS_PRESENT = '"$here"'  # true in every row of its side of the join


@dataclass(frozen=True, slots=True)
class TableVersions:
    """Two versions of a table: their SQL, the current column types by name, and the key.

    ``previous_names``  earlier column name by current name in lower case; without columns added since.
    """

    current_sql: str
    previous_sql: str
    types: Mapping[str, str]
    previous_names: Mapping[str, str]
    key: tuple[str, ...]


class ChangesQuery:
    """Compares versions of stored tables."""

    def __init__(self, lake: Lake, connections: ConnectionCatalog) -> None:
        self.lake = lake
        self.connections = connections

    def rows_since(self, name: TableName, moment: datetime) -> Rows:
        """Return the rows inserted, updated (current values) and deleted (old values), with the change.

        Raises  LoadFailed for a table without stored rows; NoSuchVersion for a time before the history.
        """
        types = {column.name: column.type for column in catalog.table_columns(self.lake, name)}
        if not types:
            raise LoadFailed(f"{name} is not loaded, so it has no changes: load table {name}")
        table = f"lake.{quoted(name.schema)}.{quoted(name.table)}"
        note = f"since {moment:%Y-%m-%d %H:%M:%S %Z}"
        earlier = table_at(self.lake, name, moment)
        if earlier is None:
            previous: Mapping[str, str] = {column.lower(): column for column in types}
            then, note = f"SELECT * FROM {table} WHERE false", f"{note}, before the table existed"
        else:
            previous, was = earlier.columns, f"lake.{quoted(name.schema)}.{quoted(earlier.name.table)}"
            then = f"SELECT * FROM {was} AT (TIMESTAMP => TIMESTAMPTZ '{moment.astimezone(UTC).isoformat()}')"
            if earlier.name.table.lower() != name.table.lower():
                note = f"{note}, when it was called {earlier.name.table}"
        key = self._shared_key(name, types, previous)
        versions = TableVersions(f"SELECT * FROM {table}", then, types, previous, key)
        outcome = self.lake.execute(_keyed_diff_sql(versions) if key else _unkeyed_diff_sql(versions))
        return Rows(result_columns(outcome.columns), outcome.batches(), note)

    def parse_moment(self, text: str) -> datetime:
        """Parse a timestamp as DuckDB does, in the session's time zone. Raises QueryError."""
        outcome = self.lake.execute("SELECT epoch_us(TRY_CAST($text AS TIMESTAMPTZ))", {"text": text})
        [[(microseconds,)]] = list(outcome.batches())
        if microseconds is None:
            raise QueryError(
                f"'{text}' is not a date or time; write it like '2026-03-01 08:00', or since 2 hours"
            )
        return datetime.fromtimestamp(int(str(microseconds)) / 1e6, UTC)

    def _shared_key(
        self, name: TableName, types: Mapping[str, str], previous_names: Mapping[str, str]
    ) -> tuple[str, ...]:
        """Return the key that the adapter declares if both versions have its columns, else ()."""
        if not self.connections.has(name.schema) or name.table.lower() not in self.connections.tables(
            name.schema
        ):
            return ()
        key = self.connections.table(name).key
        shared = previous_names.keys() & {column.lower() for column in types}
        return key if {column.lower() for column in key} <= shared else ()


def _keyed_diff_sql(versions: TableVersions) -> str:
    same = " AND ".join(
        f"n.{quoted(column)} IS NOT DISTINCT FROM {_previous_value_sql(versions, column)}"
        for column in versions.key
    )
    differs = " OR ".join(_differs_sql(versions, column) for column in versions.types)
    values = ", ".join(
        f"CASE WHEN n.{_IS_PRESENT} THEN n.{quoted(column)} ELSE {_previous_value_sql(versions, column)} END "
        f"AS {quoted(column)}"
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
    """SQL of the old value cast to the current type; NULL for an added column."""
    type = next(type for name, type in versions.types.items() if name.lower() == column.lower())
    previous = versions.previous_names.get(column.lower())
    return f"CAST({'NULL' if previous is None else f'o.{quoted(previous)}'} AS {type})"


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
