"""Differential fuzzing of pagination: random envelopes, read with detected and with explicit paging.

A read returns every row of the server, or fails and names the paging hint. The test id contains the seed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from msgspec.structs import replace

from tests.support.rest_tables import table
from unify.adapters.formats.body import RecordSelector, ResponseBody
from unify.adapters.formats.records import parse_body
from unify.adapters.http.messages import Response
from unify.adapters.paging.base import PageRequest, PagingState
from unify.adapters.paging.loop_guard import LoopGuard
from unify.adapters.paging.paginators import make_paginator
from unify.adapters.rest.response_page import ResponsePageInfo
from unify.adapters.rest.table_source import TableSource
from unify.adapters.spec.model import AdapterSpec
from unify.adapters.spec.paging import Paging
from unify.errors import BadResponse

MAX_REQUESTS = 200
Json = Any


@dataclass
class FuzzedAPI:
    """An API with one random style of pagination."""

    rows: list[dict[str, Json]]
    size: int
    style: str
    container: tuple[str, ...]  # objects around the paging members
    names: Mapping[str, str]
    rows_path: tuple[str, ...]
    texts: bool  # numbers and flags are strings
    in_header: bool
    extras: Mapping[str, Json]
    param: str

    def respond(self, params: Mapping[str, Any]) -> tuple[bytes, dict[str, str]]:
        at = self._position(params)
        page = self.rows[at : at + self.size]
        members = self._members(at, page)
        headers = (
            {"X-" + name.replace("_", "-"): str(value) for name, value in members.items()}
            if self.in_header
            else {}
        )
        body: dict[str, Json] = dict(self.extras)
        _put(body, self.rows_path, page)
        if not self.in_header:
            for name, value in members.items():
                _put(body, (*self.container, name), value)
        return json.dumps(body).encode(), headers

    def _position(self, params: Mapping[str, Any]) -> int:
        value = params.get(self.param)
        if value is None:
            return 0
        match self.style:
            case "page" | "pages" | "next_page":
                return max(int(value) - int(self.names["first"]), 0) * self.size
            case "offset" | "offset_more":
                return int(value)
            case _:
                return int(str(value).removeprefix("c")) if str(value).startswith("c") else 0

    def _members(self, at: int, page: list[Json]) -> dict[str, Json]:
        names, end = self.names, at + self.size >= len(self.rows)
        number = at // self.size + int(names["first"])
        following = at + self.size
        members: dict[str, Json] = {}
        match self.style:
            case "cursor":
                members[names["cursor"]] = None if end else f"c{following}"
            case "next_url":
                members[names["url"]] = None if end else f"/things?{self.param}=c{following}"
            case "page":
                members = {names["page"]: number, names["total"]: len(self.rows), names["size"]: self.size}
            case "pages":
                members = {names["page"]: number, names["pages"]: max(-(-len(self.rows) // self.size), 1)}
            case "next_page":
                members[names["next_page"]] = None if end else number + 1
            case "offset":
                members = {names["offset"]: at, names["total"]: len(self.rows), names["size"]: self.size}
            case "offset_more":
                members = {names["offset"]: at, names["size"]: self.size, names["more"]: not end}
            case "more":
                members[names["more"]] = not end
            case "last":
                members[names["last"]] = end
            case "total":
                members[names["total"]] = len(self.rows)
            case "size":
                members[names["size"]] = self.size
            case "unknown_next":
                members[names["unknown"]] = None if end else f"c{following}"
        if self.style in ("cursor", "next_url", "next_page") and names["flagged"]:
            members[names["more"]] = not end
        if self.texts:
            members = {
                name: value if value is None else str(value).lower() for name, value in members.items()
            }
        return {name: value for name, value in members.items() if value is not None or names["nulls"]}


def _put(body: dict[str, Json], path: tuple[str, ...], value: Json) -> None:
    for name in path[:-1]:
        body = body.setdefault(name, {})
    body[path[-1]] = value


STYLES = [
    "cursor",
    "next_url",
    "page",
    "pages",
    "next_page",
    "offset",
    "offset_more",
    "more",
    "last",
    "total",
    "size",
    "unknown_next",
    "none",
]
CURSORS = {
    "next_cursor": "cursor",
    "nextPageToken": "pageToken",
    "next_page_token": "page_token",
    "nextToken": "nextToken",
    "end_cursor": "after",
    "continuationToken": "continuationToken",
    "bookmark": "bookmark",
    "scroll_id": "scroll_id",
    "next_marker": "marker",
    "cursor": "cursor",
}
FLAGS = [
    "has_more",
    "hasMore",
    "hasNext",
    "more",
    "has_next_page",
    "moreResults",
    "isTruncated",
    "more_available",
    "exceededLimit",
]
LASTS = ["isLast", "last", "done", "is_last_page", "complete", "endOfRecords", "end_of_stream", "finished"]
TOTALS = [
    "total",
    "total_count",
    "totalResults",
    "totalElements",
    "numFound",
    "found",
    "total_items",
    "hits",
    "count",
]
SIZES = ["per_page", "limit", "pageSize", "hitsPerPage", "page_size", "maxResults"]
URLS = ["next", "next_url", "nextPageUrl", "@odata.nextLink", "next_page_url", "nextLink"]
UNKNOWN = [
    "next_batch_pointer",
    "nextChunkRef",
    "continueFrom",
    "moreToken",
    "next_slice_handle",
    "resumptionTokenValue",
]
CONTAINERS: list[tuple[str, ...]] = [
    (),
    ("meta",),
    ("paging",),
    ("pagination",),
    ("meta", "pagination"),
    ("response_metadata",),
    ("info",),
    ("page_info",),
    ("data", "paging"),
]
EXTRAS: list[Mapping[str, Json]] = [
    {},
    {"status": "ok"},
    {"errors": []},
    {"included": [{"id": 90}, {"id": 91}, {"id": 92}]},
    {"took": 12},
    {"request_id": "r1", "version": 2},
    {"user": {"id": 4, "followers_count": 900, "token": "t"}},
    {"links": {"self": "/things"}},
    {"rate": {"limit": 60, "remaining": 59}},
]


def make_api(chance: random.Random) -> FuzzedAPI:
    style = chance.choice(STYLES)
    size = chance.choice([1, 2, 3, 5, 7])
    pages = 1 if style == "none" else chance.choice([1, 2, 3, 4])
    count = chance.randint(0, size) if pages == 1 else chance.randint(size * (pages - 1) + 1, size * pages)
    if style == "none":
        size = max(count, 1)
    cursor = chance.choice(sorted(CURSORS))
    names = {
        "cursor": cursor,
        "more": chance.choice(FLAGS),
        "last": chance.choice(LASTS),
        "total": chance.choice(TOTALS),
        "size": chance.choice(SIZES),
        "url": chance.choice(URLS),
        "page": chance.choice(["page", "current_page", "currentPage"]),
        "pages": chance.choice(["total_pages", "totalPages", "page_count", "pages"]),
        "next_page": chance.choice(["next_page", "nextPage"]),
        "offset": chance.choice(["offset", "start", "startAt", "skip"]),
        "unknown": chance.choice(UNKNOWN),
        "first": chance.choice(["0", "1"]),
        "flagged": chance.choice(["", "yes"]),
        "nulls": chance.choice(["", "yes"]),
    }
    if style == "next_page":
        names["first"] = "1"
    param = {"cursor": CURSORS[cursor], "offset": names["offset"], "offset_more": names["offset"]}.get(
        style, "page"
    )
    if style == "next_url":
        param = "p"
    rows_path = chance.choice(
        [("items",), ("data",), ("results",), ("data", "items"), ("response", "things"), ("things",)]
    )
    container = chance.choice(CONTAINERS)
    if container[:1] == rows_path[:1]:
        container = ()
    members: Mapping[str, Json] = chance.choice(
        [{}, {"next": "https://x/1", "has_more": True, "total": 99, "token": "t"}, {"tags": [{"a": 1}]}]
    )
    return FuzzedAPI(
        rows=[{"id": n, **members} for n in range(count)],
        size=size,
        style=style,
        container=container,
        names=names,
        rows_path=rows_path,
        texts=chance.random() < 0.2,
        in_header=False,
        extras=chance.choice(EXTRAS),
        param=param,
    )


def explicit_paging(api: FuzzedAPI) -> Paging | None:
    """Return the paging that a spec declares for this style, or None if there is none."""
    names, at = api.names, ".".join((*api.container, ""))
    first = int(names["first"])
    match api.style:
        case "cursor":
            return Paging("cursor", cursor_path=at + names["cursor"], cursor_param=api.param)
        case "next_url":
            return Paging("next_url", path=at + names["url"])
        case "page":
            return Paging("page", first=first, total_path=at + names["total"])
        case "pages":
            return Paging("page", first=first, pages_path=at + names["pages"])
        case "next_page":
            return Paging("cursor", cursor_path=at + names["next_page"], cursor_param="page")
        case "offset":
            return Paging("offset", offset_param=api.param, total_path=at + names["total"])
        case "offset_more":
            return Paging("offset", offset_param=api.param, more_path=at + names["more"])
        case "none":
            return Paging("none")
        case _:
            return None


def read_all(api: FuzzedAPI, paging: Paging, rows: str | None, *, keyed: bool, parallel: bool) -> list[Json]:
    """Return every row, read with the paginators of the adapter and without a network."""
    spec = AdapterSpec("api", "api.yaml", "http://api", tables=())
    things = table("things", paging=paging, rows=rows, key=("id",) if keyed else ())
    source = TableSource("api", spec, things, {})
    state, guard = source.paging_state, LoopGuard(source.paging_state)
    fetch = _fetcher(api, source)
    paginator = make_paginator(paging, state, sequential=not parallel)
    read: list[Json] = []
    number = -1
    requests = next(paginator)
    while True:
        for request in requests:
            number += 1
            assert number < MAX_REQUESTS, "it does not end"
            info = fetch(request)
            guard.check_page(number, request, info, state.detected or paging, fetch)
            if not request.is_probe:
                read += [json.loads(row) for row in info.rows]
        try:
            requests = paginator.send(info)
        except StopIteration:
            return read


def _fetcher(api: FuzzedAPI, source: TableSource) -> Callable[[PageRequest], ResponsePageInfo]:
    def fetch(request: PageRequest) -> ResponsePageInfo:
        if request.url is None:
            params: Mapping[str, Any] = request.params
        else:
            params = dict(pair.split("=") for pair in request.url.partition("?")[2].split("&"))
        body, headers = api.respond(params)
        response = Response(200, headers, body, "http://api/things", "GET http://api/things")
        parsed: ResponseBody = source.parse_response(response)
        return ResponsePageInfo(response, parsed)

    return fetch


def assert_rows_or_hint(seed: int) -> None:
    chance = random.Random(seed)
    api = make_api(chance)
    keyed, parallel = chance.random() < 0.5, chance.random() < 0.5
    rows_path = ".".join(api.rows_path) if chance.random() < 0.6 or not api.rows else None
    explicit = explicit_paging(api)
    if explicit is not None:
        assert read_all(api, explicit, rows_path, keyed=keyed, parallel=parallel) == api.rows, (seed, api)
    try:
        found = read_all(api, Paging(), rows_path, keyed=keyed, parallel=parallel)
    except BadResponse as error:
        named = any(name and name in error.message for name in api.names.values())
        outcome = "hint named" if named else error.message
    else:
        outcome = "whole" if found == api.rows else f"{len(found)} of {len(api.rows)} rows"
    assert outcome in ("hint named", "whole"), (seed, api)


@pytest.mark.parametrize("seed", range(0, 400, 20))
def test_a_read_returns_every_row_or_names_the_paging_hint(seed: int) -> None:
    for each in range(seed, seed + 20):
        assert_rows_or_hint(each)


@pytest.mark.slow
def test_five_thousand_rounds_lose_no_row_silently() -> None:
    for seed in range(10_000, 15_000):
        assert_rows_or_hint(seed)


@dataclass
class CappingAPI:
    """Numbered pages of a server that removes rows after it has cut the pages, or counts too few.

    ``beyond``  what it sends behind the last page: nothing, an error, the last page or the first one.
    """

    rows: list[dict[str, Json]]
    size: int
    largest: int  # rows of a page, whatever is requested
    hidden: frozenset[int]
    beyond: str
    count: str  # the member with a count: total, pages, or none
    counted: int
    by_offset: bool

    def respond(self, request: PageRequest) -> tuple[int, bytes]:
        size = min(self.size, self.largest)
        number = int(request.params["number"])
        at = number if self.by_offset else (number - 1) * size
        if at >= len(self.rows) and self.beyond == "error":
            return 404, b"{}"
        if at >= len(self.rows) and self.beyond in ("first", "last"):
            at = 0 if self.beyond == "first" else (len(self.rows) - 1) // size * size
        page = [row for row in self.rows[at : at + size] if row["id"] not in self.hidden]
        counts = {"total": self.counted, "pages": -(-self.counted // size)}
        return 200, json.dumps(
            {"items": page, **({self.count: counts[self.count]} if self.count else {})}
        ).encode()

    @property
    def visible(self) -> list[dict[str, Json]]:
        return [row for row in self.rows if row["id"] not in self.hidden]

    def paging(self) -> Paging:
        made = Paging("offset" if self.by_offset else "page", size_param="limit", size=self.size)
        found = replace(made, offset_param="number", page_param="number")
        return replace(found, **{f"{self.count}_path": self.count}) if self.count else found


def make_capping_api(chance: random.Random) -> CappingAPI:
    """No page is without a row: an empty page ends the pages if no short one came before."""
    size, pages = chance.choice([2, 3, 5, 10]), chance.randint(1, 6)
    count = chance.randint(size * (pages - 1) + 1, size * pages)
    by_offset = chance.random() < 0.5
    rate = chance.choice([0.0, 0.0, 0.2, 0.5])
    first_page = range(size)  # of hidden rows on it, an offset cannot be told from a smaller page size
    hidden = {
        n for n in range(count) if n % size and chance.random() < rate and not (by_offset and n in first_page)
    }
    counts = chance.choice(["", "", "total", "pages" if not by_offset else "total"])
    low = size * chance.randint(1, pages)
    return CappingAPI(
        rows=[{"id": n} for n in range(count)],
        size=size,
        largest=chance.choice([size, size, 2]) if not hidden else size,
        hidden=frozenset(hidden),
        beyond=chance.choice(["nothing", "error", "first", "last"]) if not counts else "nothing",
        count=counts,
        counted=count if hidden else chance.choice([count, min(low, count)]),
        by_offset=by_offset,
    )


def read_numbered(api: CappingAPI, *, keyed: bool, parallel: bool) -> list[Json]:
    paging, state = api.paging(), PagingState(has_key=keyed)
    paginator, guard = make_paginator(paging, state, sequential=not parallel), LoopGuard(state)
    read: list[Json] = []
    requests, number = next(paginator), -1
    while True:
        for request in requests:
            number += 1
            assert number < MAX_REQUESTS, "it does not end"
            info = _fetch_numbered(api, request)
            guard.check_page(number, request, info, paging, lambda probe: _fetch_numbered(api, probe))
            if not request.is_probe:
                read += [json.loads(row) for row in info.rows]
        try:
            requests = paginator.send(info)
        except StopIteration:
            break
    return list({row["id"]: row for row in read}.values()) if keyed else read


def _fetch_numbered(api: CappingAPI, request: PageRequest) -> ResponsePageInfo:
    status, body = api.respond(request)
    if status != 200 and status not in request.end_statuses:
        raise BadResponse(f"paging: status {status}")
    response = Response(status, {}, body, "http://api/things", "GET http://api/things")
    parsed = parse_body(body if status == 200 else b'{"items":[]}', "", RecordSelector("items"), "GET x")
    return ResponsePageInfo(response, parsed, is_end=status != 200)


def assert_numbered_pages_are_whole(seed: int) -> None:
    chance = random.Random(seed)
    api = make_capping_api(chance)
    keyed, parallel = chance.random() < 0.5, chance.random() < 0.5
    try:
        outcome: object = read_numbered(api, keyed=keyed, parallel=parallel)
    except BadResponse as error:
        outcome = error.message if api.beyond == "nothing" else "told"
    assert outcome in ("told", api.visible), (seed, api)


@pytest.mark.parametrize("seed", range(0, 2000, 200))
def test_short_pages_and_low_counts_lose_no_row(seed: int) -> None:
    for each in range(seed, seed + 200):
        assert_numbered_pages_are_whole(each)


@pytest.mark.slow
def test_twenty_thousand_rounds_of_short_pages_and_low_counts_lose_no_row() -> None:
    for seed in range(10_000, 30_000):
        assert_numbered_pages_are_whole(seed)
