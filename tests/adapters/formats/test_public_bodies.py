"""Bodies of public APIs with status 200: empty lists, rows with states of their own, and errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from unify.adapters.formats.body import RecordSelector, ResponseBody
from unify.adapters.formats.records import parse_body
from unify.errors import BadResponse

FOLDER = Path(__file__).with_name("bodies")


def read_cases(name: str) -> list[Any]:
    lines = (FOLDER / name).read_text(encoding="utf-8").splitlines()
    return [pytest.param(case, id=case["api"]) for case in map(json.loads, lines)]


def parse(body: Any, selector: RecordSelector = RecordSelector()) -> ResponseBody:  # noqa: B008
    return parse_body(json.dumps(body).encode(), "application/json", selector, "GET http://api/x")


@pytest.mark.parametrize("case", read_cases("without_errors.jsonl"))
def test_an_empty_list_and_rows_with_states_are_no_errors(case: dict[str, Any]) -> None:
    """Both on a first load and on later ones, which know where the list is."""
    body = parse(case["body"])
    assert len(body.rows) == case["rows"]
    kept = RecordSelector(body.rows_path, seen_as="list", expect_list=body.is_list, is_detected=True)
    assert len(parse(case["body"], kept).rows) == case["rows"]


@pytest.mark.parametrize("case", read_cases("errors.jsonl"))
def test_an_error_with_status_200_is_never_a_table(case: dict[str, Any]) -> None:
    for selector in (RecordSelector(), RecordSelector("data", seen_as="list", is_detected=True)):
        with pytest.raises(BadResponse):
            parse(case["body"], selector)


def test_there_are_enough_bodies() -> None:
    assert len(read_cases("without_errors.jsonl")) >= 60
    assert len(read_cases("errors.jsonl")) >= 40


@pytest.mark.parametrize(
    "empty",
    [
        {"account_id": 1, "data": {"boards": []}},
        {"account_id": 1, "data": {"boards": None}},
        {"account_id": 1, "data": {}},
        {"account_id": 1},
    ],
)
def test_an_empty_response_that_looks_like_a_row_does_not_hide_later_rows(empty: dict[str, Any]) -> None:
    """A first load cannot tell; the next one reads the list, or fails and names both places."""
    full = {"account_id": 1, "data": {"items": [{"id": 1}, {"id": 2}]}}
    first = parse(empty)
    kept = RecordSelector(
        first.rows_path, seen_as=first.rows_kind, expect_object=not first.rows_path, is_detected=True
    )
    if not first.is_certain:
        assert len(parse(full).rows) == 2
        kept = replace(kept, path="", seen_as="object", expect_object=True)
    with pytest.raises(BadResponse, match=r"now there are rows at data\.items; set rows: data\.items"):
        parse(full, kept)
    assert len(parse(full, replace(kept, is_detected=False)).rows) == 1


def test_rows_in_an_object_of_any_name_are_found_beside_members_of_an_envelope() -> None:
    body = {"pagination": {"pageNumber": "1", "totalAvailable": "2"}, "workbooks": {"workbook": [{"id": 1}]}}
    assert parse(body).rows_path == "workbooks.workbook"
    row = {"name": "x", "owner": {"teams": [{"id": 1}]}}
    assert [json.loads(each) for each in parse(row).rows] == [row]
