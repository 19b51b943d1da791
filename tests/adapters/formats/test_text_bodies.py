"""CSV, JSON lines and text around JSON as APIs write them; messages and files instead of rows."""

from __future__ import annotations

import bz2
import json
import zlib
from typing import Any

import pytest

from unify.adapters.formats.body import RecordSelector
from unify.adapters.formats.records import parse_body
from unify.adapters.spec.table_keys import ResponseFormat
from unify.errors import BadResponse


def rows(body: str | bytes, format_: ResponseFormat, content_type: str = "text/plain", path: str = "") -> Any:
    data = body.encode() if isinstance(body, str) else body
    selector = RecordSelector(path or None, format_)
    return [json.loads(row) for row in parse_body(data, content_type, selector, "GET http://api/x").rows]


@pytest.mark.parametrize(
    "body",
    [
        "sep=;\r\nid;n\r\n1;a\r\n",
        "# made by x, y\n# on 2026-01-01\nid,n\n1,a\n",
        "id,n\n1,a,\n",
        "id, n\n1,a\n",
        "id,n,\n1,a,\n",
    ],
)
def test_csv_of_spreadsheets_and_reports_is_read(body: str) -> None:
    (row,) = rows(body, "csv")
    assert (row["id"], row["n"]) == ("1", "a")


@pytest.mark.parametrize(
    "body",
    [
        "Request limit exceeded",
        "ERROR: invalid token\n",
        "error,message\n401,Unauthorized\n",
        bz2.compress(b"id,n\n1,a\n"),
        zlib.compress(b"id,n\n1,a\n"),
        b"%PDF-1.4\n1 0 obj\n",
        b"PK\x03\x04\x14\x00",
    ],
)
def test_a_message_or_a_file_is_no_csv(body: str | bytes) -> None:
    with pytest.raises(BadResponse):
        rows(body, "csv")


def test_a_header_line_alone_is_a_csv_without_rows() -> None:
    assert rows("id,n\n", "csv") == []
    assert rows("id\n", "csv") == []


@pytest.mark.parametrize(
    "body", ['[{"id":1},{"id":2}]', '\x1e{"id":1}\n\x1e{"id":2}\n', '{"id":1}\r\n{"id":2}']
)
def test_json_lines_in_other_forms_are_read(body: str) -> None:
    assert rows(body, "jsonl") == [{"id": 1}, {"id": 2}]


@pytest.mark.parametrize("body", ['{"error":"bad token"}\n', '{"id":1}\n{"error":"stream aborted"}\n'])
def test_an_error_in_json_lines_is_no_row(body: str) -> None:
    with pytest.raises(BadResponse, match="a line is an error and no row"):
        rows(body, "jsonl")


@pytest.mark.parametrize(
    "body", ['callback([{"id":1}]);', '/**/ cb.x({"id":1})', '])}while(1);</x>[{"id":1}]', '[{"id":1}]\0']
)
def test_text_around_json_is_skipped(body: str) -> None:
    assert rows(body, "json") == [{"id": 1}]


def test_xml_is_read_in_the_encoding_it_declares_if_the_header_is_wrong() -> None:
    body = '<?xml version="1.0" encoding="ISO-8859-1"?><r><x><n>ä</n></x></r>'.encode("latin-1")
    assert rows(body, "xml", "text/xml; charset=utf-8", "x") == [{"n": "ä"}]


def test_an_error_in_xml_with_an_empty_list_is_an_error() -> None:
    body = "<r><status>error</status><message>no</message><items/></r>"
    with pytest.raises(BadResponse, match="the response is an error"):
        rows(body, "xml", "text/xml", "items.item")
    assert rows("<r><status>ok</status><items/></r>", "xml", "text/xml", "items.item") == []
