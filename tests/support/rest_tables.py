"""Table specs and adapters for tests of ``RESTAdapter``."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tests.support.fault_server import MockResponse
from unify.adapters.base import Page
from unify.adapters.http.rate_limit import Clock
from unify.adapters.rest.adapter import RESTAdapter
from unify.adapters.spec.model import TableSpec
from unify.adapters.spec.paging import Paging
from unify.adapters.spec.table_keys import ForEach

MakeAdapter = Callable[..., RESTAdapter]


class FixedClock(Clock):
    def __init__(self, now: float) -> None:
        self.now = now

    def time(self) -> float:
        return self.now


class ImpatientClock(Clock):
    """A clock that a wait sets forward instead of taking time."""

    def __init__(self) -> None:
        self._skipped_s = 0.0

    def time(self) -> float:
        return super().time() + self._skipped_s

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        self._skipped_s += seconds
        return stop.is_set()


def table(name: str = "things", path: str = "", **settings: Any) -> TableSpec:
    settings.setdefault("paging", Paging("page"))
    request = f"{settings.pop('method', 'GET')} {path or f'/{name}'}"
    return TableSpec(name, (request, *settings.pop("fallback_requests", ())), **settings)


def decode_rows(pages: Sequence[Page] | Iterator[Page]) -> list[Any]:
    return [json.loads(row) for page in pages for row in page.rows]


def numbered_pages(pages: int, size: int = 2) -> list[list[dict[str, int]]]:
    return [[{"id": page * size + row} for row in range(size)] for page in range(pages)]


PARENT_ROWS = [{"owner": "o", "repo": f"r{number}"} for number in range(6)]


def child_table(**settings: Any) -> TableSpec:
    settings.setdefault("paging", Paging("link_header"))
    return table(
        "pulls", "/repos/{owner}/{repo}/pulls", for_each=ForEach("select 1", tables=("repos",)), **settings
    )


PAGE_FAULTS: dict[str, MockResponse] = {
    "400": MockResponse.error(400),
    "401": MockResponse.error(401),
    "403": MockResponse.error(403),
    "404": MockResponse.error(404),
    "410": MockResponse.error(410),
    "422": MockResponse.error(422),
    "html": MockResponse.text("<html>please log in</html>"),
    "empty": MockResponse(),
    "cut json": MockResponse(body=b'[{"id":1},'),
    "cut json without length": MockResponse(body=b'[{"id":1},', framing="close"),
    "object without rows": MockResponse.json({"message": "oops"}),
    "text": MockResponse.json("nothing"),
    "null": MockResponse.json(None),
    "not gzip": MockResponse(body=b"[]").with_headers(Content_Encoding="gzip"),
    "deep": MockResponse(body=b'[{"id":' + b"[" * 200_000),
    "large": MockResponse(body=b"[" + b" " * 40_000_000 + b"]", framing="close"),
    "redirect away": MockResponse.redirect("http://127.0.0.1:1/x"),
    "redirect to nothing": MockResponse.redirect("/nowhere"),
    "bad link": MockResponse.json([{"id": 3}]).with_headers(Link='<http://evil.example/x>; rel="next"'),
    "nan": MockResponse(body=b'[{"id":nan}]'),
    "not utf-8": MockResponse(body=b'[{"id":"\xff\xfe"}]'),
}
