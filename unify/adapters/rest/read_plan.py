"""ReadPlan: what one read of a table requests. Making and describing a plan sends nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from unify.adapters.base import PagePosition, ParentRow, Read, ReadProgress
from unify.adapters.http.messages import Request
from unify.adapters.paging.base import Paginator, PagingStart
from unify.adapters.paging.detect import describe_paging
from unify.adapters.paging.paginators import make_paginator
from unify.adapters.rest.incremental import TimeWindow, request_cursor, time_windows, typed_cursor
from unify.adapters.rest.request_builder import CURSOR_VARIABLE, UNTIL_VARIABLE
from unify.adapters.rest.table_source import TableSource
from unify.adapters.spec import template
from unify.adapters.spec.moments import format_timestamp
from unify.adapters.spec.paging import Paging
from unify.adapters.spec.table_keys import ForEach, Incremental
from unify.durations import format_duration

_MAX_COUNTED_SCOPES = 10_000


class Scope(Struct, frozen=True):
    """The part of a table that is read page by page: a row of ``for_each``, and of that a time window.

    ``key``          identifies the row in the stored state: its JSON text with sorted keys; "" without one.
    ``stop_cursor``  the stored cursor less the lookback: rows older than it are known.
    ``resume_at``    the last page that an earlier read has.
    """

    key: str = ""
    parent: ParentRow | None = None
    window: TimeWindow = field(default_factory=TimeWindow)
    stop_cursor: str | None = None
    resume_at: PagePosition | None = None


class ReadPlan(Struct, frozen=True):
    """One read of one table: its scopes, requests, pages and rows."""

    source: TableSource
    read: Read
    now: datetime

    @property
    def paging(self) -> Paging:
        """The paging of the spec, or what ``paging: auto`` has detected so far."""
        return self.source.paging_state.detected or self.source.paging

    @property
    def stops_at_cursor(self) -> bool:
        """Whether the newest rows come first, so that a scope ends at the first row older than its cursor."""
        incremental = self.source.table.incremental
        return incremental is not None and incremental.order == "desc"

    def scopes(self) -> Iterator[Scope]:
        """Yield the scopes, without those that an earlier read has completed."""
        table, progress = self.source.table, self.read.progress or ReadProgress()
        for parent in distinct_parents(table.for_each, self.read.parents):
            key = scope_key(parent) if parent is not None else ""
            stored = self.read.since.get(key)
            for window in time_windows(table.incremental, stored, self.now):
                if (key, window.index) not in progress.complete:
                    resume_at = progress.started.get((key, window.index))
                    yield Scope(key, parent, window, _stop_cursor(table.incremental, stored), resume_at)

    def variables(self, scope: Scope) -> dict[str, Any]:
        """The values of all ``{name}`` in the requests of ``scope``, except paging values."""
        return {
            **self.source.table.filter_values,
            **self.source.options,
            **(scope.parent or {}),
            CURSOR_VARIABLE: typed_cursor(scope.window.cursor, self.source.table),
            UNTIL_VARIABLE: scope.window.until,
            template.NOW_VARIABLE: format_timestamp(self.now, "iso8601"),
        }

    def paginator(self, *, sequential: bool, begin: PagingStart | None = None) -> Paginator:
        paging = self.source.paging if begin is None else self.paging
        return make_paginator(paging, self.source.paging_state, sequential=sequential, begin=begin)

    def first_request(self, scope: Scope) -> Request:
        if self.source.job is not None:
            return self.source.job.first_request(self.variables(scope))
        first, *_ = next(make_paginator(self.source.paging, sequential=True))
        return self.source.request_builder.build_request(self.variables(scope), first)

    def describe(self) -> Iterator[str]:
        """The first request and what follows from it, a line each. The lines may contain secrets.

        Raises:
            SourceError: a variable of the request has no value.
        """
        scopes = list(islice(self.scopes(), _MAX_COUNTED_SCOPES))
        if not scopes:
            yield "no request: for_each has no rows"
            return
        yield from _request_lines(self.first_request(scopes[0]))
        yield from self._outline(scopes)

    def outline(self) -> Iterator[str]:
        """The lines of ``describe`` after the request: paging, rows, incremental window, scopes."""
        return self._outline(list(islice(self.scopes(), _MAX_COUNTED_SCOPES)))

    def _outline(self, scopes: Sequence[Scope]) -> Iterator[str]:
        yield f"paging: {'one request' if self.paging.type == 'none' else describe_paging(self.paging)}"
        yield f"rows: {self.source.rows_text()}"
        incremental = self.source.table.incremental
        if incremental is not None and scopes:
            yield f"incremental: {_incremental_text(incremental, scopes[0])}"
        if len(scopes) > 1:
            count = f"{len(scopes):,}{' or more' if len(scopes) == _MAX_COUNTED_SCOPES else ''}"
            yield f"scopes: {count}; this is the first"


def scope_key(parent: ParentRow) -> str:
    """The key of a row of ``for_each`` in the stored state: its JSON text with sorted keys."""
    return json.dumps(parent, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)


def distinct_parents(for_each: ForEach | None, parents: Sequence[ParentRow]) -> Iterator[ParentRow | None]:
    """Yield each different parent once, in order; only None for a table without parents."""
    if for_each is None:
        yield None
        return
    rows: Sequence[ParentRow] = parents or for_each.rows
    if for_each.query is not None and for_each.rows:  # the values of an option, for each parent
        rows = [{**parent, **row} for parent in parents for row in for_each.rows]
    different = list({scope_key(parent): parent for parent in rows}.values())
    yield from different if for_each.batch is None else _join_parents(different, for_each.batch)


def _join_parents(parents: Sequence[ParentRow], size: int) -> Iterator[ParentRow]:
    """Yield ``size`` parents as one: each value is the list of their different values, joined by commas."""
    for start in range(0, len(parents), size):
        group = parents[start : start + size]
        yield {
            name: ",".join(dict.fromkeys(str(parent[name]) for parent in group if parent[name] is not None))
            for name in group[0]
        }


def _stop_cursor(incremental: Incremental | None, stored: str | None) -> str | None:
    if incremental is None or stored is None:
        return None
    return str(request_cursor(replace(incremental, format=None), stored))


def _request_lines(request: Request) -> Iterator[str]:
    yield f"{request.method} {request.url}"
    if request.params:
        yield f"parameters: {_pairs_text(request.params)}"
    if request.headers:
        yield f"headers: {_pairs_text(request.headers.items())}"
    if request.body is not None:
        yield f"body: {request.body.decode('utf-8', 'replace')}"


def _pairs_text(pairs: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{name}={value}" for name, value in pairs)


def _incremental_text(incremental: Incremental, scope: Scope) -> str:
    window = scope.window
    start = f"from {window.cursor}" if window.cursor is not None else "from the beginning"
    has_end = incremental.window_s is not None or incremental.end is not None
    end = f" until {window.until}" if has_end else ""
    step = f", in windows of {format_duration(incremental.window_s)}" if incremental.window_s else ""
    newest = ""
    if incremental.order == "desc":
        newest = ", newest rows first" + (f", back to {scope.stop_cursor}" if scope.stop_cursor else "")
    return f"{incremental.cursor} {start}{end}{step}{newest}"
