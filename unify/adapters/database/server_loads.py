"""Loads of tables of servers that are read by one statement, which is one snapshot by itself.

The server applies the condition of a refresh; values that it returns as NULL, such as the date 0000-00-00,
are read once more as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from unify.adapters.database.bulk import cursor_condition, database_load, kept_cursors
from unify.adapters.database.columns import DatabaseTable
from unify.adapters.database.conditions import ConditionBuilder, ConditionDialect
from unify.adapters.database.statement import SourceSelect
from unify.adapters.relation import LoadPart, SourceLoad, SourceLoadRequest
from unify.adapters.table_settings import RefreshPlan, plan_refresh
from unify.engine.connection import quote_literal
from unify.engine.types import TIMESTAMPTZ_TYPE
from unify.language.sql.refs import Condition, Constant

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


class ServerLoads(Struct, frozen=True):
    """Plans loads from one attached server.

    ``read``  returns the SELECT for DuckDB of a SELECT for the server; ``call`` that of a text.
    """

    dialect: ConditionDialect
    read: Callable[[SourceSelect], str]
    call: Callable[[str], str]

    def plan(self, duck: DuckDBPyConnection, table: DatabaseTable, request: SourceLoadRequest) -> SourceLoad:
        """Plan a load. Errors are those of DuckDB, and ConfigError for a cursor that is no column."""
        plan = plan_refresh(table, request)
        condition = self._condition(duck, table, plan)
        if not condition:  # everything is read, or DuckDB has to choose
            rows = self.read(SourceSelect(table, table.fields))
            load = database_load(plan, table, f"SELECT * FROM ({rows})", cursor_condition(plan))
        else:
            load = self._plan_refresh(table, plan, condition)
        read = SourceSelect(table, table.fields, (condition,) if condition else ())
        return replace(load, rejected=tuple(rejected_parts(read, plan.key, self.dialect, self.call)))

    def _plan_refresh(self, table: DatabaseTable, plan: RefreshPlan, condition: str) -> SourceLoad:
        keys = tuple(table.fields_by_name()[name.lower()] for name in plan.key)
        key_part = LoadPart(self.read(SourceSelect(table, keys)))
        return SourceLoad(
            table,
            (LoadPart(self.read(SourceSelect(table, table.fields, (condition,)))),),
            plan.strategy,
            plan.key,
            cursor_column=plan.cursor_name,
            cursors=kept_cursors(plan),
            key_parts=(key_part,) if plan.strategy == "merge_delete" else (),
        )

    def _condition(self, duck: DuckDBPyConnection, table: DatabaseTable, plan: RefreshPlan) -> str:
        """Return the condition of ``cursor_condition`` in the SQL of the server; "" if it cannot apply it."""
        if plan.cursor is None or not plan.since:
            return ""
        field = table.fields_by_name()[plan.cursor.name.lower()]
        since = Constant(_since_text(duck, plan), _constant_type(field.type))
        condition = Condition(field.name.lower(), ">=", (since,))
        sent = ConditionBuilder(duck, table.fields_by_name(), self.dialect).build([condition]).sql
        if not sent:
            return ""
        unusable = [f"{field.compare} IS NULL"] if field.has_null else []
        unusable += [field.read_as_null] if field.read_as_null else []
        return " OR ".join([f"({sent[0]})", *unusable])


def rejected_parts(
    select: SourceSelect, key: Sequence[str], dialect: ConditionDialect, call: Callable[[str], str]
) -> Iterator[LoadPart]:
    """Yield SELECTs of the values of ``select`` that are read as NULL, by column, with the key of their rows.

    ``call``  returns the call of DuckDB's function that sends a text to the server.
    """
    named = [select.table.fields_by_name()[name.lower()] for name in key]
    for field in select.columns:
        if not field.read_as_null:
            continue
        found = replace(select, conditions=(*select.conditions, field.read_as_null))
        row = dialect.row_text([*(one for one in named if one is not field), field])
        sql = f"SELECT {dialect.value_text(field)} AS c0, {row} AS c1{found.tail}"
        reason = quote_literal(f"{field.type} has no such value")
        yield LoadPart(
            f"SELECT '' AS scope, {quote_literal(field.name)} AS \"column\", CAST(c0 AS VARCHAR) AS value, "
            f'{reason} AS reason, CAST(c1 AS VARCHAR) AS "row" FROM {call(sql)}',
            scope=field.name,
        )


def _since_text(duck: DuckDBPyConnection, plan: RefreshPlan) -> str:
    """Return the bound of a refresh: the cursor minus the lookback."""
    assert plan.cursor is not None
    if not plan.lookback_s:
        return plan.since
    back = f"to_microseconds({round(plan.lookback_s * 1_000_000)})"
    since = f"CAST(CAST(? AS {plan.cursor.type}) - {back} AS VARCHAR)"
    row = duck.execute(f"SELECT {since}", [plan.since]).fetchone()
    assert row is not None
    return str(row[0])


def _constant_type(type: str) -> str:
    """Return the type of a constant that ConditionBuilder takes for a column of ``type``."""
    if type == TIMESTAMPTZ_TYPE or type.startswith("DECIMAL"):
        return type
    return "TIMESTAMP" if type.startswith(("DATE", "TIMESTAMP")) else "BIGINT"
