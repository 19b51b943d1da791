"""Bodies with status 200 that report an error or a result that is not ready, and those that do not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from unify.adapters.formats.body import RecordSelector
from unify.adapters.formats.records import parse_body
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
    {"state": "RUNNING", "items": EMPTY, "progress": 10},
    {"state": "running", "job_id": "a1", "items": EMPTY},
    {"status": "queued", "retry_after": 5, "items": EMPTY},
    {"status": "pending", "result": None},
    {"message": "Invalid API key", "items": EMPTY},
    {"message": "Rate limit exceeded. Try again in 5 s", "items": EMPTY},
    {"msg": "Parameter 'from' is required", "items": EMPTY},
    {"detail": "No data: access denied", "items": EMPTY},
    {"message": "An internal error occurred", "items": EMPTY},
    {"message": "Failed to load the rows", "items": EMPTY},
    {"resultDescription": "invalid_token", "items": EMPTY},
    {"error_description": "The access token expired", "items": EMPTY},
    {"code": 1, "msg": "signature wrong", "count": 0, "data": EMPTY},
    {"code": 401, "description": "x", "total": 0, "items": EMPTY},
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
# Texts and states about the rows, or that nothing failed; each with the member that is the list.
NO_ERRORS: list[tuple[str, dict[str, Any]]] = [
    ("data", {"message": "No errors found", "total": 0}),
    ("jobs", {"description": "Failed jobs of today"}),
    ("items", {"title": "Required reviews"}),
    ("alerts", {"state": "running"}),
    ("incidents", {"status": "scheduled"}),
    ("results", {"warnings": "param limit exceeds 100, 100 used"}),
    ("rows", {"notice": "Unknown key values are omitted. Bad rows are dropped"}),
    ("results", {"detail": "Nothing is missing"}),
    ("rows", {"text": "missing invoices"}),
    ("jobs", {"message": "Failed jobs of today"}),
    ("invoices", {"message": "Missing invoices", "code": 0}),
    ("items", {"msg": "Completed without errors"}),
    ("items", {"message": "0 errors, 0 failed"}),
    ("items", {"message": "An empty list is not an error"}),
    ("items", {"message": "We have not found any invalid request"}),
    ("result", {"status": "0", "message": "No transactions found"}),
    ("items", {"message": "Rows with an invalid date are left out", "success": True}),
    ("items", {"message": "Rows with an invalid date are left out", "meta": {"total": 0}}),
    ("items", {"errorMessage": "No error", "errorCode": 0}),
    ("items", {"detail": "An API key is not required for this list"}),
    ("orders", {"status": "pending", "page": 1}),
    ("contracts", {"reason": "Expired contracts", "message": "Expired tokens"}),
    ("items", {"code": 200, "message": "Required documents: none missing"}),
    ("items", {"warnings": ["Field 'a' is deprecated and will be an error in v3"]}),
]
ROWS: list[dict[str, Any]] = [
    {"name": "x", "status": "running", "uptime": 5},
    {"title": "Error handling in Rust", "author": "x"},
    {"id": 1, "status": "failed", "error_count": 0},
    {"id": 5, "message": "hello"},
    {"code": "EUR", "name": "Euro"},
]


def rows(body: dict[str, Any], path: str | None = None) -> list[Any]:
    selector = RecordSelector(path)
    found = parse_body(json.dumps(body).encode(), "application/json", selector, "GET http://api/x")
    return [json.loads(row) for row in found.rows]


@pytest.mark.parametrize("body", ERRORS, ids=json.dumps)
def test_an_error_with_status_200_has_no_rows(body: dict[str, Any]) -> None:
    with pytest.raises(BadResponse, match="the response is an error or not ready"):
        rows(body)


@pytest.mark.parametrize("body", WITHOUT_ROWS, ids=json.dumps)
def test_an_empty_list_beside_no_error_is_empty(body: dict[str, Any]) -> None:
    assert rows(body) == []


@pytest.mark.parametrize(("name", "beside"), NO_ERRORS, ids=json.dumps)
def test_a_text_or_state_about_the_rows_is_no_error(name: str, beside: dict[str, Any]) -> None:
    row = {"id": 1, "message": "Invalid token", "status": "failed"}
    assert rows({**beside, name: []}, name) == []
    assert rows({name: [], **beside}) == []
    assert rows({**beside, name: [row]}, name) == [row]


def test_a_state_beside_an_empty_list_of_xml_is_no_error() -> None:
    body = b"<r><state>running</state><title>Failed jobs</title><jobs/></r>"
    selector = RecordSelector("jobs.job", "xml")
    assert list(parse_body(body, "text/xml", selector, "GET http://api/x").rows) == []


@pytest.mark.parametrize("body", ROWS, ids=json.dumps)
def test_an_object_with_a_state_of_its_own_is_a_row(body: dict[str, Any]) -> None:
    assert rows(body) == [body]


@pytest.mark.parametrize("state", [{"timed_out": True}, {"_shards": {"total": 5, "failed": 2}}])
def test_a_search_result_of_some_shards_is_partial(state: dict[str, Any]) -> None:
    body = {"timed_out": False, "_shards": {"failed": 0}, "hits": {"hits": [{"_id": 1}]}, **state}
    with pytest.raises(BadResponse, match="the result is partial"):
        rows(body)
