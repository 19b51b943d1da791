"""Fetches the first pages of a table: the request, the response, the rows and the request that follows.

Also describes the structure of a response, as a tree of lines.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, cast

from unify.adapters.base import Listeners, Page, ParentRow, Read, Traffic, UserPrompt
from unify.adapters.http.client import HttpClient
from unify.adapters.http.messages import Request, Response
from unify.adapters.paging.base import PageInfo, PageRequest, Paginator
from unify.adapters.rest.adapter import RESTAdapter
from unify.adapters.rest.read_plan import Scope
from unify.adapters.rest.scope_reader import ReadContext, ScopeReader
from unify.adapters.spec.model import AdapterSpec, ErrorRule, TableSpec
from unify.config.secrets import Secret
from unify.errors import UnifyError
from unify.redaction import Redactor


@dataclass(slots=True)
class Sample:
    """The first pages of a table, as far as they were read; ``failure`` is the error that ended it.

    ``plan``             what a read of the table requests, in lines.
    ``request``          as built from the spec, without credentials; ``redactor`` removes secrets from texts.
    ``response``         the first one.
    ``row_counts``       the number of rows in each response, before ``where``; ``rows_path`` is their path.
    ``detected_paging``  the result of ``paging: auto``.
    ``next_request``     the first request after these pages; None: the last one was the end.
    ``notes``            what a load would say in its ``reason``.
    """

    redactor: Redactor
    plan: Sequence[str] = ()
    request: Request | None = None
    traffic: list[Traffic] = field(default_factory=list)
    response: Response | None = None
    pages: list[Page] = field(default_factory=list)
    row_counts: list[int] = field(default_factory=list)
    rows_path: str = ""
    next_request: PageRequest | None = None
    detected_paging: str = ""
    notes: list[str] = field(default_factory=list)
    failure: UnifyError | None = None


def fetch_sample(
    spec: AdapterSpec,
    table: TableSpec,
    options: Mapping[str, str | Secret | None],
    parent: ParentRow | None = None,
    *,
    pages: int = 1,
    prompt: UserPrompt | None = None,
    redactor: Redactor | None = None,
) -> Sample:
    """Fetch the first ``pages`` of ``table``, for the row ``parent`` if it has a ``for_each``.

    ``prompt`` signs in if the API requires it, for this sample only. Errors are in ``Sample.failure``.
    """
    sample = Sample(redactor or Redactor())
    sample.redactor.add(*(value.reveal() for value in options.values() if isinstance(value, Secret)))
    try:
        with closing(_RecordingAdapter(spec, options, sample, pages)) as adapter:
            read = Read([parent] if parent else [], limit=_EVERY_ROW)
            sample.plan = adapter.describe_read(table.name, read)
            if prompt is not None and not adapter.is_signed_in():
                adapter.sign_in(prompt)
            with closing(adapter.pages(table.name, read)) as found:
                sample.pages += found
    except UnifyError as error:
        sample.failure = error
    return sample


_EVERY_ROW = 2**62  # a limit, so that pages are requested one after the other


class _RecordingAdapter(RESTAdapter):
    """An adapter that reads the first pages and records them in a sample."""

    def __init__(
        self, spec: AdapterSpec, options: Mapping[str, str | Secret | None], sample: Sample, pages: int
    ) -> None:
        listeners = Listeners(
            sample.traffic.append,
            paging_detected=lambda text: setattr(sample, "detected_paging", text),
            note=sample.notes.append,
        )
        super().__init__(spec, options, listeners=listeners, redactor=sample.redactor)
        self._client = cast("HttpClient", _RecordingClient(self._client, sample))
        self._sample = sample
        self._page_count = pages

    def make_reader(self, context: ReadContext, scope: Scope) -> ScopeReader:
        return _RecordingReader(context, scope, self._sample, self._page_count)


class _RecordingReader(ScopeReader):
    """A reader that stops after some pages, and records what follows them."""

    def __init__(self, context: ReadContext, scope: Scope, sample: Sample, pages: int) -> None:
        super().__init__(context, scope)
        self._sample = sample
        self._page_count = pages

    def paginate(self) -> Paginator:
        paginator = super().paginate()
        page_requests = next(paginator, ())
        while page_requests:
            page_info = yield page_requests
            try:
                page_requests = paginator.send(page_info)
            except StopIteration:
                page_requests = ()
            self._sample.next_request = page_requests[0] if page_requests else None
            if len(self._sample.row_counts) >= self._page_count:
                return

    def fetch_page(self, page_request: PageRequest, number: int) -> tuple[Page, PageInfo]:
        page, page_info = super().fetch_page(page_request, number)
        if not page_request.is_probe:
            self._sample.row_counts.append(page_info.row_count)
            self._sample.rows_path = self._sample.rows_path or page_info.rows_path
        return page, page_info


class _RecordingClient:
    """An HTTP client that records its first request and response in a sample."""

    def __init__(self, inner: HttpClient, sample: Sample) -> None:
        self._inner = inner
        self._sample = sample

    def fetch(
        self, request: Request, rules: Sequence[ErrorRule] = (), stop: threading.Event | None = None
    ) -> Response:
        self._sample.request = self._sample.request or request
        response = self._inner.fetch(request, rules, stop)
        self._sample.response = self._sample.response or response
        return response

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


Json = Any  # a JSON value: dict, list, str, int, float, bool or None

MAX_DEPTH = 6
MAX_MEMBERS = 60  # of one object
MAX_ITEMS = 50  # of a list


def describe_shape(value: Json) -> Iterator[str]:
    """The members of a value with their types, indented: ``items: list of 30, each object``."""
    yield from _shape_lines("response", [value], 0)


def _shape_lines(name: str, values: Sequence[Json], depth: int) -> Iterator[str]:
    """Lines for the ``values`` that a member has in a list of objects."""
    indent = "  " * depth
    objects = [value for value in values if isinstance(value, dict)]
    lists = [value for value in values if isinstance(value, list)]
    items = [item for each in lists for item in each[:MAX_ITEMS]]
    yield f"{indent}{name}: {_type_summary(values, lists, items)}"
    if depth >= MAX_DEPTH:
        return
    inside = objects or [item for item in items if isinstance(item, dict)]
    members = list(dict.fromkeys(key for each in inside for key in each))
    for key in members[:MAX_MEMBERS]:
        yield from _shape_lines(key, [each[key] for each in inside if key in each], depth + 1)
    if len(members) > MAX_MEMBERS:
        yield f"{indent}  … and {len(members) - MAX_MEMBERS} more members"


def _type_summary(values: Sequence[Json], lists: Sequence[list[Json]], items: Sequence[Json]) -> str:
    """``string or null``, ``list of 30, each object``."""
    kinds = dict.fromkeys(_type_name(value) for value in values if not isinstance(value, list))
    if lists:
        each = " or ".join(dict.fromkeys(_type_name(item) for item in items)) or "nothing"
        longest = max(len(found) for found in lists)
        kinds[f"list of {longest:,}, each {each}" if longest else "empty list"] = None
    return " or ".join(kinds)


def _type_name(value: Json) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "list"
        case _:
            return "object"
