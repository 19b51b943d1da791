"""Plans the write that takes another one back: created rows are deleted, changed ones get their old values.

A row that was changed since is left as it is, and so is one whose earlier values are not known.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from unify.adapters.spec.write import WriteSpec
from unify.engine.connection import quote_literal
from unify.engine.types import quote_identifier as quoted
from unify.interpreter.freshness import MaxAge
from unify.interpreter.query.query import QueryRunner
from unify.interpreter.writing.rows_to_write import STORED_ROW, Values, open_rows, target_sql
from unify.model import PlannedRow, RowState, TableName
from unify.writes.records import WriteRow

_DONE = (RowState.CREATED, RowState.UPDATED, RowState.DELETED)


class UndoPlan(Struct, frozen=True):
    """The rows that take a write back, and why others are left: texts that name their rows."""

    rows: list[PlannedRow]
    problems: list[str]


class _Refused(Exception):
    """A row cannot be taken back; the message says why."""


class UndoPlanner:
    """``stored``: the table is stored, so that rows which were changed since can be found."""

    def __init__(self, target: TableName, spec: WriteSpec, *, stored: bool) -> None:
        self._target = target
        self._spec = spec
        self._stored = stored

    def plan(self, query: QueryRunner, rows: Sequence[WriteRow]) -> UndoPlan:
        """Plan to take ``rows`` back. Raises LoadFailed if the table cannot be refreshed."""
        problems = [
            f"row {row.planned.number}: nobody knows whether it was written"
            for row in rows
            if row.state is RowState.UNKNOWN
        ]
        planned: list[PlannedRow] = []
        for row in rows:
            if row.state not in _DONE:
                continue
            try:
                planned.append(self._take_back(row))
            except _Refused as reason:
                problems.append(f"row {row.planned.number}: {reason}")
        return self._without_changed(query, planned, rows, problems)

    def _take_back(self, row: WriteRow) -> PlannedRow:
        match row.state:
            case RowState.CREATED:
                return self._delete(row)
            case RowState.DELETED:
                return self._restore(row)
            case _ if row.planned.action == "restore":
                return self._delete(row)
            case _:
                return self._set_back(row)

    def _delete(self, row: WriteRow) -> PlannedRow:
        if self._spec.delete is None:
            raise _Refused(f"the API of {self._target} cannot delete rows")
        planned = row.planned
        known = {**planned.values, **planned.key, **row.created}
        missing = [name for name in self._spec.key if name not in known]
        if missing:
            raise _Refused(f"its {', '.join(missing)} is not known")
        key = {name: known[name] for name in self._spec.key}
        return PlannedRow(
            planned.number,
            "delete",
            {},
            key,
            {**(planned.before or {}), **planned.values, **key},
            identity=planned.identity,
            leaves=True,
        )

    def _restore(self, row: WriteRow) -> PlannedRow:
        planned, delete = row.planned, self._spec.delete
        if delete is not None and delete.undo is not None:
            return PlannedRow(
                planned.number, "restore", {}, planned.key, planned.before, identity=planned.identity
            )
        if self._spec.upsert is None or not planned.before:
            raise _Refused(f"the API of {self._target} cannot restore a deleted row")
        allowed = [column.name for column in self._spec.columns if column.is_allowed_in("upsert")]
        values = {name: planned.before[name] for name in allowed if name in planned.before}
        return PlannedRow(planned.number, "upsert", values, planned.key, identity=planned.identity)

    def _set_back(self, row: WriteRow) -> PlannedRow:
        planned = row.planned
        if not planned.before:
            raise _Refused("its earlier values are not known: it was not stored")
        missing = [name for name in planned.values if name not in planned.before]
        if missing:
            raise _Refused(f"the earlier value of {', '.join(missing)} is not known")
        values = {name: planned.before[name] for name in planned.values}
        now = {**planned.before, **planned.values}
        return PlannedRow(planned.number, planned.action, values, planned.key, now, identity=planned.identity)

    def _without_changed(
        self,
        query: QueryRunner,
        planned: Sequence[PlannedRow],
        rows: Sequence[WriteRow],
        problems: list[str],
    ) -> UndoPlan:
        """Leave out the rows that have other values by now than the write gave them."""
        if not self._stored or not planned:
            return UndoPlan(list(planned), problems)
        written = {row.planned.number: row.planned for row in rows}
        current = self._current_rows(query, planned)
        kept: list[PlannedRow] = []
        for row in planned:
            found = current.get(row.number)
            changed = _changed_columns(written[row.number], found)
            if found is not None and written[row.number].action == "delete" and row.action == "upsert":
                problems.append(f"row {row.number}: the row exists again")
            elif changed:
                problems.append(f"row {row.number}: {', '.join(changed)} was changed since")
            else:
                kept.append(row)
        return UndoPlan(kept, problems)

    def _current_rows(self, query: QueryRunner, planned: Sequence[PlannedRow]) -> Mapping[int, Values]:
        """Return the rows as the API has them now, by number."""
        wanted = json.dumps([{"number": row.number, "key": dict(row.key)} for row in planned], default=str)
        conditions = " AND ".join(
            f"CAST(stored.{quoted(name)} AS VARCHAR) = (wanted.row -> 'key' ->> {quote_literal(name)})"
            for name in self._spec.key
        )
        sql = (
            f"SELECT CAST(wanted.row ->> 'number' AS BIGINT) AS number, stored.{quoted(STORED_ROW)} "
            f"FROM (SELECT unnest(CAST({quote_literal(wanted)} AS JSON[])) AS row) AS wanted "
            f"JOIN {target_sql(self._target)} AS stored ON {conditions}"
        )
        with open_rows(query, sql, MaxAge(limit_s=0), len(planned) * 2) as table:
            found = table.rows(table.object_of(columns=["number"]), table.stored_row())
            return dict(_numbered(found))


def _numbered(rows: Iterator[tuple[Values, ...]]) -> Iterator[tuple[int, Values]]:
    for numbered, values in rows:
        number = numbered["number"]
        assert isinstance(number, int)
        yield number, values


def _changed_columns(written: PlannedRow, current: Values | None) -> list[str]:
    """The columns that have other values than were written; of a deleted row, nothing."""
    if written.action == "delete":
        return []
    if current is None:
        return ["the row"]
    return [name for name, value in written.values.items() if name in current and current[name] != value]
