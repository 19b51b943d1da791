"""Pages of XML, CSV and JSON lines with ``paging: auto``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.support.fault_server import FaultServer, MockResponse, RecordedRequest
from tests.support.rest_tables import MakeAdapter, decode_rows, table
from unify.adapters.base import Read
from unify.adapters.spec.paging import Paging
from unify.errors import BadResponse

ROW_COUNT, SIZE = 13, 5
Query = Mapping[str, str]
Answer = tuple[str, dict[str, str]]


def elements(at: int, name: str) -> str:
    return "".join(f"<{name}><id>{n}</id></{name}>" for n in range(at, min(at + SIZE, ROW_COUNT)))


def position(query: Query, name: str, first: int = 0) -> int:
    return int(query.get(name, f"m{first}").removeprefix("m")) - first


def arxiv(query: Query) -> Answer:
    at, uri = position(query, "start"), 'xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/"'
    head = "".join(
        f"<opensearch:{name} {uri}>{value}</opensearch:{name}>"
        for name, value in (("totalResults", ROW_COUNT), ("startIndex", at), ("itemsPerPage", SIZE))
    )
    return f"<feed>{head}{elements(at, 'entry')}</feed>", {}


def atom(query: Query) -> Answer:
    at = position(query, "at")
    link = f'<link rel="next" href="/things?at={at + SIZE}"/>' if at + SIZE < ROW_COUNT else ""
    return f'<feed><link rel="self" href="x"/>{link}{elements(at, "entry")}</feed>', {}


def oai(query: Query) -> Answer:
    at = position(query, "resumptionToken")
    token = f"m{at + SIZE}" if at + SIZE < ROW_COUNT else ""
    element = f'<resumptionToken completeListSize="{ROW_COUNT}" cursor="{at}">{token}</resumptionToken>'
    return f"<OAI-PMH><ListRecords>{elements(at, 'record')}{element}</ListRecords></OAI-PMH>", {}


def flickr(query: Query) -> Answer:
    page = position(query, "page", 1)
    attributes = f'page="{page + 1}" pages="3" perpage="5" total="13"'
    return f'<rsp stat="ok"><photos {attributes}>{elements(page * SIZE, "photo")}</photos></rsp>', {}


def s3(query: Query) -> Answer:
    at = position(query, "marker")
    more = at + SIZE < ROW_COUNT
    marker = f"<NextMarker>m{at + SIZE}</NextMarker>" if more else ""
    flag = f"<MaxKeys>5</MaxKeys><IsTruncated>{str(more).lower()}</IsTruncated>"
    return f"<ListBucketResult>{flag}{marker}{elements(at, 'Contents')}</ListBucketResult>", {}


def azure_blobs(query: Query) -> Answer:
    at = position(query, "marker")
    marker = f"<NextMarker>m{at + SIZE}</NextMarker>" if at + SIZE < ROW_COUNT else "<NextMarker/>"
    return f"<EnumerationResults><Blobs>{elements(at, 'Blob')}</Blobs>{marker}</EnumerationResults>", {}


def sru(query: Query) -> Answer:
    at = position(query, "startRecord", 1)
    following = at + SIZE + 1
    tail = f"<nextRecordPosition>{following}</nextRecordPosition>" if following <= ROW_COUNT else ""
    count = f"<numberOfRecords>{ROW_COUNT}</numberOfRecords>"
    return f"<response>{count}<records>{elements(at, 'record')}</records>{tail}</response>", {}


def csv_lines(at: int) -> str:
    return "id\n" + "".join(f"{n}\n" for n in range(at, min(at + SIZE, ROW_COUNT)))


def salesforce_bulk(query: Query) -> Answer:
    at = position(query, "locator")
    return csv_lines(at), {"Sforce-Locator": f"m{at + SIZE}" if at + SIZE < ROW_COUNT else "null"}


def csv_next_page(query: Query) -> Answer:
    page = max(position(query, "page", 1), 0)
    return csv_lines(page * SIZE), {"X-Next-Page": str(page + 2) if page < 2 else "0"}


def jsonl_cursor(query: Query) -> Answer:
    at = position(query, "cursor")
    lines = "".join(f'{{"id":"{n}"}}\n' for n in range(at, min(at + SIZE, ROW_COUNT)))
    return lines, {"X-Next-Cursor": f"m{at + SIZE}"} if at + SIZE < ROW_COUNT else {}


def serve(api: FaultServer, respond_to: Callable[[Query], Answer]) -> None:
    def respond(request: RecordedRequest) -> MockResponse:
        text, headers = respond_to(request.query)
        named = {name.replace("-", "_"): value for name, value in headers.items()}
        return MockResponse(body=text.encode()).with_headers(**named)

    api.serve("/things", respond)


def read(make: MakeAdapter, format_: str, rows: str | None) -> list[Any]:
    spec = table(paging=Paging(), rows=rows, format=format_)
    return [int(row["id"]) for row in decode_rows(make(spec).pages("things", Read()))]


@pytest.mark.parametrize(
    ("respond_to", "format_", "rows"),
    [
        (arxiv, "xml", "entry"),
        (atom, "xml", "entry"),
        (oai, "xml", "ListRecords.record"),
        (flickr, "xml", "photos.photo"),
        (s3, "xml", "Contents"),
        (azure_blobs, "xml", "Blobs.Blob"),
        (sru, "xml", "records.record"),
        (salesforce_bulk, "csv", None),
        (csv_next_page, "csv", None),
        (jsonl_cursor, "jsonl", None),
    ],
)
def test_every_page_is_read(
    respond_to: Callable[[Query], Answer],
    format_: str,
    rows: str | None,
    api: FaultServer,
    make_adapter: MakeAdapter,
) -> None:
    serve(api, respond_to)
    assert read(make_adapter, format_, rows) == list(range(ROW_COUNT))


@pytest.mark.parametrize(
    ("text", "headers", "format_", "rows", "hint"),
    [
        ('<items total="13">{}</items>', {}, "xml", "item", "total: 13"),
        ("<r><head><hasMore>true</hasMore></head>{}</r>", {}, "xml", "item", "hasMore: true"),
        ("<feed><os:totalResults xmlns:os='u'>13</os:totalResults>{}</feed>", {}, "xml", "item", "13"),
        (csv_lines(0), {"X-Total-Count": "13"}, "csv", None, "X-Total-Count: 13"),
        (csv_lines(0), {"Content-Range": "items 0-4/13"}, "csv", None, "Content-Range: 13"),
        (json.dumps({"id": 1}) + "\n", {"X-Truncated": "true"}, "jsonl", None, "X-Truncated: true"),
    ],
)
def test_a_hint_that_cannot_be_followed_is_named(
    text: str,
    headers: dict[str, str],
    format_: str,
    rows: str | None,
    hint: str,
    api: FaultServer,
    make_adapter: MakeAdapter,
) -> None:
    serve(api, lambda _query: (text.replace("{}", elements(0, "item")) if rows else text, headers))
    with pytest.raises(BadResponse, match=rf"{hint}, .* set paging\.type for this table"):
        read(make_adapter, format_, rows)
