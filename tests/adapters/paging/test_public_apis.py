"""Lists of public APIs, read as a first spec would: ``paging: auto`` and nothing else.

``apis.jsonl`` has an API a line, with its pages by query; other queries get the first page, as of an API that
ignores parameters it does not know. ``{"@rows": [0, 5]}`` stands for rows. The outcome is ``whole``, or the
load ``fails`` and names the hint, or the response has no hint and the reason is ``noted``. No outcome is a
shorter table without a word.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.fault_server import FaultServer, MockResponse, RecordedRequest
from tests.support.rest_tables import MakeAdapter, decode_rows, table
from unify.adapters.base import Listeners, Read
from unify.adapters.spec.paging import Paging
from unify.errors import BadResponse

CASES = [
    json.loads(line)
    for line in Path(__file__).with_name("apis.jsonl").read_text(encoding="utf-8").splitlines()
]
ROWS = [{"id": number, "name": f"n{number}"} for number in range(1, 14)]
HOST = "http://api.example"


def fill(value: Any, url: str) -> Any:
    match value:
        case {"@rows": [start, end]}:
            return ROWS[start:end]
        case dict():
            return {name: fill(inner, url) for name, inner in value.items()}
        case list():
            return [fill(inner, url) for inner in value]
        case str():
            return value.replace(HOST, url)
        case _:
            return value


def serve(api: FaultServer, case: dict[str, Any]) -> None:
    def respond(request: RecordedRequest) -> MockResponse:
        pages = case["pages"]
        page = next((each for each in pages if each["query"] == dict(request.query)), pages[0])
        headers = fill(page.get("headers", {}), api.url)
        response = MockResponse.json(fill(page["body"], api.url))
        return response.with_headers(**{name.replace("-", "_"): text for name, text in headers.items()})

    api.serve("/things", respond)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["api"])
def test_a_list_is_read_whole_or_the_user_is_told(
    case: dict[str, Any], api: FaultServer, make_adapter: MakeAdapter
) -> None:
    serve(api, case)
    notes: list[str] = []
    name = case.get("table", "stuff")
    spec = table(name, path="/things", paging=Paging())
    pages = make_adapter(spec, listeners=Listeners(note=notes.append)).pages(name, Read())
    match case["outcome"]:
        case "whole":
            assert decode_rows(pages) == case.get("rows", ROWS)
        case "fails":
            with pytest.raises(BadResponse, match=r"set paging(\.type)? for this table"):
                decode_rows(pages)
        case "noted":
            assert len(decode_rows(pages)) < len(ROWS)
            assert any("may be a page size" in note or "is not complete" in note for note in notes)


def test_there_are_enough_apis() -> None:
    assert len(CASES) >= 200
    assert sum(case["outcome"] == "whole" for case in CASES) >= 130
