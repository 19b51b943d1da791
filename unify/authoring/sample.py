"""One page of a table with everything about it: request, answer, rows, and what would come next.

What an answer is made of: its members with their types, as a tree of lines for whoever writes a spec.
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
from unify.errors import UnifyError
from unify.redaction import Redactor


@dataclass(slots=True)
class Sample:
    """What was found out, as far as it went. ``failure`` is what ended it early.

    ``request``  as the spec made it, without proof of who asks; ``redactor`` takes secrets out of its texts.
    ``rows``     how many the answer has, before ``where``; ``place`` is the path they are at.
    ``detected_paging``   what ``paging: auto`` has found out.
    ``more``     the first request of the next pages; None: there is none.
    """

    redactor: Redactor
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
    """Ask for the first page of ``table``, of one parent row where it has any. Never raises SourceError.

    ``person``  signs in where the API wants that; it holds for this sample alone.
    """
    sample = Sample(redactor or Redactor())
    sample.redactor.add(*(value.reveal() for value in options.values() if isinstance(value, Secret)))
    try:
        with closing(_RecordingAdapter(spec, options, sample)) as adapter:
            if prompt is not None and not adapter.is_signed_in():
                adapter.sign_in(prompt)
            with closing(adapter.pages(table.name, Read([parent] if parent else [], limit=1))) as pages:
                sample.page = next(pages, None)
        if sample.response is not None and not sample.response.skipped:
            _inspect_response(spec, table, sample, sample.response)
    except UnifyError as error:
        sample.failure = error
    return sample


def _inspect_response(spec: AdapterSpec, table: TableSpec, sample: Sample, response: Response) -> None:
    kind = response.headers.get("content-type", "")
    envelope = parse_body(
        response.body, kind, RecordSelector(table.rows, table.format, table.name), response.request_line
    )
    sample.rows, sample.rows_path = len(envelope.rows), envelope.rows_path
    evidence = PagingState()
    sample.next_request = _next_page_request(spec, table, ResponsePageInfo(response, envelope), evidence)
    sample.detected_paging = describe_paging(evidence.detected) if evidence.detected is not None else ""


def _next_page_request(
    spec: AdapterSpec, table: TableSpec, page_info: ResponsePageInfo, paging_state: PagingState
) -> PageRequest | None:
    turns = make_paginator(table.paging or spec.paging, paging_state, sequential=True)
    next(turns)
    try:
        following: Sequence[PageRequest] = turns.send(page_info)
    except StopIteration:
        return None
    return following[0] if following else None


class _RecordingAdapter(RESTAdapter):
    """The adapter, with a note of what goes through its door."""

    def __init__(self, spec: AdapterSpec, options: Mapping[str, str | Secret | None], sample: Sample) -> None:
        listeners = Listeners(sample.traffic.append)
        super().__init__(spec, options, listeners=listeners, redactor=sample.redactor)
        self._client = cast("HttpClient", _RecordingClient(self._client, sample))


class _RecordingClient:
    """The transport, noting the first request and its answer."""

    def __init__(self, inner: HttpClient, sample: Sample) -> None:
        self._inner = inner
        self._sample = sample

    def fetch(
        self, request: Request, rules: Sequence[ErrorRule] = (), stop: threading.Event | None = None
    ) -> Response:
        self._sample.request = self._sample.request or request
        answer = self._inner.fetch(request, rules, stop)
        self._sample.response = self._sample.response or answer
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


Json = Any  # a JSON value: dict, list, str, int, float, bool or None

MAX_DEPTH = 6
MAX_MEMBERS = 60  # of one object
MAX_ITEMS = 50  # of a list, looked at to know its items


def describe_shape(value: Json) -> Iterator[str]:
    """``items: list of 30, each``, and indented below it what each is made of."""
    yield from _shape_lines("answer", [value], 0)


def _shape_lines(name: str, values: Sequence[Json], depth: int) -> Iterator[str]:
    """``values`` are what stands under ``name`` in several objects of one kind."""
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
    """``text or null``, ``list of 30 objects``."""
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
            return "text"
        case list():
            return "list"
        case _:
            return "object"
