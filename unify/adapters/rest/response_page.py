"""One response as a page: its rows, links and counts, and what identifies it."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from unify.adapters.formats.body import ResponseBody
from unify.adapters.formats.locate import last_value
from unify.adapters.http.messages import Response
from unify.adapters.paging.base import Member
from unify.adapters.paging.links import parse_link_header, resolve_link


class ResponsePageInfo:
    """The page information of one response.

    ``is_end``  there is no such page, and so the pages end.
    """

    def __init__(
        self,
        response: Response,
        response_body: ResponseBody,
        resolve: Callable[[str, str], str] = resolve_link,
        *,
        is_end: bool = False,
    ) -> None:
        self._response = response
        self._body = response_body
        self._resolve = resolve
        self.is_end = is_end
        self.headers = response.headers
        self.rows = response_body.rows
        self.rows_path = response_body.rows_path
        self.row_count = response_body.outer_count
        total = response.headers.get("content-range", "").rpartition("/")[2]
        self.is_partial = response.status == 206 and not total.strip().isdigit()
        self.body_bytes = len(response.body)
        self._links: Mapping[str, str] | None = None

    def value(self, path: str) -> Any:
        return self._body.value(path)

    def outside(self) -> Sequence[Member]:
        return self._body.outside()

    def links(self) -> Mapping[str, str]:
        if self._links is None:
            links = parse_link_header(self._response.headers.get("link", ""))
            self._links = {rel: self.absolute_url(url) for rel, url in links.items()}
        return self._links

    def last_value(self, column: str) -> str | None:
        return last_value(self.rows, column)

    def absolute_url(self, link: str) -> str:
        return self._resolve(self._response.url, link)


def rows_digest(rows: Sequence[bytes]) -> str:
    """Identifies the rows of a page: rows that come or go before it change the first or last one.

    A checksum of all rows would cost a tenth of a load's CPU time.
    """
    ends = zlib.crc32(rows[-1], zlib.crc32(rows[0])) if rows else 0
    return f"{len(rows)} {sum(map(len, rows))} {ends}"
