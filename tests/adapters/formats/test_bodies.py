"""Bodies as public APIs send them: charsets, repairs, errors with status 200, empty and unusual bodies."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from unify.adapters.formats.body import RecordSelector, ResponseBody
from unify.adapters.formats.records import parse_body
from unify.adapters.spec.table_keys import CSVFormat, InheritedColumn
from unify.errors import BadResponse

TEXT = '[{"s":"Zürich – 東京"}]'


def opened(body: bytes | str, path: str | None = None, *, kind: str = "", **options: Any) -> ResponseBody:
    data = body.encode() if isinstance(body, str) else body
    return parse_body(data, kind or "application/json", RecordSelector(path, **options), "GET http://api/x")


def decoded(body: ResponseBody) -> list[Any]:
    return [json.loads(row) for row in body.rows]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (TEXT.encode(), "application/json; charset=ISO-8859-1"),
        (TEXT.encode("utf-8-sig"), "application/json; charset=windows-1252"),
        (TEXT.encode("utf-16"), ""),
        (TEXT.encode("utf-16-le"), "application/json"),
        (TEXT.encode("utf-16-be"), ""),
        (TEXT.encode("utf-32"), ""),
        (TEXT.encode("gb18030"), "application/json; charset='gb18030'"),
        (gzip.compress(TEXT.encode(), mtime=0), "application/octet-stream"),
        (gzip.compress(TEXT[:5].encode(), mtime=0) + gzip.compress(TEXT[5:].encode(), mtime=0), ""),
        (b")]}'\n" + TEXT.encode(), ""),
        (b")]}',\n\n" + TEXT.encode(), ""),
        (b"while(1);" + TEXT.encode(), ""),
        (b"for (;;);" + TEXT.encode(), ""),
        (b"throw 1; <dont be evil>" + TEXT.encode(), ""),
        (b"&&&START&&&" + TEXT.encode(), ""),
    ],
)
def test_a_body_in_any_charset_or_with_a_prefix_is_decoded(body: bytes, kind: str) -> None:
    assert decoded(opened(body, kind=kind)) == [{"s": "Zürich – 東京"}]


def test_a_gzip_body_has_to_be_complete_and_within_the_limit() -> None:
    with pytest.raises(BadResponse, match="larger than"):
        opened(gzip.compress(b"[" + b" " * 70_000_000 + b"]"))
    with pytest.raises(BadResponse, match="incomplete"):
        opened(gzip.compress(TEXT.encode())[:-9])


def test_lone_surrogates_and_invalid_numbers_are_repaired_and_counted() -> None:
    body = opened(
        '[{"a":"cut \\ud83d","b":"\\ud83d\\ude42","c":"\\\\ud83d NaN"},{"a":NaN,"b":-Infinity,"c":Infinity}]'
    )
    assert decoded(body) == [
        {"a": "cut \ufffd", "b": "🙂", "c": "\\ud83d NaN"},
        {"a": None, "b": None, "c": None},
    ]
    assert body.repairs == {"half surrogate pairs read as U+FFFD": 1, "NaN and Infinity read as NULL": 3}


@pytest.mark.parametrize(
    "body",
    [
        {"error": "quota exceeded"},
        {"error": {"code": 429}, "data": []},
        {"errors": [{"message": "x"}]},
        {"success": False, "data": None},
        {"success": False, "result": []},
        {"ok": False, "reason": "x"},
        {"status": "error", "message": "bad key"},
        {"status": "fail", "data": []},
        {"status": "error", "items": []},
        {"code": 401, "message": "Invalid token"},
        {"message": "Service busy"},
        {"fault": {"faultstring": "Rate limit"}},
        {"error_code": 17, "error_msg": "limit", "id": 7},
        {"data": {"items": []}, "error": "partial outage"},
    ],
    ids=lambda body: json.dumps(body)[:60],
)
def test_an_error_with_status_200_is_an_error(body: Any) -> None:
    with pytest.raises(BadResponse, match=r"is an error|contains errors"):
        opened(json.dumps(body))
    assert "errors" in body or len(opened(json.dumps(body), "$").rows) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"id": 7, "status": "failed", "name": "a job"},
        {"status": "success", "message": "https://dog.example/1.jpg"},
        {"items": [{"id": 1}], "errors": [{"message": "one is missing"}]},
        {"items": [{"id": 1}], "error": None, "success": True},
        {"items": [], "errors": [], "ok": True},
        {"data": {"id": 1, "error_count": 3}},
        {"id": 1, "error": None},
    ],
    ids=lambda body: json.dumps(body)[:60],
)
def test_rows_next_to_members_that_resemble_errors_are_kept(body: Any) -> None:
    assert decoded(opened(json.dumps(body))) == body.get("items", [body.get("data", body)])


@pytest.mark.parametrize(
    ("body", "path", "table"),
    [
        ({"tickets": [{"id": 1}], "users": [{"id": n} for n in range(9)]}, "tickets", "tickets"),
        ({"data": [{"id": 1}], "included": [{"id": n} for n in range(9)]}, "data", "deals"),
        (
            {"deals": [{"id": 1}], "errors": [{"e": n} for n in range(9)], "links": [{"r": 1}, {"r": 2}]},
            "deals",
            "t",
        ),
        ({"hits": {"total": 1, "hits": [{"id": 1}]}, "facets": [{"n": 1}, {"n": 2}]}, "hits.hits", "t"),
        ({"results": [{"id": 1}], "tickets": []}, "results", "t"),
    ],
)
def test_rows_are_found_by_the_name_of_the_table_then_by_common_names(
    body: Any, path: str, table: str
) -> None:
    assert opened(json.dumps(body), table=table).rows_path == path


def test_ambiguous_lists_are_named() -> None:
    body = opened('{"tickets":[{"id":1}],"users":[{"id":2}],"errors":[{"e":1}]}', table="tickets")
    assert body.side_lists == ["users"]


class TestMissingRows:
    def test_a_list_that_was_seen_before_may_be_left_out(self) -> None:
        for body in ("{}", '{"resultSizeEstimate":0}', '{"kind":"x","metadata":{"a":1}}', "null"):
            found = opened(body, "messages", seen_as="list", may_be_empty=True)
            assert (found.rows, found.outer_count) == ((), 0) or found.rows == []

    def test_a_question_mark_allows_a_missing_list_in_the_first_load(self) -> None:
        assert opened('{"range":"A1:B9","majorDimension":"ROWS","x":1}', "values?").rows == []
        with pytest.raises(BadResponse, match="no member 'values'"):
            opened('{"range":"A1:B9","x":1}', "values")

    @pytest.mark.parametrize("body", ['{"resultSizeEstimate":0}', '{"meta":{"result_count":0}}'])
    def test_a_count_of_zero_allows_a_missing_list(self, body: str) -> None:
        assert opened(body, "messages").rows == []

    def test_a_list_at_another_path_is_an_error_that_names_both(self) -> None:
        with pytest.raises(BadResponse, match=r"no member 'items'.*in earlier loads.*a list is at results"):
            opened('{"results":[{"id":1}]}', "items", seen_as="list")
        with pytest.raises(
            BadResponse, match=r"expected a list at items, as in earlier loads, got the object"
        ):
            opened('{"items":{"id":1}}', "items", seen_as="list")
        with pytest.raises(BadResponse, match="expected a list, as before"):
            opened('{"message":"x"}', "", expect_list=True)
        with pytest.raises(BadResponse):
            opened('{"message":"x","id":1}', "items", seen_as="list")

    def test_an_empty_body_has_no_rows_only_where_that_is_allowed(self) -> None:
        for body in ("", "null", " \n"):
            assert not opened(body, may_be_empty=True).rows
            with pytest.raises(BadResponse):
                opened(body)


class TestObjectsAndLists:
    def test_members_of_an_object_become_rows_with_their_names(self) -> None:
        body = '{"Series":{"2026-01-01":{"open":1},"2026-01-02":{"open":2}}}'
        assert decoded(opened(body, "Series.*", rows_name="day")) == [
            {"open": 1, "day": "2026-01-01"},
            {"open": 2, "day": "2026-01-02"},
        ]
        assert decoded(opened('{"a":{"x":5}}', "a.*")) == [{"value": 5, "key": "x"}]

    def test_an_object_of_twenty_similar_objects_is_a_list_of_rows(self) -> None:
        users = {f"u{n}": {"id": n, "name": "x"} for n in range(20)}
        found = opened(json.dumps(users))
        assert (len(found.rows), decoded(found)[3]["key"], found.rows_kind) == (20, "u3", "map")
        one = {f"u{n}": {"id": n} for n in range(19)}
        assert len(opened(json.dumps(one)).rows) == 1
        unlike = {f"u{n}": {f"m{n}": n} for n in range(30)}
        assert len(opened(json.dumps(unlike)).rows) == 1

    def test_several_lists_are_one_table(self) -> None:
        body = '{"open":[{"id":1}],"closed":[{"id":2}]}'
        found = opened(body, "open", more_paths=("closed",), rows_name="state")
        assert decoded(found) == [{"id": 1, "state": "open"}, {"id": 2, "state": "closed"}]

    @pytest.mark.parametrize(
        ("body", "path", "names"),
        [
            ({"columns": ["day", "n"], "rows": [["a", 1], ["b", 2]]}, "rows", "$.columns"),
            ({"headers": [{"name": "day"}, {"name": "n"}], "rows": [["a", 1], ["b", 2]]}, "rows", "headers"),
            ({"values": [["day", "n"], ["a", 1], ["b", 2]]}, "values", "$.values.0"),
            ([["day", "n"], ["a", 1], ["b", 2]], None, "$.0"),
        ],
    )
    def test_values_of_list_rows_are_named_by_columns(self, body: Any, path: str | None, names: str) -> None:
        found = opened(json.dumps(body), path, names_path=names)
        assert decoded(found) == [{"day": "a", "n": 1}, {"day": "b", "n": 2}]

    def test_values_of_list_rows_without_names_are_numbered(self) -> None:
        assert decoded(opened('[[1,"x"]]', positions=frozenset({0}))) == [{"0": 1, "1": "x"}]

    def test_a_position_has_precedence_over_the_name_of_its_item(self) -> None:
        body = json.dumps({"columns": ["t", "0", "v", "v", "v_2"], "rows": [[1, 2, 3, 4, 5, 6]]})
        found = opened(body, "rows", names_path="$.columns", positions=frozenset({0}))
        assert decoded(found) == [{"0": 1, "0_2": 2, "v": 3, "v_2": 4, "v_2_2": 5, "5": 6}]

    def test_names_around_the_rows_are_those_of_their_object(self) -> None:
        series = [
            {"columns": ["t", "a"], "values": [[1, 2]]},
            {"columns": ["t", "b"], "values": [[3, 4]]},
        ]
        found = opened(json.dumps({"series": series}), "series.values", names_path="$.series.columns")
        assert decoded(found) == [{"t": 1, "a": 2}, {"t": 3, "b": 4}]
        ranges = [{"values": [["n"], [1]]}, {"values": [["m"], [2]]}, {"values": []}]
        found = opened(json.dumps({"r": ranges}), "r.values", names_path="$.r.values.0")
        assert decoded(found) == [{"n": 1}, {"m": 2}]

    def test_names_in_the_first_row_are_not_counted_as_a_row(self) -> None:
        found = opened('{"values":[["n"],[1],[2]]}', "values", names_path="$.values.0")
        assert found.outer_count == 2

    def test_paging_counts_the_outermost_list(self) -> None:
        body = '{"orders":[{"lines":[{"n":1},{"n":2}]},{"lines":[]},{"lines":[{"n":3}]}]}'
        found = opened(body, "orders.lines")
        assert (len(found.rows), found.outer_count) == (3, 3)
        assert opened('{"a":{"orders":[{"lines":[{"n":1},{"n":2}]}]}}', "a.orders.lines").outer_count == 1


class TestPaths:
    body = (
        '{"meta":{"@odata.nextLink":"u","a.b":{"c":1}},"links":[{"rel":"self","url":"s"},'
        '{"rel":["next","x"],"url":"n"}],"next":[{"uri":"v"}],"data":[{"id":1}]}'
    )

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("meta.@odata.nextLink", "u"),
            ("meta.a.b.c", 1),
            ("links[rel=next].url", "n"),
            ("links[rel=self].url", "s"),
            ("links[rel=last].url", None),
            ("next.0.uri", "v"),
            ("next.uri", "v"),
        ],
    )
    def test_names_with_dots_and_lists_resolve(self, path: str, value: Any) -> None:
        assert opened(self.body, "data").value(path) == value


class TestCSV:
    @pytest.mark.parametrize(
        ("text", "settings", "rows"),
        [
            (
                "id;name\n1;Äpfel, rot\n2;Birnen\n",
                CSVFormat(),
                [{"id": "1", "name": "Äpfel, rot"}, {"id": "2", "name": "Birnen"}],
            ),
            (
                "id;price\n1;1,50\n2;20,00\n",
                CSVFormat(),
                [{"id": "1", "price": "1,50"}, {"id": "2", "price": "20,00"}],
            ),
            ("id\tname\n1\tx, y\n", CSVFormat(), [{"id": "1", "name": "x, y"}]),
            ("a|b\n1|2\n", CSVFormat(), [{"a": "1", "b": "2"}]),
            (
                "Report\nMade,today\n\nid,n,m\n1,2,3\n4,5,6\nGrand Total:,7,9\n",
                CSVFormat(),
                [{"id": "1", "n": "2", "m": "3"}, {"id": "4", "n": "5", "m": "6"}],
            ),
            ("x;y\nid;n\n1;2\n", CSVFormat(skip=1), [{"id": "1", "n": "2"}]),
            (
                "1~2\n3~4\n",
                CSVFormat(delimiter="~", header=False),
                [{"column_1": "1", "column_2": "2"}, {"column_1": "3", "column_2": "4"}],
            ),
            ("note\na;b\n", CSVFormat(delimiter=","), [{"note": "a;b"}]),
        ],
    )
    def test_delimiter_preamble_and_totals_are_detected(
        self, text: str, settings: CSVFormat, rows: list[Any]
    ) -> None:
        assert decoded(opened(text, format="csv", kind="text/csv", csv=settings)) == rows

    def test_charsets_are_detected(self) -> None:
        text = "name,city\nMüller,Köln\n"
        for body, kind, settings in (
            (b"\xff\xfe" + text.encode("utf-16-le"), "text/csv", CSVFormat()),
            (text.encode("utf-16"), "text/csv; charset=utf-16", CSVFormat()),
            (text.encode("latin-1"), "text/csv", CSVFormat()),
            (text.encode("cp850"), "text/csv", CSVFormat(encoding="cp850")),
        ):
            assert decoded(opened(body, format="csv", kind=kind, csv=settings)) == [
                {"name": "Müller", "city": "Köln"}
            ]


class TestInheritedColumns:
    column = (InheritedColumn("zone", 1, ("name",)),)

    def test_rows_of_maps_have_the_values_of_their_own_object(self) -> None:
        zones = [{"name": "a", "rec": {"x": {"n": 1}, "y": {"n": 2}}}, {"name": "b", "rec": {"z": {"n": 3}}}]
        found = opened(json.dumps({"zones": zones}), "zones.rec.*")
        found.add_inherited_columns(self.column)
        assert [(row["key"], row["zone"]) for row in decoded(found)] == [("x", "a"), ("y", "a"), ("z", "b")]

    def test_rows_below_a_header_have_the_values_of_their_own_object(self) -> None:
        zones = [{"name": "a", "v": [["n"], [1], [2]]}, {"name": "b", "v": [["n"], [3]]}]
        found = opened(json.dumps({"zones": zones}), "zones.v", names_path="$.zones.v.0")
        found.add_inherited_columns(self.column)
        assert decoded(found) == [{"n": 1, "zone": "a"}, {"n": 2, "zone": "a"}, {"n": 3, "zone": "b"}]
