"""One recorded case run: the real adapter over real HTTP, its rows converted as a load converts them."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from unify.adapters.base import Page, ParentRow, Read
from unify.adapters.http.rate_limit import Clock
from unify.adapters.rest.adapter import RESTAdapter
from unify.adapters.rest.pushdown import apply_filters
from unify.adapters.rest.scope_reader import scope_key
from unify.adapters.spec.model import AdapterSpec, TableSpec
from unify.authoring.cases import Case, option_values
from unify.authoring.mock_api import MockAPI
from unify.convert.preview import Preview, preview_pages
from unify.errors import UnifyError

Json = Any  # a JSON value: dict, list, str, int, float, bool or None


@dataclass(frozen=True, slots=True)
class CaseResult:
    """How a case ended. ``differences`` from what it expects, a sentence each; none: it passed."""

    differences: tuple[str, ...]
    preview: Preview | None = None


def run_case(spec: AdapterSpec, case: Case) -> CaseResult:
    """Run ``case``, of ``spec``. No network but loopback; no secret but dummies."""
    table = spec.table(case.table)
    if table is None:
        return CaseResult((f"{spec.path} has no table {case.table}",))
    options = option_values(case, spec)
    spec = apply_filters(spec, table, case.filters)
    found: Preview | None = None
    failure: UnifyError | None = None
    with MockAPI(spec, options, case.exchanges) as replay:
        try:
            with closing(RESTAdapter(replay.spec, options, clock=_FrozenClock(case.now))) as adapter:
                pages = list(adapter.pages(table.name, _case_read(table, case)))
            found = preview_pages(table, [_restore_origins(page, replay) for page in pages], as_text=True)
        except UnifyError as error:
            failure = error
    differences = list(replay.differences)
    differences += _failure_differences(case, failure, replay)
    if found is not None and not differences:
        differences = [
            *_column_differences(case, found),
            *_row_differences(case, found),
            *_cursor_differences(case, found),
        ]
    return CaseResult(tuple(differences), found)


class _FrozenClock(Clock):
    """A clock that stands at a moment, and moves on at once where anybody waits."""

    def __init__(self, moment: datetime) -> None:
        self._now_s = moment.timestamp()

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


def _restore_origins(page: Page, mock_api: MockAPI) -> Page:
    """The page with the API's own addresses in its rows again."""
    rows = [mock_api.to_recorded_origins(row.decode()).encode() for row in page.rows]
    return Page(rows, page.variables, page.scope, page.number, page.pages_total)


def _failure_differences(case: Case, failure: UnifyError | None, mock_api: MockAPI) -> list[str]:
    if failure is None:
        return [] if case.error is None else [f"expected an error with {case.error!r}; the load succeeded"]
    message = mock_api.to_recorded_origins(failure.message)
    if case.error is not None and case.error in message:
        return []
    if case.error is not None:
        return [f"expected an error with {case.error!r}, found: {message}"]
    return [] if mock_api.differences else [f"the load failed: {message}"]


def _column_differences(case: Case, actual: Preview) -> list[str]:
    if case.columns is None:
        return []
    types = {column.name: column.type for column in actual.columns}
    differences = [f"column {name} is missing" for name in case.columns if name not in types]
    differences += [
        f"column {name} {type_} was not expected" for name, type_ in types.items() if name not in case.columns
    ]
    differences += [
        f"column {name}: expected {wanted}, found {types[name]}"
        for name, wanted in case.columns.items()
        if name in types and types[name].lower() != wanted.lower()
    ]
    return differences


def _row_differences(case: Case, actual: Preview) -> list[str]:
    if case.rows is None:
        return []
    differences = []
    if len(case.rows) != len(actual.rows):
        differences.append(f"expected {len(case.rows)} rows, found {len(actual.rows)}")
    if actual.discarded:
        differences.append(f"{actual.discarded} rows were discarded: a value did not fit its type")
    names = [column.name for column in actual.columns]
    for number, (wanted, values) in enumerate(zip(case.rows, actual.rows, strict=False), 1):
        row = dict(zip(names, values, strict=True))
        differences += [
            f"row {number}: expected {name} to be {value!r}, found {row.get(name)!r}"
            for name, value in wanted.items()
            if name not in row or not _values_equal(value, row[name])
        ]
    return differences


def _values_equal(expected: Json, value: Json) -> bool:
    """Scalars are compared as DuckDB writes them, nested values as JSON."""
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
        same = dict(case.cursor) == dict(actual.cursors)
        return [] if same else [f"expected the cursors {dict(case.cursor)}, found {dict(actual.cursors)}"]
    cursors = set(actual.cursors.values())
    return (
        [] if cursors == {case.cursor} else [f"expected the cursor {case.cursor}, found {cursors or 'none'}"]
    )
