"""Sends the rows of a recorded case with ``write`` as a worker does, and compares their outcomes.

The rows are checked as those of a statement, planned in a store of writes in a temporary folder, and sent by
the same attempt, which also settles rows whose response is lost. Waiting takes no time.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

from msgspec.structs import replace

from unify.adapters.base import TableWriter
from unify.adapters.rest.adapter import RESTAdapter
from unify.adapters.spec.model import TableSpec
from unify.adapters.spec.write import RowOperation, WriteLimits, WriteSpec
from unify.authoring.cases import Case, written_rows
from unify.interpreter.writing import row_checks
from unify.load.protocol import LoadTask
from unify.load.worker import Reporter
from unify.model import Action, ConfigPaths, PlannedRow, RowOutcome, RowState, TableName
from unify.sender.attempt import WriteAttempt, WriteTiming
from unify.writes.records import NewWrite, WriteRow
from unify.writes.store import WriteStore

_TENANT = "default"


def planned_rows(
    spec: WriteSpec,
    operation: RowOperation,
    rows: Sequence[Mapping[str, object]],
    stored: Sequence[Mapping[str, object]] = (),
) -> list[PlannedRow]:
    """Return the rows of a plan: their columns, and the stored rows that an operation has chosen.

    ``spec.key`` is the key of the table.
    """
    if operation == "insert":
        return [PlannedRow(number, operation, values) for number, values in enumerate(rows, start=1)]
    if operation == "upsert":
        return [
            PlannedRow(number, operation, values, _upsert_key(spec, values))
            for number, values in enumerate(rows, start=1)
        ]
    return [
        PlannedRow(number, operation, values, {name: before.get(name) for name in spec.key}, before)
        for number, (values, before) in enumerate(zip(rows, stored, strict=True), start=1)
    ]


def _upsert_key(spec: WriteSpec, values: Mapping[str, object]) -> Mapping[str, object]:
    """The key of an export ``by`` the key of the table, else by the columns that an upsert requires."""
    return {name: values.get(name) for name in spec.upsert_key}


def check_planned_rows(
    target: TableName, spec: WriteSpec, rows: Sequence[PlannedRow], writer: TableWriter
) -> None:
    """Check rows of one operation as a statement does before its first request. Raises QueryError."""
    for columns in {tuple(row.values): None for row in rows}:
        if rows[0].action not in ("delete", "restore"):
            row_checks.check_columns(target, spec, cast("RowOperation", rows[0].action), columns)
    row_checks.check_rows(target, spec, rows, writer)


def send_case_rows(adapter: RESTAdapter, table: TableSpec, case: Case) -> Sequence[RowOutcome]:
    """Send the rows of ``case`` and return their outcomes.

    Raises QueryError if they cannot be sent, SourceError if the API cannot be reached or refuses credentials.
    """
    assert case.write is not None
    assert table.write is not None
    target = TableName(adapter.spec.name, table.name)
    spec = table.write if table.write.key else replace(table.write, key=table.key)
    rows = planned_rows(spec, case.write, written_rows(case), case.stored)
    with (
        tempfile.TemporaryDirectory(prefix="unify-case-") as folder,
        adapter.open_writer(table.name) as writer,
    ):
        check_planned_rows(target, spec, rows, writer)
        with WriteStore(Path(folder) / "writes.db") as store:
            return [_outcome(row) for row in _run_attempt(store, writer, target, case, rows)]


def _run_attempt(
    store: WriteStore, writer: TableWriter, target: TableName, case: Case, rows: Sequence[PlannedRow]
) -> Sequence[WriteRow]:
    origin = ConfigPaths("connections.yaml")
    timing = _FrozenTime(case.now)
    write = store.plan(NewWrite(_TENANT, target, str(case.write), origin), rows, case.now)
    store.approve(write.id, "case", case.now)
    task = LoadTask(1, write.uid, 1, _TENANT, Action.WRITE, target, origin, "", "")
    reporter = Reporter(task, lambda _message: None)
    started = store.start(write, case.now)
    attempt = WriteAttempt(
        store,
        started,
        _FixedKeys(writer, write.uid),
        reporter,
        limits=WriteLimits(),
        timing=WriteTiming(timing.now, timing.sleep),
    )
    attempt.run()
    return store.rows(write.id)


class _FrozenTime:
    """A clock that only sleeping moves, at once."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


class _FixedKeys:
    """A writer whose requests have keys that are the same in each run: ``dummy-1-0`` for that of row 1."""

    def __init__(self, inner: TableWriter, uid: str) -> None:
        self._inner = inner
        self._uid = uid
        self.transient_columns = inner.transient_columns
        self.fit = inner.fit
        self.check = inner.check
        self.describe = inner.describe
        self.lost_response = inner.lost_response
        self.find = inner.find

    def send(self, operation: RowOperation, rows: Sequence[PlannedRow], key: str) -> Sequence[RowOutcome]:
        return self._inner.send(operation, rows, key.replace(self._uid, "dummy"))


def _outcome(row: WriteRow) -> RowOutcome:
    return RowOutcome(row.planned.number, row.state, row.status, row.created, row.message)


def outcome_differences(
    case: Case, outcomes: Sequence[RowOutcome], restore: Callable[[str], str]
) -> Iterator[str]:
    """Compare outcomes with those of ``case``; ``restore`` replaces local addresses in a message."""
    for number, (expected, found) in enumerate(zip(case.outcomes, outcomes, strict=True), start=1):
        message = restore(found.message)
        if found.state is not RowState(expected.state):
            reason = f" ({message})" if message else ""
            yield f"row {number}: expected the state {expected.state}, found {found.state}{reason}"
        if expected.status not in (None, found.status):
            yield f"row {number}: expected the status {expected.status}, found {found.status}"
        if expected.created is not None and expected.created != found.created:
            yield f"row {number}: expected created to be {expected.created!r}, found {dict(found.created)!r}"
        if expected.message not in message:
            yield f"row {number}: expected a message with {expected.message!r}, found {message!r}"
