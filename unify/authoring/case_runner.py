"""Runs a recorded case over HTTP on loopback: rows are converted as in a load, or sent as in a write."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from unify.adapters.base import Page, ParentRow, Read
from unify.adapters.http.rate_limit import Clock
from unify.adapters.rest.adapter import RESTAdapter
from unify.adapters.rest.pushdown import apply_filters
from unify.adapters.rest.read_plan import scope_key
from unify.adapters.spec.model import AdapterSpec, TableSpec
from unify.authoring.cases import Case, option_values
from unify.authoring.mock_api import MockAPI
from unify.authoring.write_cases import outcome_differences, send_case_rows
from unify.config.secrets import Secret
from unify.convert.preview import Preview, preview_pages
from unify.errors import UnifyError
from unify.model import RowOutcome

Json = Any  # a JSON value: dict, list, str, int, float, bool or None


@dataclass(frozen=True, slots=True)
class CaseResult:
    """The result of a case; it passed if there are no ``differences`` from what it expects.

    ``preview``   the rows that a load would store.
    ``outcomes``  of the rows of a case with ``write``.
    """

    differences: tuple[str, ...]
    preview: Preview | None = None
    outcomes: tuple[RowOutcome, ...] = ()


def run_case(spec: AdapterSpec, case: Case) -> CaseResult:
    """Run a case, with loopback as the only network and dummies for secrets."""
    table = spec.table(case.table)
    if table is None:
        return CaseResult((f"{spec.path} has no table {case.table}",))
    options = option_values(case, spec)
    if case.write is not None:
        return _run_write_case(spec, table, case, options)
    spec = apply_filters(spec, table, case.filters)
    preview: Preview | None = None
    failure: UnifyError | None = None
    with MockAPI(spec, options, case.exchanges) as api:
        try:
            with closing(RESTAdapter(api.spec, options, clock=_FrozenClock(case.now.timestamp()))) as adapter:
                pages = list(adapter.pages(table.name, _case_read(table, case)))
            preview = preview_pages(table, [_restore_origins(page, api) for page in pages], as_text=True)
        except UnifyError as error:
            failure = error
    differences = [*api.differences, *_failure_differences(case, failure, api)]
    if preview is not None and not differences:
        differences = [
            *_column_differences(case, preview),
            *_row_differences(case, preview),
            *_cursor_differences(case, preview),
        ]
    return CaseResult(tuple(differences), preview)


def _run_write_case(
    spec: AdapterSpec, table: TableSpec, case: Case, options: Mapping[str, str | Secret | None]
) -> CaseResult:
    outcomes: Sequence[RowOutcome] = ()
    failure: UnifyError | None = None
    with MockAPI(spec, options, case.exchanges) as api:
        try:
            clock = _FrozenClock(case.now.timestamp())
            with closing(RESTAdapter(api.spec, options, clock=clock)) as adapter:
                outcomes = send_case_rows(adapter, table, case)
        except UnifyError as error:
            failure = error
    differences = [*api.differences, *_failure_differences(case, failure, api)]
    if not differences and case.error is None:
        differences = list(outcome_differences(case, outcomes, api.to_recorded_origins))
    return CaseResult(tuple(differences), outcomes=tuple(outcomes))


class _FrozenClock(Clock):
    """A clock that only waiting advances, at once."""

    def __init__(self, now_s: float) -> None:
        self._now_s = now_s

    def time(self) -> float:
        return self._now_s

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        self._now_s += max(seconds, 0.0)
        return stop.is_set()


def _case_read(table: TableSpec, case: Case) -> Read:
    parents: Sequence[ParentRow] = case.parents
    if not parents and table.for_each is not None:
        parents = table.for_each.rows
    if case.since is None or isinstance(case.since, Mapping):
        return Read(parents, case.since or {})
    scopes = [scope_key(parent) for parent in parents] if table.for_each is not None else [""]
    return Read(parents, dict.fromkeys(scopes, case.since))


def _restore_origins(page: Page, api: MockAPI) -> Page:
    return replace(page, rows=[api.to_recorded_origins(row.decode()).encode() for row in page.rows])


def _failure_differences(case: Case, failure: UnifyError | None, api: MockAPI) -> list[str]:
    if failure is None:
        return (
            []
            if case.error is None
            else [f"expected an error with {case.error!r}; the {_noun(case)} succeeded"]
        )
    message = api.to_recorded_origins(failure.message)
    if case.error is None:
        is_told = api.differences and case.write is None
        return [] if is_told else [f"the {_noun(case)} failed: {message}"]
    return [] if case.error in message else [f"expected an error with {case.error!r}, found: {message}"]


def _noun(case: Case) -> str:
    return "load" if case.write is None else "write"


def _column_differences(case: Case, actual: Preview) -> list[str]:
    if case.columns is None:
        return []
    types = {column.name: column.type for column in actual.columns}
    missing = [f"column {name} is missing" for name in case.columns if name not in types]
    extra = [f"column {name} {types[name]} was not expected" for name in types if name not in case.columns]
    return [
        *missing,
        *extra,
        *(
            f"column {name}: expected {expected}, found {types[name]}"
            for name, expected in case.columns.items()
            if name in types and types[name].lower() != expected.lower()
        ),
    ]


def _row_differences(case: Case, actual: Preview) -> list[str]:
    if case.rows is None:
        return []
    differences = []
    if len(case.rows) != len(actual.rows):
        differences.append(f"expected {len(case.rows)} rows, found {len(actual.rows)}")
    if actual.discarded:
        differences.append(f"{actual.discarded} rows were discarded: a value did not fit its type")
    names = [column.name for column in actual.columns]
    for number, (expected, values) in enumerate(zip(case.rows, actual.rows, strict=False), 1):
        row = dict(zip(names, values, strict=True))
        differences += [
            f"row {number}: expected {name} to be {value!r}, found {row.get(name)!r}"
            for name, value in expected.items()
            if name not in row or not _values_equal(value, row[name])
        ]
    return differences


def _values_equal(expected: Json, value: Json) -> bool:
    """Compare scalars as DuckDB writes them, nested values as JSON."""
    if isinstance(value, str) and isinstance(expected, bool):
        return value == ("true" if expected else "false")
    if isinstance(value, str) and isinstance(expected, int | float):
        return value == str(expected) or _parse_number(value) == float(expected)
    return bool(expected == value)


def _parse_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _cursor_differences(case: Case, actual: Preview) -> list[str]:
    if case.cursor is None:
        return []
    if isinstance(case.cursor, Mapping):
        expected, found = dict(case.cursor), dict(actual.cursors)
        return [] if expected == found else [f"expected the cursors {expected}, found {found}"]
    cursors = set(actual.cursors.values())
    if cursors == {case.cursor}:
        return []
    return [f"expected the cursor {case.cursor}, found {cursors or 'none'}"]
