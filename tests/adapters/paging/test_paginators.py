"""Paginators: the next request follows from the page, without a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

import msgspec
import pytest
from msgspec.structs import replace

from unify.adapters.formats.body import ResponseBody
from unify.adapters.formats.locate import last_value
from unify.adapters.formats.outside import outside_members
from unify.adapters.paging.base import Member, PageRequest, PagingState, known_page_count
from unify.adapters.paging.detect import detect_paging
from unify.adapters.paging.links import parse_link_header
from unify.adapters.paging.paginators import make_paginator
from unify.adapters.spec.paging import Paging
from unify.errors import BadResponse

HERE = "http://api/things?page=1"


@dataclass
class FakePageInfo:
    """A page as a paginator sees it: rows, body and headers."""

    rows: Sequence[bytes] = ()
    body_bytes = 0
    body: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def value(self, path: str) -> Any:
        return ResponseBody(msgspec.json.encode(self.body), "GET /").value(path)

    is_end = False
    is_partial = False
    rows_path = ""

    @property
    def row_count(self) -> int:
        return len(self.rows)

    def outside(self) -> Sequence[Member]:
        return outside_members(msgspec.json.encode(self.body), "rows")

    def links(self) -> Mapping[str, str]:
        return {
            rel: self.absolute_url(url)
            for rel, url in parse_link_header(self.headers.get("link", "")).items()
        }

    def last_value(self, column: str) -> str | None:
        return last_value(self.rows, column)

    def absolute_url(self, link: str) -> str:
        return urljoin(HERE, link)


_ids = iter(range(10**9))


def page(rows: int, body: Mapping[str, Any] | None = None, **headers: str) -> FakePageInfo:
    """Return a page of this number of rows, each with another id."""
    return FakePageInfo([b'{"id":%d}' % next(_ids) for _ in range(rows)], body or {}, headers)


def read_batches(
    paging: Paging,
    respond: Callable[[int, PageRequest], FakePageInfo],
    evidence: PagingState | None = None,
    *,
    sequential: bool = False,
) -> list[list[PageRequest]]:
    """Return the requests of a paginator in batches; ``respond`` receives the number of each, from 0."""
    steps = make_paginator(paging, evidence, sequential=sequential)
    batches: list[list[PageRequest]] = []
    number = -1
    requests = next(steps)
    while True:
        batches.append(list(requests))
        assert len(batches) < 100, "it does not end"
        for request in requests:
            number += 1
            page_info = respond(number, request)
        try:
            requests = steps.send(page_info)
        except StopIteration:
            return batches


def values(batches: list[list[PageRequest]], name: str) -> list[Any]:
    return [request.params.get(name) for batch in batches for request in batch]


def pages_of(*counts: int) -> Callable[[int, PageRequest], FakePageInfo]:
    return lambda number, _request: page(counts[number] if number < len(counts) else 0)


class TestPage:
    paging = Paging("page", size_param="per_page", size=3)

    def test_continues_until_an_empty_page(self) -> None:
        batches = read_batches(Paging("page"), pages_of(3, 3, 1))
        assert values(batches, "page") == [1, 2, 3, 4]
        assert values(batches, "per_page") == [None] * 4

    def test_the_page_after_a_short_one_is_inspected(self) -> None:
        batches = read_batches(self.paging, pages_of(3, 2))
        assert values(batches, "page") == [1, 2, 3]
        assert [request.is_probe for [request] in batches] == [False, False, True]

    def test_a_short_page_is_the_last_if_the_spec_says_so(self) -> None:
        paging = replace(self.paging, short_page="ends")
        assert values(read_batches(paging, pages_of(3, 2)), "page") == [1, 2]

    def test_after_short_pages_within_the_pages_only_empty_ones_are_the_end(self) -> None:
        counts, state = [3, 2, 3, 1, 0, 2], PagingState()
        respond = lambda _, request: page(([*counts, 0, 0, 0])[int(request.params["page"]) - 1])  # noqa: E731
        batches = read_batches(self.paging, respond, state)
        assert values(batches, "page") == [1, 2, 3, 3, 4, 5, 6, 7, 8, 9]
        assert sum(request.is_probe for [request] in batches) == 1
        assert values(read_batches(self.paging, respond, state), "page") == [1, 2, 3, 4, 5, 6, 7, 8, 9]
        assert list(state.notes) == [
            "pages before the last one have fewer rows than paging.size; reading ends at empty pages"
        ]

    @pytest.mark.parametrize("again", [0, 1])
    def test_a_page_that_repeats_after_a_short_one_is_not_read(self, again: int) -> None:
        pages = [page(3), page(2)]
        batches = read_batches(self.paging, lambda n, _: pages[n] if n < 2 else pages[again])
        assert values(batches, "page") == [1, 2, 3]

    def test_a_page_after_a_short_one_need_not_exist(self) -> None:
        batches = read_batches(self.paging, pages_of(3, 2))
        assert {400, 404, 422} <= set(batches[-1][0].end_statuses)

    def test_a_short_first_page_may_mean_a_smaller_page_size(self) -> None:
        batches = read_batches(self.paging, pages_of(2, 2, 1))
        assert values(batches, "page") == [1, 2, 3, 4]
        assert values(batches, "per_page") == [3] * 4

    def test_scopes_share_the_known_page_size(self) -> None:
        evidence = PagingState()
        paging = replace(self.paging, short_page="ends")
        read_batches(paging, pages_of(3, 1), evidence)

        assert values(read_batches(paging, pages_of(2), evidence), "page") == [1]

    def test_the_first_page_can_be_number_zero(self) -> None:
        assert values(read_batches(Paging("page", page_param="p", first=0), pages_of(1, 1)), "p") == [0, 1, 2]

    def test_a_more_flag_decides(self) -> None:
        paging = Paging("page", more_path="meta.more", size=3, size_param="n")
        respond = lambda number, _: page((1, 0, 2)[number], {"meta": {"more": number < 2}})  # noqa: E731
        assert values(read_batches(paging, respond), "page") == [1, 2, 3]

    def test_a_known_number_of_pages_is_fetched_in_parallel(self) -> None:
        paging = Paging("page", pages_path="pages")
        batches = read_batches(paging, lambda number, _: page((2, 2, 2, 2, 1)[number], {"pages": 5}))
        assert [len(batch) for batch in batches] == [1, 4]
        assert values(batches, "page") == [1, 2, 3, 4, 5]

    def test_a_total_of_rows_determines_the_number_of_pages(self) -> None:
        paging = Paging("page", total_path="total", size_param="n", size=10)
        respond = lambda number, _: page((4, 4, 2)[number], {"total": 10})  # noqa: E731
        assert [len(batch) for batch in read_batches(paging, respond)] == [1, 2]

    def test_a_very_large_total_is_requested_in_batches(self) -> None:
        paging = Paging("page", pages_path="pages")
        respond = lambda number, _: page(2 if number < 5 else 0, {"pages": 10**30})  # noqa: E731
        batches = read_batches(paging, respond)
        assert [len(batch) for batch in batches] == [1, 1000]
        pages = make_paginator(paging)
        next(pages)
        assert known_page_count(pages.send(page(2, {"pages": 10**30}))) == 10**30 - 1

    def test_a_total_below_the_rows_received_is_ignored(self) -> None:
        respond = lambda number, _: page((10, 10, 5, 0)[number], {"total": 12})  # noqa: E731
        assert values(read_batches(Paging("page", total_path="total"), respond), "page") == [1, 2, 3, 4]
        assert values(read_batches(Paging("offset", total_path="total"), respond), "offset") == [
            0,
            10,
            20,
            25,
        ]

    def test_a_link_to_the_last_page_determines_the_number_of_pages(self) -> None:
        def respond(number: int, _request: PageRequest) -> FakePageInfo:
            link = (
                '</t?page=2>; rel="next", </t?page=4>; rel="last"'
                if number < 3
                else '</t?page=3>; rel="prev"'
            )
            return page(2, link=link)

        assert [len(batch) for batch in read_batches(Paging("page"), respond)] == [1, 3]

    def test_pages_added_during_the_read_are_fetched(self) -> None:
        paging = Paging("page", pages_path="pages")
        respond = lambda n, _: page(1 if n == 3 else 2, {"pages": 3 if n == 0 else 4})  # noqa: E731
        assert values(read_batches(paging, respond), "page") == [1, 2, 3, 4]

    @pytest.mark.parametrize("reported", [{"pages": 2}, {"total": 6}])
    def test_rows_after_the_last_full_page_are_read_although_they_are_not_counted(
        self, reported: Mapping[str, Any]
    ) -> None:
        paths = {f"{name}_path": name for name in reported}
        paging = replace(Paging("page"), **paths)
        counts = {1: 3, 2: 3, 3: 3, 4: 1}
        respond = lambda _, request: page(counts.get(int(request.params["page"]), 0), reported)  # noqa: E731
        batches = read_batches(paging, respond)
        read = [request.params["page"] for batch in batches for request in batch if not request.is_probe]
        assert read == [1, 2, 3, 4, 5]

    def test_sequential_paging_requests_one_page_at_a_time(self) -> None:
        paging = Paging("page", pages_path="pages")
        respond = lambda number, _: page((2, 2, 1)[number], {"pages": 3})  # noqa: E731
        batches = read_batches(paging, respond, sequential=True)
        assert [len(batch) for batch in batches] == [1, 1, 1]

    def test_a_repeated_page_is_an_error(self) -> None:
        same = page(3)
        with pytest.raises(BadResponse, match=r"paging\.type page"):
            read_batches(Paging("page"), lambda number, _: same)

    def test_two_equal_pages_are_accepted(self) -> None:
        same = page(3)
        respond = lambda number, _: same if number < 2 else page(0)  # noqa: E731
        assert len(read_batches(Paging("page"), respond)) == 3

    def test_empty_pages_that_promise_more_are_an_error(self) -> None:
        with pytest.raises(BadResponse, match="indicates more pages, and 40 pages in a row have no rows"):
            read_batches(Paging("page", more_path="more"), lambda number, _: page(0, {"more": True}))

    def test_max_pages_limits_the_requests(self) -> None:
        assert values(read_batches(Paging("page", max_pages=2), pages_of(1, 1, 1)), "page") == [1, 2]
        known = Paging("page", pages_path="pages", max_pages=3)
        assert values(read_batches(known, lambda n, _: page(1, {"pages": 9})), "page") == [1, 2, 3]


class TestOffset:
    paging = Paging("offset", size_param="limit", size=3)

    def test_counts_rows(self) -> None:
        assert values(read_batches(self.paging, pages_of(3, 3, 2)), "offset") == [0, 3, 6, 9]

    def test_a_smaller_page_size_of_the_server_loses_no_rows(self) -> None:
        assert values(read_batches(self.paging, pages_of(2, 2, 1)), "offset") == [0, 2, 4, 5]

    def test_a_total_allows_parallel_requests(self) -> None:
        paging = Paging("offset", size_param="limit", size=3, total_path="total")
        batches = read_batches(paging, lambda number, _: page((3, 3, 1)[number], {"total": 7}))
        assert [[request.params["offset"] for request in batch] for batch in batches] == [[0], [3, 6]]

    def test_an_empty_table_is_one_request(self) -> None:
        paging = Paging("offset", size_param="limit", size=3, total_path="total")
        assert values(read_batches(paging, lambda number, _: page(0, {"total": 0})), "offset") == [0]


class TestCursor:
    def test_is_read_from_the_body_until_it_is_missing(self) -> None:
        paging = Paging("cursor", cursor_path="meta.next", cursor_param="after", size_param="n", size=5)
        respond = lambda number, _: page(1, {"meta": {"next": ["a", "b", None][number]}})  # noqa: E731
        batches = read_batches(paging, respond)
        assert values(batches, "after") == [None, "a", "b"]
        assert values(batches, "n") == [5, 5, 5]

    def test_an_empty_page_with_a_cursor_is_not_the_end(self) -> None:
        paging = Paging("cursor", cursor_path="next")
        respond = lambda number, _: page((2, 0, 1)[number], {"next": ["a", "b", ""][number]})  # noqa: E731
        assert values(read_batches(paging, respond), "cursor") == [None, "a", "b"]

    def test_is_read_from_a_header(self) -> None:
        paging = Paging("cursor", cursor_header="x-next", cursor_param="token")
        headers: list[dict[str, str]] = [{"x-next": "t1"}, {}]
        batches = read_batches(paging, lambda number, _: FakePageInfo([b"{}"], {}, headers[number]))
        assert values(batches, "token") == [None, "t1"]

    def test_is_read_from_the_last_row_with_a_more_flag(self) -> None:
        paging = Paging("cursor", cursor_column="id", cursor_param="starting_after", more_path="has_more")

        def respond(number: int, _request: PageRequest) -> FakePageInfo:
            return FakePageInfo([b'{"id":"x"}', b'{"id":"c%d"}' % number], {"has_more": number < 2})

        assert values(read_batches(paging, respond), "starting_after") == [None, "c0", "c1"]

    def test_a_repeated_cursor_is_an_error(self) -> None:
        paging = Paging("cursor", cursor_path="next")
        with pytest.raises(BadResponse, match=r"paging\.type cursor.*second time"):
            read_batches(paging, lambda number, _: page(1, {"next": "ab"[number % 2]}))

    def test_a_more_flag_can_be_a_string(self) -> None:
        paging = Paging("page", more_path="more")
        respond = lambda number, _: page(1, {"more": ("true", "TRUE", "false")[number]})  # noqa: E731
        assert values(read_batches(paging, respond), "page") == [1, 2, 3]

    def test_a_cursor_can_be_a_fraction(self) -> None:
        paging = Paging("cursor", cursor_path="next")
        respond = lambda number, _: page(1, {"next": (1.5, False)[number]})  # noqa: E731
        assert values(read_batches(paging, respond), "cursor") == [None, 1.5]

    @pytest.mark.parametrize("value", [{"href": "/t?p=2"}, ["x"], True])
    def test_an_invalid_next_value_is_an_error(self, value: object) -> None:
        for paging, wanted in (
            (Paging("cursor", cursor_path="links.next"), "a cursor"),
            (Paging("next_url", path="links.next"), "an address"),
        ):
            with pytest.raises(BadResponse, match=rf"the value at links\.next is not {wanted}"):
                read_batches(paging, lambda number, _: page(1, {"links": {"next": value}}))

    @pytest.mark.parametrize("value", [None, False, "", [], {}])
    def test_each_form_of_an_empty_cursor_ends_the_read(self, value: object) -> None:
        for paging in (Paging("cursor", cursor_path="next"), Paging("next_url", path="next")):
            assert len(read_batches(paging, lambda number, _: page(1, {"next": value}))) == 1

    def test_a_cursor_of_zero_is_inspected_once_for_a_table(self) -> None:
        paging, state, first = Paging("cursor", cursor_path="next"), PagingState(), page(2, {"next": 0})
        batches = read_batches(paging, lambda _number, _request: first, state)
        assert [request.is_probe for [request] in batches] == [False, True]
        assert len(read_batches(paging, lambda _number, _request: page(2, {"next": 0}), state)) == 1

    def test_a_last_row_without_the_cursor_column_is_an_error(self) -> None:
        with pytest.raises(BadResponse, match="the last row of a page has no idd"):
            read_batches(Paging("cursor", cursor_column="idd"), lambda number, _: page(2))

    def test_more_without_a_cursor_is_an_error(self) -> None:
        paging = Paging("cursor", cursor_path="next", more_path="more")
        with pytest.raises(BadResponse, match="indicates more pages, and the response has no cursor"):
            read_batches(paging, lambda number, _: page(1, {"more": True}))


class TestLinks:
    def test_follows_next(self) -> None:
        links = ['</t?after=b>; rel="next"', '<t?after=c>; rel=next; title="a, b"', '</t>; rel="first"']
        batches = read_batches(Paging("link_header"), lambda number, _: page(1, link=links[number]))
        assert [request.url for batch in batches for request in batch] == [
            None,
            "http://api/t?after=b",
            "http://api/t?after=c",
        ]

    def test_numbered_pages_are_fetched_in_parallel(self) -> None:
        first = '</t?page=2&q=a%20b>; rel="next", </t?page=5&q=a%20b>; rel="last"'
        respond = lambda number, _: page(1, link=first if number == 0 else '</t?page=1>; rel="prev"')  # noqa: E731
        batches = read_batches(Paging("link_header"), respond)
        assert [len(batch) for batch in batches] == [1, 4]
        assert batches[1][-1].url == "http://api/t?page=5&q=a+b"

    def test_many_numbered_pages_are_fetched_in_batches(self) -> None:
        def respond(number: int, _request: PageRequest) -> FakePageInfo:
            here = number + 1
            following = f'</t?page={here + 1}>; rel="next", </t?page=2500>; rel="last"'
            return page(2, link=following if here < 2500 else '</t?page=1>; rel="first"')

        batches = read_batches(Paging("link_header"), respond)
        assert [len(batch) for batch in batches] == [1, 1000, 1000, 499]

    def test_links_to_added_pages_are_followed(self) -> None:
        first = '</t?page=2>; rel="next", </t?page=3>; rel="last"'
        later = {0: first, 2: '</t?page=4>; rel="next"'}
        respond = lambda number, _: page(1, link=later.get(number, ""))  # noqa: E731
        assert [len(batch) for batch in read_batches(Paging("link_header"), respond)] == [1, 2, 1]

    @pytest.mark.parametrize(
        "last",
        ["</t?page=5&x=1>", "</t?cursor=zz>", "</other?page=5>", "<http://else/t?page=5>", "</t?page=x>"],
    )
    def test_a_last_link_without_a_page_number_is_not_used(self, last: str) -> None:
        links = [f'</t?page=2>; rel="next", {last}; rel="last"', ""]
        batches = read_batches(Paging("link_header"), lambda number, _: page(1, link=links[number]))
        assert [len(batch) for batch in batches] == [1, 1]

    def test_a_link_to_a_page_read_before_is_an_error(self) -> None:
        with pytest.raises(BadResponse, match=r"paging\.type link_header"):
            read_batches(Paging("link_header"), lambda number, _: page(1, link='</t?page=2>; rel="next"'))

    def test_next_url_can_be_relative_and_ends_with_null(self) -> None:
        paging = Paging("next_url", path="links.next")
        urls: list[str | None] = ["/t?o=1", "http://api/t?o=2", None]
        respond = lambda number, _: page(1, {"links": {"next": urls[number]}})  # noqa: E731
        assert [request.url for batch in read_batches(paging, respond) for request in batch] == [
            None,
            "http://api/t?o=1",
            "http://api/t?o=2",
        ]

    def test_link_headers_are_parsed_as_in_the_rfc(self) -> None:
        header = (
            '<http://x/a,b;c>; rel="prev start"; title="one, \\"two", <http://x/d>; REL=next,<e>;rel="last"'
        )
        assert parse_link_header(header) == {
            "prev": "http://x/a,b;c",
            "start": "http://x/a,b;c",
            "next": "http://x/d",
            "last": "e",
        }
        assert parse_link_header("nonsense") == {}
        assert parse_link_header("<unclosed") == {}


class TestNone:
    def test_sends_one_request(self) -> None:
        assert read_batches(Paging("none"), pages_of(5)) == [[PageRequest()]]


FOUND = [
    ({"next": "http://api/t?p=2"}, {"type": "next_url", "path": "next"}),
    ({"links": {"next": "/t?p=2"}}, {"type": "next_url", "path": "links.next"}),
    ({"_links": {"next": {"href": "/t?p=2"}}}, {"type": "next_url", "path": "_links.next.href"}),
    ({"@odata.nextLink": "https://api/t?$skip=2"}, {"type": "next_url", "path": "@odata.nextLink"}),
    ({"paging": {"next_url": "?p=2"}}, {"type": "next_url", "path": "paging.next_url"}),
    ({"next_cursor": "abc"}, {"type": "cursor", "cursor_path": "next_cursor", "cursor_param": "cursor"}),
    (
        {"response_metadata": {"next_cursor": "x="}},
        {"type": "cursor", "cursor_path": "response_metadata.next_cursor", "cursor_param": "cursor"},
    ),
    ({"nextPageToken": "t"}, {"type": "cursor", "cursor_path": "nextPageToken", "cursor_param": "pageToken"}),
    (
        {"paging": {"next": {"after": "NTI1"}}},
        {"type": "cursor", "cursor_path": "paging.next.after", "cursor_param": "after"},
    ),
    (
        {"has_more": True, "next_cursor": "abc"},
        {"type": "cursor", "cursor_path": "next_cursor", "more_path": "has_more"},
    ),
    ({"next_page": 2}, {"type": "cursor", "cursor_path": "next_page", "cursor_param": "page"}),
    ({"page": 1, "total_pages": 3}, {"type": "page", "first": 1, "pages_path": "total_pages"}),
    ({"page": 0, "pages": 3}, {"type": "page", "first": 0, "pages_path": "pages"}),
    (
        {"number": 0, "totalPages": 3, "totalElements": 9, "size": 3, "last": False},
        {"type": "page", "first": 0, "pages_path": "totalPages"},
    ),
    (
        {"page": {"number": 0, "totalPages": 3, "totalElements": 9, "size": 3}},
        {"type": "page", "first": 0, "pages_path": "page.totalPages"},
    ),
    # a count that equals the rows of a full page may be theirs, and no total
    ({"offset": 0, "limit": 3, "count": 3}, {"type": "offset", "total_path": None}),
    (
        {"startAt": 0, "maxResults": 3, "total": 9},
        {"type": "offset", "offset_param": "startAt", "total_path": "total"},
    ),
    (
        {"offset": 0, "limit": 3, "count": 9},
        {"type": "offset", "offset_param": "offset", "total_path": "count"},
    ),
]


class TestAuto:
    @pytest.mark.parametrize(("body", "expected"), FOUND, ids=[str(body)[:50] for body, _ in FOUND])
    def test_detects_the_paging_of_an_api(self, body: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
        found = detect_paging(Paging(), page(3, body))
        assert found is not None
        assert {name: getattr(found, name) for name in expected} == expected

    def test_a_link_header_takes_precedence(self) -> None:
        found = detect_paging(Paging(), page(3, {"next_cursor": "x"}, link='</t?page=2>; rel="next"'))
        assert found is not None
        assert found.type == "link_header"

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"next": None},
            {"has_more": False, "next_cursor": "x"},
            {"total": 3},
            {"nextPageToken": ""},
            {"nextSyncToken": "for another day"},
            {"total_pages": 1},
            {"number": 2, "totalPages": 1, "last": True},
            {"title": "a book", "pages": 120},
            {"next": {"href": None}},
            {"next_start_date": "2026-01-01"},
        ],
    )
    def test_a_body_without_hints_is_one_page(self, body: Mapping[str, Any]) -> None:
        assert detect_paging(Paging(), page(3, body)) is None

    def test_a_full_page_of_the_requested_size_is_followed_by_page_numbers(self) -> None:
        paging = Paging(size_param="per_page", size=3)
        batches = read_batches(paging, pages_of(3, 3, 1))
        assert values(batches, "page") == [None, 2, 3, 4]
        assert values(read_batches(paging, pages_of(2)), "page") == [None]

    @pytest.mark.parametrize(
        "body",
        [
            {"has_more": True},
            {"total": 50},
            {"total_pages": 3},
            {"number": 3, "totalPages": 3},
            {"totalElements": 50},
            {"hasNextPage": True, "next_cursor": ""},
            {"isLast": False},
            {"next": "eyJpZCI6N30"},
            {"nextRecordsUrl": {"at": "elsewhere"}},
            {"next_records_link": "x"},
            {"meta": {"next_page_marker": "m"}},
        ],
    )
    def test_more_pages_without_a_known_parameter_are_an_error(self, body: Mapping[str, Any]) -> None:
        with pytest.raises(BadResponse, match=r"set paging\.type"):
            detect_paging(Paging(), page(3, body))

    def test_links_without_page_relation_are_ignored(self) -> None:
        schema = '<http://api/schema>; rel="describedby"'
        found = detect_paging(Paging(), page(3, {"page": 1, "total_pages": 3}, link=schema))
        assert found is not None
        assert found.type == "page"
        assert values(read_batches(Paging("page"), lambda n, _: page((2, 2, 0)[n], link=schema)), "page") == [
            1,
            2,
            3,
        ]

    def test_a_full_page_with_an_empty_next_member_is_the_last(self) -> None:
        paging = Paging(size_param="per_page", size=3)
        assert values(read_batches(paging, lambda *_: page(3, {"next": None, "count": 3})), "page") == [None]

    def test_continues_with_the_detected_paging(self) -> None:
        cursors = ["a", "b", None]
        batches = read_batches(Paging(), lambda number, _: page(2, {"next_cursor": cursors[number]}))
        assert values(batches, "cursor") == [None, "a", "b"]
