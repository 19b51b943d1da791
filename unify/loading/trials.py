"""One recorded case run: the real adapter over real HTTP, its rows converted as a load converts them."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from unify.adapters.base import Page, ParentRow, Read
from unify.adapters.cases import Case, option_values
from unify.adapters.filtered import with_filters
from unify.adapters.pace import Clock
from unify.adapters.replay import Replay
from unify.adapters.rest import RESTAdapter
from unify.adapters.scopes import scope_of
from unify.adapters.spec import AdapterSpec, TableSpec
from unify.errors import UnifyError
from unify.loading.preview import Preview, preview

Json = Any  # a JSON value: dict, list, str, int, float, bool or None


@dataclass(frozen=True, slots=True)
class Trial:
    """How a case ended. ``differences`` from what it expects, a sentence each; none: it passed."""

    differences: tuple[str, ...]
    found: Preview | None = None


def run_case(spec: AdapterSpec, case: Case) -> Trial:
    """Run ``case``, of ``spec``. No network but loopback; no secret but dummies."""
    table = spec.table(case.table)
    if table is None:
        return Trial((f"{spec.path} has no table {case.table}",))
    options = option_values(case, spec)
    spec = with_filters(spec, table, case.filters)
    found: Preview | None = None
    failure: UnifyError | None = None
    with Replay(spec, options, case.exchanges) as replay:
        try:
            with closing(RESTAdapter(replay.spec, options, clock=_Still(case.now))) as adapter:
                pages = list(adapter.pages(table.name, _read(table, case)))
            found = preview(table, [_told_from_there(page, replay) for page in pages], written=True)
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
    return Trial(tuple(differences), found)


class _Still(Clock):
    """A clock that stands at a moment, and moves on at once where anybody waits."""

    def __init__(self, moment: datetime) -> None:
        self._at = moment.timestamp()

    def time(self) -> float:
        return self._at

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        self._at += max(seconds, 0.0)
        return stop.is_set()


def _read(table: TableSpec, case: Case) -> Read:
    parents: Sequence[ParentRow] = case.parents
    if not parents and table.for_each is not None:
        parents = table.for_each.rows
    if case.since is None or isinstance(case.since, Mapping):
        return Read(parents, case.since or {})
    scopes = [scope_of(parent) for parent in parents] if table.for_each is not None else [""]
    return Read(parents, dict.fromkeys(scopes, case.since))


def _told_from_there(page: Page, replay: Replay) -> Page:
    """The page with the API's own addresses in its rows again."""
    rows = [replay.there(row.decode()).encode() for row in page.rows]
    return Page(rows, page.variables, page.scope, page.number, page.pages_total)


def _failure_differences(case: Case, failure: UnifyError | None, replay: Replay) -> list[str]:
    if failure is None:
        return [] if case.error is None else [f"expected an error with {case.error!r}; the load succeeded"]
    message = replay.there(failure.message)
    if case.error is not None and case.error in message:
        return []
    if case.error is not None:
        return [f"expected an error with {case.error!r}, found: {message}"]
    return [] if replay.differences else [f"the load failed: {message}"]


def _column_differences(case: Case, found: Preview) -> list[str]:
    if case.columns is None:
        return []
    types = {column.name: column.type for column in found.columns}
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


def _row_differences(case: Case, found: Preview) -> list[str]:
    if case.rows is None:
        return []
    differences = []
    if len(case.rows) != len(found.rows):
        differences.append(f"expected {len(case.rows)} rows, found {len(found.rows)}")
    if found.discarded:
        differences.append(f"{found.discarded} rows were discarded: a value did not fit its type")
    names = [column.name for column in found.columns]
    for number, (wanted, values) in enumerate(zip(case.rows, found.rows, strict=False), 1):
        row = dict(zip(names, values, strict=True))
        differences += [
            f"row {number}: expected {name} to be {value!r}, found {row.get(name)!r}"
            for name, value in wanted.items()
            if name not in row or not _same(value, row[name])
        ]
    return differences


def _same(wanted: Json, value: Json) -> bool:
    """Scalars are compared as DuckDB writes them, nested values as JSON."""
    if isinstance(value, str) and isinstance(wanted, bool):
        return value == ("true" if wanted else "false")
    if isinstance(value, str) and isinstance(wanted, int | float):
        return value == str(wanted) or _number(value) == float(wanted)
    return bool(wanted == value)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _cursor_differences(case: Case, found: Preview) -> list[str]:
    if case.cursor is None:
        return []
    if isinstance(case.cursor, Mapping):
        same = dict(case.cursor) == dict(found.cursors)
        return [] if same else [f"expected the cursors {dict(case.cursor)}, found {dict(found.cursors)}"]
    cursors = set(found.cursors.values())
    return (
        [] if cursors == {case.cursor} else [f"expected the cursor {case.cursor}, found {cursors or 'none'}"]
    )
