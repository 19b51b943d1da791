"""Fetches one page of a table: the request, the response, its rows and the request of the next page.

Also describes the structure of a response, as a tree of lines.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, cast

from unify.adapters.base import Listeners, Page, ParentRow, Read, Traffic, UserPrompt
from unify.adapters.formats.records import RecordSelector, parse_body
from unify.adapters.http.client import HttpClient
from unify.adapters.http.messages import Request, Response
from unify.adapters.paging.base import PageRequest, PagingState
from unify.adapters.paging.detect import describe_paging
from unify.adapters.paging.paginators import make_paginator
from unify.adapters.rest.adapter import RESTAdapter
from unify.adapters.rest.scope_reader import ResponsePageInfo
from unify.adapters.spec.model import AdapterSpec, ErrorRule, TableSpec
from unify.config.secrets import Secret
from unify.config.settings import DEFAULT_WORKER_MEMORY_BYTES
from unify.errors import UnifyError
from unify.fs.memory import limit_memory
from unify.redaction import Redactor


@dataclass(slots=True)
class Sample:
    """The first page of a table, as far as it was read; ``failure`` is the error that ended it.

    ``plan``             what a read of the table requests, in lines.
    ``request``          as built from the spec, without credentials; ``redactor`` removes secrets from texts.
    ``rows``             the number of rows in the response, before ``where``; ``rows_path`` is their path.
    ``detected_paging``  the result of ``paging: auto``.
    ``next_request``     the first request of the next pages; None: this is the last page.
    """

    redactor: Redactor
    plan: Sequence[str] = ()
    request: Request | None = None
    traffic: list[Traffic] = field(default_factory=list)
    response: Response | None = None
    page: Page | None = None
    rows: int = 0
    rows_path: str = ""
    next_request: PageRequest | None = None
    detected_paging: str = ""
    failure: UnifyError | None = None


def fetch_sample(
    spec: AdapterSpec,
    table: TableSpec,
    options: Mapping[str, str | Secret | None],
    parent: ParentRow | None = None,
    *,
    prompt: UserPrompt | None = None,
    redactor: Redactor | None = None,
) -> Sample:
    """Fetch the first page of ``table``, for the row ``parent`` if it has a ``for_each``.

    ``prompt`` signs in if the API requires it, for this sample only. Errors are in ``Sample.failure``.
    """
    sample = Sample(redactor or Redactor())
    sample.redactor.add(*(value.reveal() for value in options.values() if isinstance(value, Secret)))
    try:
        with (
            limit_memory(DEFAULT_WORKER_MEMORY_BYTES, spec.name),
            closing(_RecordingAdapter(spec, options, sample)) as adapter,
        ):
            read = Read([parent] if parent else [], limit=1)
            sample.plan = adapter.describe_read(table.name, read)
            if prompt is not None and not adapter.is_signed_in():
                adapter.sign_in(prompt)
            with closing(adapter.pages(table.name, read)) as pages:
                sample.page = next(pages, None)
        if sample.response is not None and not sample.response.skipped:
            _inspect_response(spec, table, sample, sample.response)
    except UnifyError as error:
        sample.failure = error
    return sample


def _inspect_response(spec: AdapterSpec, table: TableSpec, sample: Sample, response: Response) -> None:
    selector = RecordSelector(table.rows, table.format, table.name)
    body = parse_body(
        response.body, response.headers.get("content-type", ""), selector, response.request_line
    )
    sample.rows, sample.rows_path = len(body.rows), body.rows_path
    state = PagingState()
    sample.next_request = _next_page_request(spec, table, ResponsePageInfo(response, body), state)
    sample.detected_paging = describe_paging(state.detected) if state.detected is not None else ""


def _next_page_request(
    spec: AdapterSpec, table: TableSpec, page_info: ResponsePageInfo, state: PagingState
) -> PageRequest | None:
    paginator = make_paginator(table.paging or spec.paging, state, sequential=True)
    next(paginator)
    try:
        requests: Sequence[PageRequest] = paginator.send(page_info)
    except StopIteration:
        return None
    return requests[0] if requests else None


class _RecordingAdapter(RESTAdapter):
    """An adapter that records its traffic in a sample."""

    def __init__(self, spec: AdapterSpec, options: Mapping[str, str | Secret | None], sample: Sample) -> None:
        listeners = Listeners(sample.traffic.append)
        super().__init__(spec, options, listeners=listeners, redactor=sample.redactor)
        self._client = cast("HttpClient", _RecordingClient(self._client, sample))


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
