"""What a plan may contain. Everything that can be known is checked before the first request."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import cast

import msgspec

from unify.adapters.base import TableWriter
from unify.adapters.spec.write import RowOperation, WriteColumn, WriteSpec
from unify.errors import QueryError
from unify.lake import session_rows
from unify.lake.lake import Lake
from unify.language.sql.merge_statement import MergeStatement
from unify.language.sql.write_statement import WriteStatement
from unify.model import PlannedRow, TableName
from unify.text import did_you_mean, excerpt, format_count

MAX_LISTED_PROBLEMS = 10
MAX_VALUE_CHARS = 40  # of a value in a message
_ANY_TEXT = frozenset(["json", "varchar", "text", "string"])
_encoder = msgspec.json.Encoder(decimal_format="number")


def check_operation(target: TableName, spec: WriteSpec, operation: RowOperation) -> None:
    """Raise QueryError if the API cannot do this."""
    if spec.request(operation) is None:
        can = ", ".join(spec.operations)
        raise QueryError(f"{target}: its API has no {operation} here; it can {can}")


def check_columns(
    target: TableName, spec: WriteSpec, operation: RowOperation, columns: Sequence[str]
) -> None:
    """Raise QueryError for a column that cannot be written, or is required and missing."""
    for name in columns:
        column = spec.column(name)
        if column is None:
            known = [each.name for each in spec.columns if each.is_allowed_in(operation)]
            hint = did_you_mean(name, known) or f"; it can write {', '.join(known)}"
            raise QueryError(f"{target}.{name} cannot be written{hint}")
        if not column.is_allowed_in(operation):
            raise QueryError(f"{target}.{name} can be set by {', '.join(column.only)} only")
    given = {name.lower() for name in columns}
    missing = [
        each.name
        for each in spec.columns
        if each.is_required_in(operation) and each.name.lower() not in given and operation != "update"
    ]
    if missing:
        raise QueryError(f"{target}: {operation} requires {', '.join(missing)}")


def check_statement(target: TableName, spec: WriteSpec, statement: WriteStatement | MergeStatement) -> None:
    """Raise QueryError for what the API cannot do, before any table is loaded."""
    if isinstance(statement, MergeStatement):
        for clause in statement.clauses:
            if clause.action != "nothing":
                check_operation(target, spec, clause.action)
                check_columns(target, spec, clause.action, [each.column for each in clause.assignments])
        return
    check_operation(target, spec, statement.operation)
    if statement.operation == "update":
        check_columns(target, spec, "update", [each.column for each in statement.assignments])


def check_row_columns(target: TableName, spec: WriteSpec, rows: Sequence[PlannedRow]) -> None:
    """Raise QueryError for columns of rows that cannot be written, or are missing."""
    checked: set[tuple[str, tuple[str, ...]]] = set()
    for row in rows:
        columns = (row.action, tuple(row.values))
        if row.action not in ("delete", "restore") and columns not in checked:
            checked.add(columns)
            check_columns(target, spec, cast("RowOperation", row.action), columns[1])


def too_many_rows(target: TableName, limit: int) -> str:
    return (
        f"{target}: the statement writes more than {format_count(limit, 'row')}; nothing was sent. "
        "Allow more with --max-writes"
    )


def listed(problems: Sequence[str]) -> str:
    """The first problems, one a line."""
    more = len(problems) - MAX_LISTED_PROBLEMS
    rest = [f"and {format_count(more, 'further problem')}"] if more > 0 else []
    return "\n  ".join([*problems[:MAX_LISTED_PROBLEMS], *rest])


def check_rows(target: TableName, spec: WriteSpec, rows: Sequence[PlannedRow], writer: TableWriter) -> None:
    """Raise QueryError with row and column of what cannot be sent."""
    problems = [*_null_problems(spec, rows), *_key_problems(spec, rows)]
    problems += _request_problems(rows, writer)
    refuse(target, problems)


def refuse(target: TableName, problems: Sequence[str]) -> None:
    """Raise QueryError with ``problems`` if there are any."""
    if problems:
        raise QueryError(f"{target}: nothing was sent:\n  {listed(problems)}")


def _null_problems(spec: WriteSpec, rows: Sequence[PlannedRow]) -> Iterator[str]:
    for row in rows:
        operation = cast("RowOperation", row.action)
        for column in spec.columns:
            value = row.values.get(column.name, "")
            if value is None and column.is_required_in(operation):
                yield f"row {row.number}: {column.name} is NULL and required"


def _key_problems(spec: WriteSpec, rows: Sequence[PlannedRow]) -> Iterator[str]:
    """Rows without a whole key, and rows with the key of another one, whose order would decide."""
    seen: dict[str, int] = {}
    for row in rows:
        if row.action == "insert":
            continue
        key = row.key or {name: row.values.get(name) for name in spec.key}
        missing = [name for name, value in key.items() if value is None]
        if missing:
            yield f"row {row.number}: {', '.join(missing)} of its key is NULL"
            continue
        text = json.dumps(key, default=str, sort_keys=True)
        first = seen.setdefault(text, row.number)
        if first != row.number:
            yield f"row {row.number}: has the same {', '.join(key)} as row {first}"


def _request_problems(rows: Sequence[PlannedRow], writer: TableWriter) -> Iterator[str]:
    for row in rows:
        if problem := writer.check(cast("RowOperation", row.action), row):
            yield f"row {row.number}: {problem}"


def type_problems(lake: Lake, spec: WriteSpec, rows: Sequence[PlannedRow]) -> Iterator[str]:
    """Yield the values that do not fit, with row and column: DuckDB decides, as for a cast."""
    for column in spec.columns:
        if column.type is not None and column.type.lower() not in _ANY_TEXT:
            yield from _column_problems(lake, column, column.type, rows)


def _column_problems(lake: Lake, column: WriteColumn, type: str, rows: Sequence[PlannedRow]) -> Iterator[str]:
    values = [
        {"row": row.number, "text": _text(value)}
        for row in rows
        if (value := row.values.get(column.name)) is not None
    ]
    if not values:
        return
    items = """SELECT unnest(from_json($1, '[{"row":"BIGINT","text":"VARCHAR"}]')) AS item"""
    sql = f'SELECT item."row", item."text" FROM ({items}) WHERE TRY_CAST(item."text" AS {type}) IS NULL'
    for row, text in session_rows.fetch_session_rows(lake, sql, [_encoder.encode(values).decode()]):
        yield f"row {row}: {column.name} is {excerpt(repr(text), MAX_VALUE_CHARS)}, which is no {type}"


def _text(value: object) -> str:
    return value if isinstance(value, str) else _encoder.encode(value).decode()
