"""Reads the pages of one scope: builds, sends and splits each request."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import msgspec
from msgspec import Struct, field

from unify.adapters.base import Listeners, Page, PagePosition, Scalar
from unify.adapters.formats.body import ResponseBody
from unify.adapters.formats.locate import row_value
from unify.adapters.http.messages import Request, Response
from unify.adapters.paging.base import PageInfo, PageRequest, Paginator, PagingStart, parse_integer
from unify.adapters.paging.detect import describe_paging
from unify.adapters.paging.links import resolve_page_link
from unify.adapters.paging.loop_guard import LoopGuard
from unify.adapters.paging.numbered import numbered_paginator, page_request_at
from unify.adapters.paging.row_tally import RowTally
from unify.adapters.rest.incremental import is_older
from unify.adapters.rest.jobs.table_job import JobClient
from unify.adapters.rest.read_plan import ReadPlan, Scope
from unify.adapters.rest.response_page import ResponsePageInfo, rows_digest
from unify.adapters.rest.rows.record_filter import RecordFilter
from unify.adapters.rest.shared_responses import PageClient
from unify.adapters.spec import template
from unify.adapters.spec.model import ErrorRule
from unify.errors import BadResponse, NotFound, SourceError

PAGE_NUMBERS_PER_WINDOW = 1_000_000  # reserved per time window, so that page numbers of a scope are in order


class RowLimit:
    """Counts the rows of a limited read, over all scopes."""

    def __init__(self, limit: int | None) -> None:
        self._rows_left = limit

    def count_rows(self, rows: int) -> None:
        if self._rows_left is not None:
            self._rows_left -= rows

    @property
    def is_reached(self) -> bool:
        return self._rows_left is not None and self._rows_left <= 0


class ReadContext(Struct, frozen=True):
    """The state that the scopes of a running read share. ``cancel_event`` ends its requests."""

    plan: ReadPlan
    client: PageClient
    job_client: JobClient
    row_limit: RowLimit
    cancel_event: threading.Event
    listeners: Listeners = field(default_factory=Listeners)
    redact: Callable[[str], str] = str


class ScopeReader:
    """Reads the pages of one scope."""

    def __init__(self, context: ReadContext, scope: Scope) -> None:
        self._context = context
        self._plan = context.plan
        self._source = context.plan.source
        self._scope = scope
        self._parent = scope.parent or {}
        self._variables = context.plan.variables(scope)
        self._first_number = scope.window.index * PAGE_NUMBERS_PER_WINDOW
        self._loop_guard = LoopGuard(self._source.paging_state)
        self._tally = RowTally()
        self._record_filter = RecordFilter(self._source.table.where, self._variables)
        self._stops_at_cursor = self._plan.stops_at_cursor and scope.stop_cursor is not None
        self._is_cursor_reached = False
        self._previous_cursor: str | None = None  # of the last row of the page before
        self._lock = threading.Lock()
        self._csv_names: frozenset[str] = frozenset()  # of the first page
        self._end_number: int | None = None  # of the first page that does not exist
        self._last_number = 0  # of the last page with rows
        self._start = self._find_start()  # None: at the first page
        self._begins_again = False
        self._first_row_count = self._start.first_row_count if self._start is not None else 0

    def _find_start(self) -> PagingStart | None:
        """Where the pages of an earlier read ended; None if reading has to begin with the first page."""
        last = self._scope.resume_at
        if last is None or not last.request or self._plan.paging.type == "auto":
            return None
        return msgspec.json.decode(last.request, type=PagingStart)

    def paginate(self) -> Paginator:
        """Paginate until the last page, the row limit, or the first page that reaches the cursor."""
        limit = self._context.row_limit
        if limit.is_reached:
            return
        sequential = self._stops_at_cursor or self._plan.read.limit is not None
        paginator = self._plan.paginator(sequential=sequential, begin=self._start)
        page_requests = next(paginator, ())
        while page_requests:
            page_info = yield page_requests
            if self._begins_again:
                self._begins_again = False
                paginator = self._plan.paginator(sequential=sequential)
                next(paginator, ())
            if page_info.is_end and not page_requests[-1].is_probe:
                return
            if self._plan.stops_at_cursor:
                self._check_order(page_info)
            self._is_cursor_reached = self._stops_at_cursor and self._reached_cursor(page_info)
            if limit.is_reached or self._is_cursor_reached:
                return
            try:
                with error_context(self._error_location()):
                    page_requests = paginator.send(page_info)
            except StopIteration:
                return
            finally:
                self._report_paging()

    def finish(self) -> None:
        """Check that the pages are all that the API reports, after the last one has been fetched."""
        paging = self._plan.paging
        is_cut = self._plan.read.limit is not None or paging.max_pages is not None or self._is_cursor_reached
        if not is_cut:
            with error_context(self._error_location()):
                self._tally.check(paging, self._source.paging_state)

    def _report_paging(self) -> None:
        detected = self._source.paging_state.detected
        if detected is not None and detected != self._source.reported_paging:
            self._source.reported_paging = detected
            self._source.use_paging(detected)
            self._source.detected_pagings[describe_paging(detected)] = None
            self._context.listeners.paging_detected(describe_paging(detected))

    def _check_order(self, page_info: PageInfo) -> None:
        """Read to the end if the cursor rises along the pages although the spec says ``order: desc``."""
        column = self._source.cursor_column
        if column is None or not page_info.rows:
            return
        last = self._source.comparable_cursor(page_info.last_value(column))
        first = self._source.comparable_cursor(row_value(page_info.rows[0], column))
        known = [value for value in (self._previous_cursor, first, last) if value is not None]
        if any(is_older(before, after) for before, after in pairwise(known)):
            self._stops_at_cursor = False
            self._source.paging_state.notes[
                f"incremental.order is desc, but {column} rises along the rows; every page is read"
            ] = None
        self._previous_cursor = last or self._previous_cursor

    def _reached_cursor(self, page_info: PageInfo) -> bool:
        column = self._source.cursor_column
        oldest = page_info.last_value(column) if column is not None else None
        oldest = self._source.comparable_cursor(oldest)
        since = self._scope.stop_cursor
        return oldest is not None and since is not None and is_older(oldest, since)

    def fetch_page(self, page_request: PageRequest, number: int) -> tuple[Page, PageInfo]:
        """Fetch the ``number``-th page of this read."""
        with error_context(self._error_location()):
            self._require_parent_values()
            if self._start is not None and number == 0:
                page_info = self._repeat_page(self._start)
                if page_info is not None:
                    position = PagePosition(self._scope.window.index, self._start.number, repeated=True)
                    return self._make_page((), {}, position), page_info
                self._begin_again()
                page_request, *_ = next(self._plan.paginator(sequential=True))
            return self._fetch_page(page_request, number + (self._start.number if self._start else 0))

    def _repeat_page(self, start: PagingStart) -> ResponsePageInfo | None:
        """Request the last page of the earlier read again; None if it is not the same any more."""
        assert self._scope.resume_at is not None
        repairs = self._source.repairs.copy()
        page_info = self._probe_page(start.page_request)
        self._source.repairs = repairs  # counted by the earlier read
        if page_info is None or rows_digest(page_info.rows) != self._scope.resume_at.digest:
            return None
        self._tally.add_counts(self._scope.resume_at.earlier_row_counts)
        self._tally.add_page(start.number, page_info, self._plan.paging, self._source.paging_state)
        return page_info

    def _begin_again(self) -> None:
        self._start, self._begins_again, self._first_row_count = None, True, 0

    def _fetch_page(self, page_request: PageRequest, number: int) -> tuple[Page, PageInfo]:
        response = self._fetch_response(page_request, number)
        if response.skipped and number > 0:
            self._check_missing_page(response, page_request, number)
        elif response.skipped:
            self._context.listeners.skipped(response.status)
        if response.skipped or response.status == 204:
            body = ResponseBody(b"{}", response.request_line)
        else:
            body = self._source.parse_response(response, is_first=number == 0)
        self._check_header_line(body, number)
        is_end = response.skipped and number > 0
        page_info = ResponsePageInfo(response, body, self._resolve_link, is_end=is_end)
        if not page_request.is_probe:
            self._check_end(response, number, is_end=is_end, has_rows=bool(page_info.rows))
            self._tally.add_page(number, page_info, self._plan.paging, self._source.paging_state)
        self._loop_guard.check_page(number, page_request, page_info, self._plan.paging, self._probe_page)
        rows = self._record_filter.filter_rows(body.rows) if not page_request.is_probe else ()
        values = self._computed_values(body)
        rows = self._source.expressions.apply(rows, values, self._variables)
        self._context.row_limit.count_rows(len(rows))
        if number == 0:
            self._first_row_count = page_info.row_count
        position = PagePosition(
            window=self._scope.window.index,
            number=number,
            request=self._describe_request(page_request, number),
            digest=rows_digest(body.rows),
            row_count=page_info.row_count,
            skipped=response.status if response.skipped and number == 0 else 0,
            repairs=body.repairs,
        )
        return self._make_page(rows, values, position), page_info

    def _make_page(self, rows: Sequence[bytes], values: Mapping[str, Scalar], position: PagePosition) -> Page:
        return Page(rows, values, self._scope.key, self._first_number + position.number, position=position)

    def _describe_request(self, page_request: PageRequest, number: int) -> str:
        """How a later read can go on behind this page; "" if it has to begin with the first one.

        A read that stops at a cursor depends on all pages before, and CSV on the first one. To request the
        first page again would save nothing.
        """
        needs_first_page = number == 0 or bool(self._csv_names)
        if needs_first_page or page_request.is_probe or self._plan.stops_at_cursor:
            return ""
        start = PagingStart(page_request, number, self._first_row_count)
        text = msgspec.json.encode(start).decode()
        return text if self._context.redact(text) == text else ""

    def _probe_page(self, page_request: PageRequest) -> ResponsePageInfo | None:
        """Fetch a page without keeping its rows; None if the API has no such page."""
        request = self._source.request_builder.build_request(self._variables, page_request)
        try:
            response = self._fetch(request, self._source.later_page_error_rules)
        except SourceError as error:
            if type(error) not in (SourceError, NotFound):
                raise  # the request failed for another reason
            return None
        if response.skipped or response.status == 204:
            return None
        try:
            return ResponsePageInfo(response, self._source.parse_response(response), self._resolve_link)
        except BadResponse:
            return None  # a message instead of rows

    def _fetch_response(self, page_request: PageRequest, number: int) -> Response:
        rules = self._source.later_page_error_rules if number else self._source.error_rules
        rules = (*(ErrorRule(status, "end") for status in page_request.end_statuses), *rules)
        while True:
            builder = self._source.request_builder
            request = builder.build_request(self._request_variables(number), page_request)
            try:
                return self._fetch(request, rules)
            except NotFound as error:
                if page_request.url is not None:
                    error.message += (
                        "; the address is a link of the page before; if the API is behind a gateway or "
                        "proxy, set paging.keep: address"
                    )
                if number or not self._source.switch_to_fallback(builder):
                    error.message += self._missing_parent_advice(error) + page_request.error_advice
                    raise
            except SourceError as error:
                error.message += page_request.error_advice
                raise

    def _request_variables(self, number: int) -> Mapping[str, Any]:  # noqa: ARG002 - see JobScopeReader
        return self._variables

    def _fetch(self, request: Request, rules: Sequence[ErrorRule]) -> Response:
        return self._context.client.fetch(request, rules, self._context.cancel_event)

    def _missing_parent_advice(self, error: NotFound) -> str:
        """Return the rules of the spec for a row of ``for_each`` that is deleted in the API."""
        each = self._source.table.for_each
        if each is None or not each.tables:
            return ""
        status = 410 if " returned 410" in error.message else 404
        return (
            f"; if the row of {' or '.join(each.tables)} is deleted there, add errors: [{{status: {status}, "
            "action: skip}] to the table, or for_each.refresh: before"
        )

    def _check_missing_page(self, response: Response, page_request: PageRequest, number: int) -> None:
        """Accept the end of the pages where the API has no page of this number.

        ``skip`` on a later page is the end of numbered pages if the page after it is missing as well, and
        nothing else says where the end is.
        """
        if self._source.ends_pages(response.status) or response.status in page_request.end_statuses:
            return
        positions = numbered_paginator(self._plan.paging)
        if positions is not None and self._source.skip_ends_pages(response.status):
            here = parse_integer(page_request.params.get(positions.param))
            if here is not None and self._probe_page(page_request_at(positions, here + 1)) is None:
                return
        raise NotFound(
            f"{response.request_line}: status {response.status} on page {number + 1}; "
            "errors: skip holds for the first page of a request only"
        )

    def _check_header_line(self, body: ResponseBody, number: int) -> None:
        """Raises BadResponse for a later page of CSV that begins with a row instead of the header line."""
        names = frozenset(body.csv_names)
        with self._lock:
            first = self._csv_names = names if number == 0 else self._csv_names
        if number and names and first and self._source.table.csv.header and first.isdisjoint(names):
            raise BadResponse(
                f"{body.address}: the header line of page {number + 1} has no column of page 1: "
                f"{', '.join(sorted(names))[:80]}; do only the first pages have a header line?"
            )

    def _check_end(self, response: Response, number: int, *, is_end: bool, has_rows: bool) -> None:
        """Raises NotFound if a page that does not exist is followed by one with rows (parallel requests)."""
        with self._lock:
            if is_end:
                self._end_number = min(number, self._end_number or number)
            elif has_rows:
                self._last_number = max(number, self._last_number)
            if self._end_number is None or self._last_number < self._end_number:
                return
        raise NotFound(
            f"{response.request_line}: page {self._end_number + 1} is missing, and page "
            f"{self._last_number + 1} has rows"
        )

    def _resolve_link(self, url: str, link: str) -> str:
        keep = self._plan.paging.keep == "address"
        return resolve_page_link(url, link, keep, self._context.client.is_allowed)

    def _require_parent_values(self) -> None:
        for name in template.variable_names(self._source.table.path):
            if name in self._parent and self._parent[name] is None:
                raise SourceError(f"for_each gives no value for {{{name}}}; add: where {name} is not null")

    def _computed_values(self, response_body: ResponseBody) -> dict[str, Scalar]:
        return {
            column.name: self._computed_value(column.source or "", response_body)
            for column in self._source.computed_columns
        }

    def _computed_value(self, source: str, response_body: ResponseBody) -> Scalar:
        if source.startswith("$"):
            return response_body.scalar(source.removeprefix("$").removeprefix("."))
        value: Scalar = template.render_value(source, self._variables)
        return value

    def _error_location(self) -> str:
        """``github.pulls for owner duckdb, repo lake``."""
        if not self._parent:
            return self._source.name
        used = {
            name: value
            for name, value in self._parent.items()
            if name in self._source.request_builder.variable_names
        }
        named = ", ".join(f"{name} {value}" for name, value in (used or self._parent).items())
        return f"{self._source.name} for {named}"


@contextmanager
def error_context(location: str) -> Iterator[None]:
    """Prefix the message of a SourceError with ``location``."""
    try:
        yield
    except SourceError as error:
        error.message = f"{location}: {error.message}"
        error.args = (error.message,)
        raise
