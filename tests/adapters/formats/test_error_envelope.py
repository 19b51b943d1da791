"""Bodies with status 200 that report an error or a result that is not ready, and those that do not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from unify.adapters.formats.records import RecordSelector, parse_body
from unify.errors import BadResponse

EMPTY: list[Any] = []
ERRORS: list[dict[str, Any]] = [
    {"status": "NOK", "msg": "bad", "items": EMPTY},
    {"status": "denied", "items": EMPTY},
    {"status": False, "data": EMPTY},
    {"state": "error", "items": EMPTY},
    {"result": "failure", "items": EMPTY},
    {"code": 40001, "message": "bad", "data": EMPTY},
    {"code": "INVALID_TOKEN", "message": "x", "data": EMPTY},
    {"errno": 5, "errmsg": "bad", "data": EMPTY},
    {"ret": -1, "data": None},
    {"resultCode": 1, "resultMessage": "Invalid key", "items": EMPTY},
    {"http_code": 500, "items": EMPTY},
    {"meta": {"code": 400, "error_type": "x"}, "data": EMPTY},
    {"header": {"status": "ERROR", "message": "no"}, "rows": EMPTY},
    {"response": {"status": "fail", "items": EMPTY}},
    {"response": {"error": "x"}},
    {"hasError": True, "data": EMPTY},
    {"valid": False, "items": EMPTY},
    {"warnings": ["Invalid token"], "items": EMPTY},
    {"faultstring": "x"},
    {"reason": "bad"},
    {"result": "error", "reason": "x"},
    {"object": "error", "message": "x"},
    {"title": "Unauthorized", "status": 401},
    {"status": "error"},
    {"status": "processing", "progress": 10},
    {"state": "RUNNING", "items": EMPTY},
    {"jobComplete": False, "items": EMPTY},
]
WITHOUT_ROWS: list[dict[str, Any]] = [
    {"items": EMPTY, "message": "No results found"},
    {"code": 0, "msg": "success", "data": EMPTY},
    {"code": 20000, "message": "ok", "items": EMPTY},
    {"results": EMPTY, "error_count": 0},
    {"status": "ZERO_RESULTS", "results": EMPTY},
    {"status": "active", "items": EMPTY},
    {"hasErrors": False, "items": EMPTY},
    {"status": True, "data": EMPTY},
    {"meta": {"code": 200}, "data": EMPTY},
    {"responseHeader": {"status": 0, "QTime": 1}, "response": {"numFound": 0, "docs": EMPTY}},
    {"took": 1, "_shards": {"failed": 0}, "hits": {"total": 0, "hits": EMPTY}},
]
ROWS: list[dict[str, Any]] = [
    {"name": "x", "status": "running", "uptime": 5},
    {"title": "Error handling in Rust", "author": "x"},
    {"id": 1, "status": "failed", "error_count": 0},
    {"id": 5, "message": "hello"},
    {"code": "EUR", "name": "Euro"},
]


def rows(body: dict[str, Any]) -> list[Any]:
    found = parse_body(json.dumps(body).encode(), "application/json", RecordSelector(), "GET http://api/x")
    return [json.loads(row) for row in found.rows]


@pytest.mark.parametrize("body", ERRORS, ids=json.dumps)
def test_an_error_with_status_200_has_no_rows(body: dict[str, Any]) -> None:
    with pytest.raises(BadResponse, match="the response is an error or not ready"):
        rows(body)


@pytest.mark.parametrize("body", WITHOUT_ROWS, ids=json.dumps)
def test_an_empty_list_beside_no_error_is_empty(body: dict[str, Any]) -> None:
    assert rows(body) == []


@pytest.mark.parametrize("body", ROWS, ids=json.dumps)
def test_an_object_with_a_state_of_its_own_is_a_row(body: dict[str, Any]) -> None:
    assert rows(body) == [body]


@pytest.mark.parametrize("state", [{"timed_out": True}, {"_shards": {"total": 5, "failed": 2}}])
def test_a_search_result_of_some_shards_is_partial(state: dict[str, Any]) -> None:
    body = {"timed_out": False, "_shards": {"failed": 0}, "hits": {"hits": [{"_id": 1}]}, **state}
    with pytest.raises(BadResponse, match="the result is partial"):
        rows(body)
