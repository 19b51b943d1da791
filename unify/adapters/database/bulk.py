"""Loads of tables of databases: which rows a refresh reads, and how their state goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from unify.adapters.relation import LoadPart, SourceColumn, SourceLoad, SourceTable
from unify.adapters.table_settings import RefreshPlan
from unify.engine.connection import quote_literal
from unify.engine.types import quote_identifier as quoted
from unify.errors import ConfigError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MIB = 1024 * 1024


@contextmanager
def read_transaction(duck: DuckDBPyConnection) -> Iterator[None]:
    """Read within one transaction of the source. Errors are those of DuckDB."""
    from unify.engine import duckdb

    duck.execute("BEGIN")
    try:
        yield
    except BaseException:
        with suppress(duckdb.Error):  # if the connection is lost, the transaction is, too
            duck.execute("ROLLBACK")
        raise
    duck.execute("ROLLBACK")


def cursor_condition(plan: RefreshPlan) -> str:
    """Return the condition on the rows of a refresh in DuckDB's SQL; "" if it reads all rows.

    The bound is inclusive: rows with the same cursor may have come after the last load. Rows without a
    cursor are read each time, because nothing tells whether they have changed.
    """
    if plan.cursor is None or not plan.since:
        return ""
    since = f"CAST({quote_literal(plan.since)} AS {plan.cursor.type})"
    if plan.lookback_s:
        since += f" - to_microseconds({round(plan.lookback_s * 1_000_000)})"
    name = quoted(plan.cursor.name)
    unusable = f" OR NOT isfinite({name})" if is_time(plan.cursor) else ""
    return f"{name} >= {since} OR {name} IS NULL{unusable}"


def database_load(plan: RefreshPlan, table: SourceTable, rows: str, condition: str) -> SourceLoad:
    """Return the load of a database that is read by one SELECT, ``rows``, in DuckDB's SQL."""
    if plan.cursor_name and plan.cursor is None:
        raise ConfigError(f"{table.name} has no column {plan.cursor_name} (incremental.cursor)")
    keys = ", ".join(map(quoted, plan.key))
    needs_keys = plan.strategy == "merge_delete" and bool(condition)
    return SourceLoad(
        table,
        (LoadPart(f"{rows} WHERE {condition}" if condition else rows),),
        plan.strategy,
        plan.key,
        cursor_column=plan.cursor_name,
        cursors=kept_cursors(plan),
        key_parts=(LoadPart(f"SELECT {keys} FROM ({rows})"),) if needs_keys else (),
    )


def kept_cursors(plan: RefreshPlan) -> Mapping[str, str]:
    """Return the state if no row with a cursor is read."""
    return {plan.cursor_name: plan.since} if plan.since else {}


def is_time(column: SourceColumn) -> bool:
    """Whether a cursor column has dates or timestamps."""
    return column.type.startswith(("DATE", "TIMESTAMP"))
