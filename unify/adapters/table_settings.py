"""The settings of a table of a database or store: what does not suit its columns, and what a load reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from unify.adapters.relation import RelationalAdapter, SourceColumn, SourceLoadRequest, SourceTable
from unify.adapters.spec.table_keys import RefreshStrategy
from unify.config.connection_tables import TableSettings
from unify.config.connections import Connection
from unify.errors import ConfigError
from unify.model import Action
from unify.text import did_you_mean

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

ROW_VERSION_CURSOR = "xmin"  # of PostgreSQL: a system column, which find_table does not list
_NUMBER_TYPES = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER")
_CURSOR_TYPES = (*_NUMBER_TYPES, "UBIGINT", "UHUGEINT", "DECIMAL", "DATE", "TIMESTAMP")
_TIME_TYPES = ("DATE", "TIMESTAMP")


class RefreshPlan(Struct, frozen=True):
    """What a load reads, by settings and stored state.

    ``cursor``  None: no incremental loads, or by row version; ``cursor_name`` has the name of both.
    ``since``   the stored cursor; "": everything is read.
    """

    strategy: RefreshStrategy
    key: tuple[str, ...] = ()
    cursor: SourceColumn | None = None
    cursor_name: str = ""
    since: str = ""
    lookback_s: float = 0.0


def plan_refresh(table: SourceTable, request: SourceLoadRequest) -> RefreshPlan:
    """Decide what a load reads. The settings have no problems, see ``check_settings``.

    The state of an incremental table is the cursor by the name of its column: another column has none.
    """
    settings = request.settings
    cursor = _find_column(table, settings.cursor)
    name = cursor.name if cursor is not None else settings.cursor.lower()
    key = tuple(column.name for name in settings.key if (column := _find_column(table, name))) or table.key
    since = request.cursors.get(name, "") if name and request.action is Action.REFRESH else ""
    strategy: RefreshStrategy = settings.strategy or ("merge" if name else "reload")
    if request.action is not Action.REFRESH or not request.stored_columns or strategy == "reload":
        strategy, since = "reload", ""
    elif name and not since:
        strategy = "merge_delete" if strategy == "merge_delete" else "reload"
    return RefreshPlan(strategy, key, cursor, name, since, settings.lookback_s if since else 0.0)


def check_tables(connection: Connection, adapter: RelationalAdapter, duck: DuckDBPyConnection) -> None:
    """Raise ConfigError for the tables of connections.yaml that the source does not have or that do not suit.

    ``adapter`` is attached to ``duck``.
    """
    problems: list[str] = []
    listed = [found.name for found in adapter.list_tables(duck)] if connection.tables else []
    known = {name.lower() for name in listed}
    for name, settings in connection.tables.items():
        names_columns = bool(settings.key or settings.cursor or settings.strategy)
        table = adapter.find_table(duck, name) if names_columns or name.lower() not in known else None
        if table is None and name.lower() not in known:
            place = connection.location(f"tables.{name}")
            problems.append(f"{place}: there is no such table{did_you_mean(name, listed)}")
        if table is not None:
            problems += _describe_problems(connection, table, settings)
    if problems:
        raise ConfigError("\n".join(problems))


def check_settings(connection: Connection, table: SourceTable, settings: TableSettings) -> None:
    """Raise ConfigError, with file and line, for settings that do not suit the columns of ``table``."""
    if problems := _describe_problems(connection, table, settings):
        raise ConfigError("\n".join(problems))


def _describe_problems(connection: Connection, table: SourceTable, settings: TableSettings) -> Sequence[str]:
    place = connection.location(f"tables.{_written_name(connection, table)}")
    return [f"{place}.{key}: {text}" for key, text in find_problems(table, settings)]


def find_problems(table: SourceTable, settings: TableSettings) -> Iterator[tuple[str, str]]:
    """Yield key and text of each setting that does not suit the columns."""
    key = settings.key or table.key
    for name in settings.key:
        if _find_column(table, name) is None:
            yield "key", _no_column(table, name)
    if settings.cursor:
        yield from _find_cursor_problems(table, settings)
        if not key:
            yield (
                "key",
                "is missing: an incremental refresh reads changed rows again and replaces them by key, and "
                f"{table.name} has no primary key; name the columns that identify a row, such as key: "
                f"{_example_key(table)}",
            )
    elif settings.by_files:
        return
    elif settings.strategy in ("merge", "merge_delete") and not key:
        yield "key", f"is missing: strategy {settings.strategy} replaces rows by key"
    elif settings.strategy == "append" and not key:
        yield (
            "refresh.strategy",
            "append would add every row again; set incremental: {cursor: COLUMN}, or use reload",
        )


def _find_cursor_problems(table: SourceTable, settings: TableSettings) -> Iterator[tuple[str, str]]:
    column = _find_column(table, settings.cursor)
    if column is None:
        if settings.cursor.lower() != ROW_VERSION_CURSOR:
            yield "incremental.cursor", _no_column(table, settings.cursor)
        return
    if not column.type.startswith(_CURSOR_TYPES) or column.type.endswith("]"):
        times = [one.name for one in table.columns if one.type.startswith(_TIME_TYPES)]
        hint = (
            f"; {times[0]} is one"
            if len(times) == 1
            else f"; such as {', '.join(times[:3])}"
            if times
            else ""
        )
        order = ", whose order is that of the server's collation" if column.type == "VARCHAR" else ""
        yield (
            "incremental.cursor",
            f"{column.name} is {column.source_type or column.type}{order}; a cursor is a column of integers, "
            f"exact numbers, dates or timestamps that grows with each change{hint}",
        )
    elif settings.lookback_s and not column.type.startswith(_TIME_TYPES):
        yield (
            "incremental.lookback",
            f"{column.name} is {column.type}, which has no duration; remove lookback",
        )


def _find_column(table: SourceTable, name: str) -> SourceColumn | None:
    exact = next((column for column in table.columns if column.name == name), None)
    folded = (column for column in table.columns if column.name.lower() == name.lower())
    return exact or next(folded, None)


def _no_column(table: SourceTable, name: str) -> str:
    names = [column.name for column in table.columns]
    hint = did_you_mean(name, names) or f"; it has {', '.join(names[:10])}"
    return f"{table.name} has no column {name}{hint}"


def _example_key(table: SourceTable) -> str:
    names = [column.name for column in table.columns]
    return next(
        (name for name in names if name.lower() in ("id", "uuid", "key")), names[0] if names else "id"
    )


def _written_name(connection: Connection, table: SourceTable) -> str:
    """Return the name of the table as connections.yaml spells it."""
    names: Sequence[str] = [name for name in connection.tables if name.lower() == table.name.lower()]
    return names[0] if names else table.name
