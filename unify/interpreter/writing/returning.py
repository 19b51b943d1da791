"""RETURNING: an expression list over the rows of a write, with their outcomes and what the API returned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from unify.engine.connection import quote_literal
from unify.engine.types import quote_identifier as quoted
from unify.interpreter.results import Rows, result_columns
from unify.lake import session_rows
from unify.lake.lake import Lake
from unify.writes.records import WriteRow

_encoder = msgspec.json.Encoder(decimal_format="number")


def returned_rows(lake: Lake, returning: str, rows: Sequence[WriteRow]) -> Rows:
    """Return what ``returning`` says of each row. Raises QueryError.

    The columns are ``row``, ``outcome``, those of the stored row, those that were written, those that the
    API returned, and ``reason``. A column of the table with one of these names gets ``_2``.
    """
    encoded = quote_literal(_encoder.encode([_fields(row) for row in rows]).decode())
    source = f"(SELECT unnest(CAST({encoded} AS JSON[])) AS line)"
    structure = session_rows.fetch_session_rows(lake, f"SELECT json_group_structure(line) FROM {source}")[0][
        0
    ]
    columns = list(msgspec.json.decode(str(structure)))
    chosen = ", ".join(f"returned.{quoted(name)}" for name in columns)
    sql = (
        f"SELECT {returning} FROM (SELECT {chosen} FROM (SELECT "
        f"json_transform(line, {quote_literal(str(structure))}) AS returned FROM {source}))"
    )
    described = session_rows.fetch_session_rows(lake, f"DESCRIBE {sql}")
    types = [(str(column[0]), str(column[1])) for column in described]
    found = session_rows.fetch_session_rows(lake, sql)
    return Rows(result_columns(types), iter([found] if found else []), show_all=True)


def then_raise(rows: Rows, error: Exception) -> Rows:
    """The rows, after which ``error`` is raised."""

    def batches() -> Iterator[Sequence[tuple[object, ...]]]:
        yield from rows.batches
        raise error

    return Rows(rows.columns, batches(), rows.note, rows.show_all)


def _fields(row: WriteRow) -> dict[str, object]:
    planned = row.planned
    values = {**(planned.before or {}), **planned.key, **planned.values, **row.created}
    own = {"row": planned.number, "outcome": row.state.value}
    renamed = {f"{name}_2" if name in ("row", "outcome", "reason") else name: values[name] for name in values}
    return {**own, **renamed, "reason": row.message or None}
