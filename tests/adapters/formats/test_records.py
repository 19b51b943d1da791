"""Records in response bodies, byte for byte, and the errors for bodies without records."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unify.adapters.formats.body import RecordSelector, ResponseBody
from unify.adapters.formats.locate import last_value
from unify.adapters.formats.records import parse_body
from unify.adapters.spec.checks.spec import inherited_columns
from unify.adapters.spec.table_keys import ColumnDef
from unify.errors import BadResponse

ADDRESS = "GET http://api/things"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SCALARS = st.none() | st.booleans() | st.integers() | TEXTS
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.sampled_from("abc"), SCALARS)


def opened(body: bytes | str, path: str | None = None, **options: Any) -> ResponseBody:
    kind = options.pop("content_type", "application/json")
    data = body.encode() if isinstance(body, str) else body
    return parse_body(data, kind, RecordSelector(path, **options), ADDRESS)


def refused(body: bytes | str, path: str | None = None, **options: Any) -> str:
    with pytest.raises(BadResponse) as caught:
        opened(body, path, **options)
    assert ADDRESS in caught.value.message
    return caught.value.message


class TestRows:
    def test_are_the_bytes_of_the_source(self) -> None:
        body = '[{"id":123456789012345678901234567890,"x":1.10,"a":1,"a":2}, {"s":"\\u00e9é"}]'
        assert opened(body).rows == [
            b'{"id":123456789012345678901234567890,"x":1.10,"a":1,"a":2}',
            '{"s":"\\u00e9é"}'.encode(),
        ]

    def test_lie_on_one_line_each(self) -> None:
        pretty = json.dumps([{"a": {"b": [1, 2]}, "s": "x\ny"}, {"a": None}], indent=2).replace("\n", "\r\n")
        rows = opened(pretty).rows
        assert all(b"\n" not in row and b"\r" not in row for row in rows)
        assert [json.loads(row) for row in rows] == json.loads(pretty)

    def test_that_are_not_objects_become_objects(self) -> None:
        assert opened('[1,"two",null,[3]]').rows == [
            b'{"value":1}',
            b'{"value":"two"}',
            b'{"value":null}',
            b'{"value":[3]}',
        ]

    @pytest.mark.parametrize(
        ("body", "path", "found"),
        [
            ({"items": [{"a": 1}]}, None, "items"),
            ({"total": 1, "pulls": [{"a": 1}], "errors": []}, None, "pulls"),
            ({"small": [{"b": 1}], "large": [{"a": 1}, {"a": 2}]}, None, "large"),
            ({"data": {"rows": [{"a": 1}]}}, None, "data.rows"),
            (
                {"data": {"viewer": {"issues": {"nodes": [{"a": 1}], "pageInfo": {}}}}},
                None,
                "data.viewer.issues.nodes",
            ),
            ({"id": 7, "tags": ["x"]}, None, ""),
            ({"id": 7, "tags": []}, None, ""),
            ({"result": {"id": 7, "name": "x"}}, None, "result"),
            ({"items": [], "total": 0}, None, "items"),
            ({"zebras": [], "total": 0}, None, "zebras"),
            ({"a": {"b": [{"x": 1}]}, "c": 1}, "a.b", "a.b"),
        ],
    )
    def test_are_found_at_their_path(self, body: Any, path: str | None, found: str) -> None:
        assert opened(json.dumps(body), path).rows_path == found

    def test_of_lists_in_lists_come_in_order(self) -> None:
        body = {"groups": [{"items": [{"a": 1}, {"a": 2}]}, {"items": []}, {"items": [{"a": 3}]}]}
        assert [json.loads(row)["a"] for row in opened(json.dumps(body), "groups.items").rows] == [1, 2, 3]

    def test_a_path_to_an_object_is_one_row_and_to_null_none(self) -> None:
        assert opened('{"user":{"id":1}}', "user").rows == [b'{"id":1}']
        assert opened('{"user":null}', "user").rows == []

    @pytest.mark.parametrize("body", ["{}", '{"kind":"list","nextPageToken":"x"}'])
    def test_may_be_missing_if_the_path_is_optional(self, body: str) -> None:
        assert opened(body, "items").rows == []

    def test_an_empty_path_takes_the_whole_object(self) -> None:
        assert opened('{"items":[{"a":1}]}', "").rows == [b'{"items":[{"a":1}]}']

    def test_a_table_named_like_an_empty_member_has_no_rows(self) -> None:
        assert opened('{"id":1,"wolves":[],"x":[]}', table="wolves").rows == []

    @settings(max_examples=40, deadline=None)
    @given(
        st.lists(st.dictionaries(TEXTS, VALUES, max_size=4), max_size=5),
        st.sampled_from([None, 1]),
        st.booleans(),
    )
    def test_keep_every_value(self, rows: list[Any], indent: int | None, ascii_only: bool) -> None:
        body = json.dumps(rows, indent=indent, ensure_ascii=ascii_only)
        assert [json.loads(row) for row in opened(body).rows] == rows
        within = json.dumps({"meta": {"n": 1}, "list": rows}, indent=indent, ensure_ascii=ascii_only)
        assert [json.loads(row) for row in opened(within, "list").rows] == rows


class TestOtherFormats:
    def test_json_lines(self) -> None:
        assert opened('{"a":1}\n\n{"a":2}\n', format="jsonl").rows == [b'{"a":1}', b'{"a":2}']

    def test_csv_values_are_strings(self) -> None:
        body = '\ufeffid,name\r\n1,"a, ""b""\nc"\r\n2,\r\n'
        assert [json.loads(row) for row in opened(body, format="csv", content_type="text/csv").rows] == [
            {"id": "1", "name": 'a, "b"\nc'},
            {"id": "2", "name": None},
        ]

    def test_a_csv_line_with_too_many_fields_is_refused(self) -> None:
        assert "row 1" in refused("a,b\n1,2,3\n", format="csv")

    def test_an_invalid_json_line_is_named(self) -> None:
        message = refused('{"a":1}\n\n{"a":\n{"a":3}\n', format="jsonl")
        assert "line 3 is not JSON" in message
        assert "'{\"a\":'" in message

    @pytest.mark.parametrize("form", ["jsonl", "csv"])
    def test_line_formats_have_no_values_outside_the_rows(self, form: str) -> None:
        body = '{"a":1}\n{"a":2}\n' if form == "jsonl" else "a\n1\n2\n"
        envelope = opened(body, format=form)
        assert (len(envelope.rows), envelope.value("next"), envelope.outside()) == (2, None, ())

    def test_columns_of_the_same_name_are_all_kept(self) -> None:
        assert opened("a,b,a\n1,2,3\n", format="csv").rows == [b'{"a":"1","b":"2","a_2":"3"}']

    def test_a_field_may_be_large(self) -> None:
        assert len(opened(f'a\n"{"x" * 200_000}"\n', format="csv").rows[0]) > 200_000

    @pytest.mark.parametrize(
        "body", ["", " \n", "<!DOCTYPE html>\n<html>", '{"error":"no"}', '\n["a"]'], ids=repr
    )
    def test_invalid_csv_is_refused(self, body: str) -> None:
        assert "expected CSV, got" in refused(body, format="csv")

    def test_a_declared_charset_is_decoded(self) -> None:
        body = '[{"s":"é"}]'.encode("latin-1")
        assert opened(body, content_type="application/json; charset=ISO-8859-1").rows == [
            '{"s":"é"}'.encode()
        ]


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            ("", "is empty"),
            ("  \n", "is empty"),
            ("<!doctype html><html>", "web page"),
            ("not json", "cannot be read as JSON"),
            ('[{"a":1},{"a":', "truncated"),
            ('[{"a":nan}]', "invalid character"),
            ('[{"a":"' + "x" * 300 + '"}, oops]', "xxx\"}, oops]'"),
            ("[1]x", "trailing"),
            ('"text"', "expected a list or an object"),
            ("42", "expected a list or an object"),
            ("null", "expected a list or an object"),
            ("[" * 1_000_000, "nested deeper"),
            ('[{"a":' + "[" * 100_000 + "]" * 100_000 + "}]", "nested deeper"),
            (b'[{"a":"\xff"}]', "not valid in the charset"),
        ],
        ids=lambda value: str(value)[:20],
    )
    def test_the_message_describes_the_body(self, body: bytes | str, reason: str) -> None:
        assert reason in refused(body)

    def test_a_missing_member_is_named_with_a_suggestion(self) -> None:
        message = refused('{"items":[],"total":1}', "itms")
        assert "no member 'itms'" in message
        assert "did you mean items" in message

    def test_a_path_to_other_values_is_refused(self) -> None:
        assert "expected rows at 'items'" in refused('{"items":"none"}', "items")
        assert "expected rows at 'a.b'" in refused('{"a":5}', "a.b")
        assert "expected rows at 'a.b'" in refused('{"a":null}', "a.b")
        assert "expected a list or an object" in refused("null", "a.b")

    @pytest.mark.parametrize("data", [None, {"issues": {"nodes": [{"id": 1}]}}])
    def test_graphql_errors_next_to_data_are_an_error(self, data: Any) -> None:
        body = json.dumps({"data": data, "errors": [{"message": "field x is unknown"}]})
        assert "field x is unknown" in refused(body, "data.issues.nodes")


class TestValues:
    body = '{"meta":{"next":"c1","n":12345678901234567890,"list":[{"x":1},{"x":2}]},"items":[],"a.b":7}'

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("meta.next", "c1"),
            ("meta.n", 12345678901234567890),
            ("meta.list.1.x", 2),
            ("meta.list.-1.x", 2),
            ("meta.list.7.x", None),
            ("meta.none", None),
            ("none.at.all", None),
            ("meta.next.deeper", None),
            ("a.b", 7),
        ],
    )
    def test_are_found_at_dotted_paths(self, path: str, value: Any) -> None:
        assert opened(self.body).value(path) == value

    def test_for_columns_are_scalars(self) -> None:
        envelope = opened(self.body)
        assert envelope.scalar("meta.next") == "c1"
        assert envelope.scalar("meta.list") == '[{"x":1},{"x":2}]'
        assert envelope.scalar("nothing") is None

    def test_of_a_list_are_by_number(self) -> None:
        assert opened('[{"id":5},{"id":6}]').value("1.id") == 6


class TestLastValue:
    row = b'{"id":9007199254740993,"user":{"login":"ann","Site":{"At":"x"}},"b":true,"n":null,"user_x":1}'

    @pytest.mark.parametrize(
        ("column", "value"),
        [
            ("id", "9007199254740993"),
            ("user_login", "ann"),
            ("user.login", "ann"),
            ("user_site_at", None),
            ("user_Site_At", "x"),
            ("user_x", "1"),
            ("b", "true"),
            ("n", None),
            ("user", None),
            ("ID", "9007199254740993"),
            ("missing", None),
        ],
    )
    def test_finds_a_column_by_any_of_its_names(self, column: str, value: str | None) -> None:
        assert last_value([b"{}", self.row], column) == value

    def test_of_an_empty_page_is_none(self) -> None:
        assert last_value([], "id") is None


RSS = """<?xml version="1.0" encoding="{encoding}"?>
<rss xmlns:dc="http://purl.org/dc/elements/1.1/"><channel><title>Café</title>
<item id="1"><dc:creator>Zoë</dc:creator><tag>a</tag><tag>b &lt; c</tag><note/></item>
<item id="2"><price currency="EUR"> 5.10 </price><![CDATA[<raw>]]></item></channel></rss>"""


class TestXML:
    @pytest.mark.parametrize("encoding", ["utf-8", "iso-8859-1", "windows-1252", "utf-16"])
    def test_elements_become_objects_of_strings(self, encoding: str) -> None:
        found = opened(RSS.format(encoding=encoding).encode(encoding), "channel.item", format="xml")
        assert [json.loads(row) for row in found.rows] == [
            {"id": "1", "dc_creator": "Zoë", "tag": ["a", "b < c"], "note": None},
            {"id": "2", "price": {"currency": "EUR", "text": "5.10"}, "text": "<raw>"},
        ]
        assert found.value("channel.title") == "Café"

    def test_the_charset_of_the_header_overrides_that_of_the_document(self) -> None:
        body = "<r><i><a>é</a></i></r>".encode("iso-8859-1")
        found = opened(body, "i", format="xml", content_type="text/xml; charset=ISO-8859-1")
        assert found.rows == ['{"a":"é"}'.encode()]

    def test_one_row_an_empty_list_and_plain_texts_are_read(self) -> None:
        assert opened("<r><i><a>1</a></i></r>", "i", format="xml").rows == [b'{"a":"1"}']
        assert opened("<r><n>1</n></r>", "i", format="xml").rows == []
        assert opened("<r/>", "i", format="xml").rows == []
        assert opened("<r><i>x</i><i/></r>", "i", format="xml").rows == [b'{"value":"x"}', b'{"value":null}']

    def test_elements_within_several_others_come_in_their_order(self) -> None:
        body = "<r><day><h n='1'/><h n='2'/></day><day><h n='3'/></day><day/></r>"
        assert [json.loads(row)["n"] for row in opened(body, "day.h", format="xml").rows] == ["1", "2", "3"]

    @pytest.mark.parametrize("root", ["html", "HTML", "error", "ErrorResponse", "Fault"])
    def test_a_web_page_or_an_error_document_is_refused(self, root: str) -> None:
        message = refused(f"<{root}><message>bad key</message></{root}>", "item", format="xml")
        assert f"<{root}>" in message
        assert "bad key" in message

    def test_a_wrong_path_names_the_existing_elements(self) -> None:
        assert "no element 'chanel'" in refused("<r><channel/></r>", "chanel.item", format="xml")
        assert "there are channel" in refused("<r><channel/></r>", "chanel.item", format="xml")

    @pytest.mark.parametrize(
        "declared",
        [
            '<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>',
            '<!DOCTYPE r [<!ENTITY b SYSTEM "file:///etc/passwd">]>',
            '<!DOCTYPE r SYSTEM "http://127.0.0.1:1/x.dtd">',
            '<!DOCTYPE r [<!ENTITY % b SYSTEM "http://127.0.0.1/x">%b;]>',
        ],
    )
    def test_entities_are_refused_before_they_are_expanded(self, declared: str) -> None:
        message = refused(f"{declared}<r><i>&b;</i></r>", "i", format="xml")
        assert "entities of its own" in message

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            ("<r><i></r>", "cannot be read as XML"),
            ("", "cannot be read as XML"),
            ('{"a": 1}', "cannot be read as XML"),
            ("<a>" * 100_000, "nested deeper"),
            (b"<r>\xff</r>", "cannot be read as XML"),
            ("<r><i>&undeclared;</i></r>", "cannot be read as XML"),
            ('<?xml version="1.0" encoding="klingon"?><r/>', "cannot be read as XML"),
        ],
    )
    def test_invalid_xml_is_refused(self, body: str | bytes, message: str) -> None:
        assert message in refused(body, "i", format="xml")

    def test_a_document_type_without_entities_is_accepted(self) -> None:
        body = '<!DOCTYPE r SYSTEM "http://127.0.0.1:1/never-fetched.dtd"><r><i a="1"/></r>'
        assert opened(body, "i", format="xml").rows == [b'{"a":"1"}']


def test_some_outer_elements_may_have_no_list() -> None:
    body = '{"shelves":[{"books":[{"id":1}]},{"name":"B"},{"books":null},{"books":[{"id":2}]}]}'
    assert opened(body, "shelves.books").rows == [b'{"id":1}', b'{"id":2}']
    assert "no member 'bocks'" in refused(body, "shelves.bocks")


def test_rows_are_found_in_nested_lists() -> None:
    body = '{"days":[{"hours":[{"n":1},{"n":2}]},{"hours":[]},{"hours":[{"n":3}]}]}'
    assert opened(body, "days.hours").rows == [b'{"n":1}', b'{"n":2}', b'{"n":3}']
    deeper = '{"a":[{"b":[{"c":[{"n":1}]},{"c":[{"n":2}]}]},{"b":[{"c":[{"n":3}]}]}]}'
    assert opened(deeper, "a.b.c").rows == [b'{"n":1}', b'{"n":2}', b'{"n":3}']
    within = '{"groups":[[{"hours":[{"n":1}]}],[{"hours":[{"n":2}]}]]}'
    assert opened(within, "groups.hours").rows == [b'{"n":1}', b'{"n":2}']


@pytest.mark.parametrize(
    ("body", "path", "sources", "rows"),
    [
        (
            {"groups": [{"name": "a", "items": [{"id": 1}, {}]}, {"items": [{"id": 3, "g": "own"}]}]},
            "groups.items",
            {"g": "$.groups.name"},
            [{"id": 1, "g": "a"}, {"g": "a"}, {"id": 3, "g": None}],
        ),
        (
            {
                "a": {
                    "n": 1,
                    "b": [{"m": {"k": [7]}, "c": [[{"x": 1}], {"x": 2}]}, {"c": {"x": 3}}, {"c": None}],
                }
            },
            "a.b.c",
            {"n": "$.a.n", "k": "$.a.b.m.k"},
            [{"value": [{"x": 1}]}, {"x": 2}, {"x": 3}],
        ),
    ],
)
def test_rows_inherit_columns_of_outer_objects(
    body: Any, path: str, sources: dict[str, str], rows: list[Any]
) -> None:
    lifted = inherited_columns([ColumnDef(name, source=source) for name, source in sources.items()], path)
    envelope = opened(json.dumps(body, indent=1), path=path)
    envelope.add_inherited_columns(lifted)
    found = [json.loads(row) for row in envelope.rows]
    if "n" in sources:
        assert [row["n"] for row in found] == [1, 1, 1]
        assert [row["k"] for row in found] == [[7], [7], None]
        rows = [{**row, "n": 1, "k": value} for row, value in zip(rows, ([7], [7], None), strict=True)]
    assert found == rows


def test_columns_of_the_body_and_of_the_row_are_not_inherited() -> None:
    columns = [ColumnDef("t", source="$.total"), ColumnDef("i", source="$.groups.items.id"), ColumnDef("n")]
    assert inherited_columns(columns, "groups.items") == ()


def test_a_list_after_a_page_with_one_object_is_refused() -> None:
    with pytest.raises(BadResponse, match="expected one object, as before"):
        parse_body(
            b'[{"id": 1}]',
            "application/json",
            RecordSelector("", expect_object=True),
            "GET http://api/rows?page=2",
        )
