"""What a plan may contain. Everything that can be known is checked before the first request."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import cast

from unify.adapters.base import TableWriter
from unify.adapters.spec.write import WriteOperation, WriteSpec
from unify.errors import QueryError
from unify.model import PlannedRow, TableName
from unify.text import did_you_mean, format_count

MAX_LISTED_PROBLEMS = 10


def check_operation(target: TableName, spec: WriteSpec, operation: WriteOperation) -> None:
    """Raise QueryError if the API cannot do this."""
    if spec.request(operation) is None:
        can = ", ".join(spec.operations)
        raise QueryError(f"{target}: its API has no {operation} here; it can {can}")


def check_columns(
    target: TableName, spec: WriteSpec, operation: WriteOperation, columns: Sequence[str]
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


def check_rows(target: TableName, spec: WriteSpec, rows: Sequence[PlannedRow], writer: TableWriter) -> None:
    """Raise QueryError with row and column of what cannot be sent."""
    problems = [*_null_problems(spec, rows), *_key_problems(spec, rows)]
    problems += _request_problems(rows, writer)
    if problems:
        shown = problems[:MAX_LISTED_PROBLEMS]
        more = len(problems) - len(shown)
        listed = [*shown, *([f"and {format_count(more, 'further problem')}"] if more else [])]
        raise QueryError(f"{target}: nothing was sent:\n  " + "\n  ".join(listed))


def _null_problems(spec: WriteSpec, rows: Sequence[PlannedRow]) -> Iterator[str]:
    for row in rows:
        operation = cast("WriteOperation", row.action)
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
        if problem := writer.check(cast("WriteOperation", row.action), row):
            yield f"row {row.number}: {problem}"
