"""Paginators: the next request follows from the page, without a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

import msgspec
import pytest

from unify.adapters.formats.locate import last_value
from unify.adapters.formats.outside import outside_members
from unify.adapters.formats.records import ResponseBody
from unify.adapters.paging.base import Member, PageRequest, PagingState, known_page_count
from unify.adapters.paging.detect import detect_paging
from unify.adapters.paging.links import parse_link_header
from unify.adapters.paging.paginators import make_paginator
from unify.adapters.spec.model import Paging
from unify.errors import BadResponse

HERE = "http://api/things?page=1"


@dataclass
class Seen:
    """A page as a pager sees it: so many rows in a body, and headers."""

    rows: Sequence[bytes] = ()
    body_bytes = 0
    body: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def value(self, path: str) -> Any:
        return ResponseBody(msgspec.json.encode(self.body), "GET /").value(path)

    is_end = False

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


_made = iter(range(10**9))


def page(rows: int, body: Mapping[str, Any] | None = None, **headers: str) -> Seen:
    """So many rows nobody has seen before."""
    return Seen([b'{"id":%d}' % next(_made) for _ in range(rows)], body or {}, headers)


def asked(
    paging: Paging,
    answer: Callable[[int, PageRequest], Seen],
    evidence: PagingState | None = None,
    *,
    alone: bool = False,
) -> list[list[PageRequest]]:
    """The turns a pager takes, batch by batch; ``answer`` is given the number of the turn, from 0."""
    steps = make_paginator(paging, evidence, sequential=alone)
    batches: list[list[PageRequest]] = []
    number = -1
    turns = next(steps)
    while True:
        batches.append(list(turns))
        assert len(batches) < 100, "it does not end"
        for turn in turns:
            number += 1
            seen = answer(number, turn)
        try:
            turns = steps.send(seen)
        except StopIteration:
            return batches


def values(batches: list[list[PageRequest]], name: str) -> list[Any]:
    return [turn.params.get(name) for batch in batches for turn in batch]


def rows_by_turn(*counts: int) -> Callable[[int, PageRequest], Seen]:
    return lambda number, _turn: page(counts[number] if number < len(counts) else 0)


class TestPage:
    paging = Paging("page", size_param="per_page", size=3)

    def test_goes_on_until_an_empty_page(self) -> None:
        batches = asked(Paging("page"), rows_by_turn(3, 3, 1))
        assert values(batches, "page") == [1, 2, 3, 4]
        assert values(batches, "per_page") == [None] * 4

    def test_a_short_page_is_the_last_where_the_size_is_honoured(self) -> None:
        assert values(asked(self.paging, rows_by_turn(3, 2)), "page") == [1, 2]

    def test_a_short_first_page_may_be_a_smaller_page_size_of_the_server(self) -> None:
        batches = asked(self.paging, rows_by_turn(2, 2, 1))
        assert values(batches, "page") == [1, 2, 3, 4]
        assert values(batches, "per_page") == [3] * 4

    def test_what_one_scope_has_shown_another_knows(self) -> None:
        evidence = PagingState()
        asked(self.paging, rows_by_turn(3, 1), evidence)

        assert values(asked(self.paging, rows_by_turn(2), evidence), "page") == [1]

    def test_counting_may_start_at_nought(self) -> None:
        assert values(asked(Paging("page", page_param="p", first=0), rows_by_turn(1, 1)), "p") == [0, 1, 2]

    def test_a_more_flag_decides(self) -> None:
        paging = Paging("page", more_path="meta.more", size=3, size_param="n")
        answer = lambda number, _: page((1, 0, 2)[number], {"meta": {"more": number < 2}})  # noqa: E731
        assert values(asked(paging, answer), "page") == [1, 2, 3]

    def test_pages_are_taken_side_by_side_where_their_number_is_known(self) -> None:
        paging = Paging("page", pages_path="pages")
        batches = asked(paging, lambda number, _: page(2, {"pages": 5}))
        assert [len(batch) for batch in batches] == [1, 4]
        assert values(batches, "page") == [1, 2, 3, 4, 5]

    def test_a_total_tells_their_number_too(self) -> None:
        paging = Paging("page", total_path="total", size_param="n", size=10)
        answer = lambda number, _: page((4, 4, 2)[number], {"total": 10})  # noqa: E731
        assert [len(batch) for batch in asked(paging, answer)] == [1, 2]

    def test_a_total_however_large_is_believed_a_stretch_at_a_time(self) -> None:
        paging = Paging("page", pages_path="pages")
        answer = lambda number, _: page(2 if number < 5 else 0, {"pages": 10**30})  # noqa: E731
        batches = asked(paging, answer)
        assert [len(batch) for batch in batches] == [1, 1000]
        pages = make_paginator(paging)
        next(pages)
        assert known_page_count(pages.send(page(2, {"pages": 10**30}))) == 10**30 - 1

    def test_a_total_is_not_believed_where_more_rows_came(self) -> None:
        answer = lambda number, _: page((10, 10, 5, 0)[number], {"total": 12})  # noqa: E731
        assert values(asked(Paging("page", total_path="total"), answer), "page") == [1, 2, 3, 4]
        assert values(asked(Paging("offset", total_path="total"), answer), "offset") == [0, 10, 20, 25]

    def test_so_does_a_link_to_the_last(self) -> None:
        def answer(number: int, _turn: PageRequest) -> Seen:
            link = (
                '</t?page=2>; rel="next", </t?page=4>; rel="last"'
                if number < 3
                else '</t?page=3>; rel="prev"'
            )
            return page(2, link=link)

        assert [len(batch) for batch in asked(Paging("page"), answer)] == [1, 3]

    def test_rows_that_come_in_meanwhile_are_fetched_as_well(self) -> None:
        paging = Paging("page", pages_path="pages")
        answer = lambda number, _: page(2, {"pages": 3 if number == 0 else 4})  # noqa: E731
        assert values(asked(paging, answer), "page") == [1, 2, 3, 4]

    def test_alone_takes_one_after_another(self) -> None:
        paging = Paging("page", pages_path="pages")
        batches = asked(paging, lambda number, _: page(2, {"pages": 3}), alone=True)
        assert [len(batch) for batch in batches] == [1, 1, 1]

    def test_the_same_page_again_and_again_is_an_error(self) -> None:
        same = page(3)
        with pytest.raises(BadResponse, match=r"paging\.type page"):
            asked(Paging("page"), lambda number, _: same)

    def test_two_equal_pages_may_be_chance(self) -> None:
        same = page(3)
        answer = lambda number, _: same if number < 2 else page(0)  # noqa: E731
        assert len(asked(Paging("page"), answer)) == 3

    def test_empty_pages_that_promise_more_are_an_error(self) -> None:
        with pytest.raises(BadResponse, match="indicates more pages, and 40 pages in a row have no rows"):
            asked(Paging("page", more_path="more"), lambda number, _: page(0, {"more": True}))

    def test_max_pages_bounds_it(self) -> None:
        assert values(asked(Paging("page", max_pages=2), rows_by_turn(1, 1, 1)), "page") == [1, 2]
        known = Paging("page", pages_path="pages", max_pages=3)
        assert values(asked(known, lambda n, _: page(1, {"pages": 9})), "page") == [1, 2, 3]


class TestOffset:
    paging = Paging("offset", size_param="limit", size=3)

    def test_counts_rows(self) -> None:
        assert values(asked(self.paging, rows_by_turn(3, 3, 2)), "offset") == [0, 3, 6]

    def test_a_server_with_a_smaller_page_loses_no_rows(self) -> None:
        assert values(asked(self.paging, rows_by_turn(2, 2, 1)), "offset") == [0, 2, 4, 5]

    def test_a_total_allows_side_by_side(self) -> None:
        paging = Paging("offset", size_param="limit", size=3, total_path="total")
        batches = asked(paging, lambda number, _: page((3, 3, 1)[number], {"total": 7}))
        assert [[turn.params["offset"] for turn in batch] for batch in batches] == [[0], [3, 6]]

    def test_an_empty_table_is_one_request(self) -> None:
        paging = Paging("offset", size_param="limit", size=3, total_path="total")
        assert values(asked(paging, lambda number, _: page(0, {"total": 0})), "offset") == [0]


class TestCursor:
    def test_from_the_body_until_there_is_none(self) -> None:
        paging = Paging("cursor", cursor_path="meta.next", cursor_param="after", size_param="n", size=5)
        answer = lambda number, _: page(1, {"meta": {"next": ["a", "b", None][number]}})  # noqa: E731
        batches = asked(paging, answer)
        assert values(batches, "after") == [None, "a", "b"]
        assert values(batches, "n") == [5, 5, 5]

    def test_an_empty_page_with_a_cursor_is_not_the_end(self) -> None:
        paging = Paging("cursor", cursor_path="next")
        answer = lambda number, _: page((2, 0, 1)[number], {"next": ["a", "b", ""][number]})  # noqa: E731
        assert values(asked(paging, answer), "cursor") == [None, "a", "b"]

    def test_from_a_header(self) -> None:
        paging = Paging("cursor", cursor_header="x-next", cursor_param="token")
        headers: list[dict[str, str]] = [{"x-next": "t1"}, {}]
        batches = asked(paging, lambda number, _: Seen([b"{}"], {}, headers[number]))
        assert values(batches, "token") == [None, "t1"]

    def test_from_the_last_row_and_a_more_flag(self) -> None:
        paging = Paging("cursor", cursor_column="id", cursor_param="starting_after", more_path="has_more")

        def answer(number: int, _turn: PageRequest) -> Seen:
            return Seen([b'{"id":"x"}', b'{"id":"c%d"}' % number], {"has_more": number < 2})

        assert values(asked(paging, answer), "starting_after") == [None, "c0", "c1"]

    def test_a_cursor_that_comes_again_is_an_error(self) -> None:
        paging = Paging("cursor", cursor_path="next")
        with pytest.raises(BadResponse, match=r"paging\.type cursor.*second time"):
            asked(paging, lambda number, _: page(1, {"next": "ab"[number % 2]}))

    def test_a_more_flag_may_be_a_text(self) -> None:
        paging = Paging("page", more_path="more")
        answer = lambda number, _: page(1, {"more": ("true", "TRUE", "false")[number]})  # noqa: E731
        assert values(asked(paging, answer), "page") == [1, 2, 3]

    def test_a_cursor_may_be_a_fraction(self) -> None:
        paging = Paging("cursor", cursor_path="next")
        answer = lambda number, _: page(1, {"next": (1.5, False)[number]})  # noqa: E731
        assert values(asked(paging, answer), "cursor") == [None, 1.5]

    @pytest.mark.parametrize("value", [{"href": "/t?p=2"}, ["x"], True])
    def test_what_is_no_way_on_is_not_taken_for_the_end(self, value: object) -> None:
        for paging, wanted in (
            (Paging("cursor", cursor_path="links.next"), "a cursor"),
            (Paging("next_url", path="links.next"), "an address"),
        ):
            with pytest.raises(BadResponse, match=rf"the value at links\.next is not {wanted}"):
                asked(paging, lambda number, _: page(1, {"links": {"next": value}}))

    @pytest.mark.parametrize("value", [None, False, "", [], {}])
    def test_nothing_may_be_written_in_many_ways(self, value: object) -> None:
        for paging in (Paging("cursor", cursor_path="next"), Paging("next_url", path="next")):
            assert len(asked(paging, lambda number, _: page(1, {"next": value}))) == 1

    def test_a_last_row_without_the_cursors_column_is_an_error(self) -> None:
        with pytest.raises(BadResponse, match="the last row of a page has no idd"):
            asked(Paging("cursor", cursor_column="idd"), lambda number, _: page(2))

    def test_more_without_a_cursor_is_an_error(self) -> None:
        paging = Paging("cursor", cursor_path="next", more_path="more")
        with pytest.raises(BadResponse, match="indicates more pages, and the response has no cursor"):
            asked(paging, lambda number, _: page(1, {"more": True}))


class TestLinks:
    def test_follows_next(self) -> None:
        links = ['</t?after=b>; rel="next"', '<t?after=c>; rel=next; title="a, b"', '</t>; rel="first"']
        batches = asked(Paging("link_header"), lambda number, _: page(1, link=links[number]))
        assert [turn.url for batch in batches for turn in batch] == [
            None,
            "http://api/t?after=b",
            "http://api/t?after=c",
        ]

    def test_numbered_pages_are_taken_side_by_side(self) -> None:
        first = '</t?page=2&q=a%20b>; rel="next", </t?page=5&q=a%20b>; rel="last"'
        answer = lambda number, _: page(1, link=first if number == 0 else '</t?page=1>; rel="prev"')  # noqa: E731
        batches = asked(Paging("link_header"), answer)
        assert [len(batch) for batch in batches] == [1, 4]
        assert batches[1][-1].url == "http://api/t?page=5&q=a+b"

    def test_many_numbered_pages_are_taken_in_stretches(self) -> None:
        def answer(number: int, _turn: PageRequest) -> Seen:
            here = number + 1
            following = f'</t?page={here + 1}>; rel="next", </t?page=2500>; rel="last"'
            return page(2, link=following if here < 2500 else '</t?page=1>; rel="first"')

        batches = asked(Paging("link_header"), answer)
        assert [len(batch) for batch in batches] == [1, 1000, 1000, 499]

    def test_pages_added_meanwhile_are_followed(self) -> None:
        first = '</t?page=2>; rel="next", </t?page=3>; rel="last"'
        later = {0: first, 2: '</t?page=4>; rel="next"'}
        answer = lambda number, _: page(1, link=later.get(number, ""))  # noqa: E731
        assert [len(batch) for batch in asked(Paging("link_header"), answer)] == [1, 2, 1]

    @pytest.mark.parametrize(
        "last",
        ["</t?page=5&x=1>", "</t?cursor=zz>", "</other?page=5>", "<http://else/t?page=5>", "</t?page=x>"],
    )
    def test_a_last_link_that_is_no_number_is_not_counted_to(self, last: str) -> None:
        links = [f'</t?page=2>; rel="next", {last}; rel="last"', ""]
        batches = asked(Paging("link_header"), lambda number, _: page(1, link=links[number]))
        assert [len(batch) for batch in batches] == [1, 1]

    def test_a_link_to_where_we_were_is_an_error(self) -> None:
        with pytest.raises(BadResponse, match=r"paging\.type link_header"):
            asked(Paging("link_header"), lambda number, _: page(1, link='</t?page=2>; rel="next"'))

    def test_next_url_may_be_relative_and_ends_with_null(self) -> None:
        paging = Paging("next_url", path="links.next")
        urls: list[str | None] = ["/t?o=1", "http://api/t?o=2", None]
        answer = lambda number, _: page(1, {"links": {"next": urls[number]}})  # noqa: E731
        assert [turn.url for batch in asked(paging, answer) for turn in batch] == [
            None,
            "http://api/t?o=1",
            "http://api/t?o=2",
        ]

    def test_headers_are_read_as_the_rfc_says(self) -> None:
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
    def test_one_request(self) -> None:
        assert asked(Paging("none"), rows_by_turn(5)) == [[PageRequest()]]


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
    def test_finds_out_how_an_api_pages(self, body: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
        found = detect_paging(Paging(), page(3, body))
        assert found is not None
        assert {name: getattr(found, name) for name in expected} == expected

    def test_a_link_header_goes_before_all(self) -> None:
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
    def test_nothing_of_the_kind_is_one_page(self, body: Mapping[str, Any]) -> None:
        assert detect_paging(Paging(), page(3, body)) is None

    def test_a_full_page_of_the_size_asked_for_is_followed_by_page_numbers(self) -> None:
        paging = Paging(size_param="per_page", size=3)
        batches = asked(paging, rows_by_turn(3, 3, 1))
        assert values(batches, "page") == [None, 2, 3]
        assert values(asked(paging, rows_by_turn(2)), "page") == [None]

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
    def test_more_without_a_way_on_is_an_error(self, body: Mapping[str, Any]) -> None:
        with pytest.raises(BadResponse, match=r"set paging\.type"):
            detect_paging(Paging(), page(3, body))

    def test_links_that_are_not_about_pages_say_nothing_of_them(self) -> None:
        schema = '<http://api/schema>; rel="describedby"'
        found = detect_paging(Paging(), page(3, {"page": 1, "total_pages": 3}, link=schema))
        assert found is not None
        assert found.type == "page"
        assert values(asked(Paging("page"), lambda n, _: page((2, 2, 0)[n], link=schema)), "page") == [
            1,
            2,
            3,
        ]

    def test_a_full_page_is_not_followed_where_the_place_for_the_way_on_is_empty(self) -> None:
        paging = Paging(size_param="per_page", size=3)
        assert values(asked(paging, lambda *_: page(3, {"next": None, "count": 3})), "page") == [None]

    def test_goes_on_as_found(self) -> None:
        cursors = ["a", "b", None]
        batches = asked(Paging(), lambda number, _: page(2, {"next_cursor": cursors[number]}))
        assert values(batches, "cursor") == [None, "a", "b"]
