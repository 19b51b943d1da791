"""Which member of a body holds the rows, where the spec does not say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from unify.adapters.formats.body import RecordSelector
from unify.adapters.formats.records import parse_body

ONE, TWO, THREE = [{"n": n} for n in range(1)], [{"n": n} for n in range(2)], [{"n": n} for n in range(3)]
MAP = {f"u{n}": {"n": n} for n in range(25)}


@pytest.mark.parametrize(
    ("body", "path", "rows"),
    [
        ({"things": [], "users": TWO}, "things", 0),
        ({"thing": ONE, "owners": TWO}, "thing", 1),
        ({"Things": ONE, "owners": TWO}, "Things", 1),
        ({"thingsList": ONE, "owners": TWO}, "thingsList", 1),
        ({"data": {"things": ONE, "users": TWO}}, "data.things", 1),
        ({"data": ONE, "included": THREE}, "data", 1),
        ({"things": ["a", "b"], "details": TWO}, "details", 2),
        ({"response": {"numFound": 0, "docs": []}, "responseHeader": {"status": 0}}, "response.docs", 0),
        ({"hits": {"total": 0, "hits": []}, "took": 1, "_shards": {"failed": 0}}, "hits.hits", 0),
        ({"name": "x", "data": {"values": []}}, "", 1),
        ({"page": 1, "data": MAP}, "data", 25),
        ({"data": MAP}, "data", 25),
        ({"id": 1, "friends": MAP}, "", 1),
    ],
)
def test_the_rows_are_found(body: dict[str, Any], path: str, rows: int) -> None:
    found = parse_body(
        json.dumps(body).encode(), "application/json", RecordSelector(table="things"), "GET http://api/x"
    )
    assert (found.rows_path, len(found.rows)) == (path, rows)


@pytest.mark.parametrize(
    ("table", "member"),
    [
        ("my_things", "myThings"),
        ("categories", "category"),
        ("boxes", "Box"),
        ("statuses", "status"),
        ("classes", "classList"),
        ("series", "series"),
        ("addresses", "address"),
    ],
)
def test_a_list_with_the_name_of_the_table_in_another_spelling_holds_the_rows(
    table: str, member: str
) -> None:
    body = json.dumps({member: ONE, "others": TWO}).encode()
    found = parse_body(body, "application/json", RecordSelector(table=table), "GET http://api/x")
    assert found.rows_path == member
