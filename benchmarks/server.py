"""A cheap API in a separate process: every response is encoded in advance.

``python -m benchmarks.server TABLE:KIND:ROWS:PAGE_ROWS:DELAY_MS …`` serves ``/TABLE?page=1`` with
``{"total": …, "pages": …, "items": […]}``; ``?since=…`` returns the changed rows, one of a hundred.
It prints its address in one line and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.tables import BenchmarkTable

CHECKOUT = Path(__file__).parent.parent
_REQUEST_LINE = re.compile(rb"GET /(\w+)(?:\?(\S*))? HTTP/1.1\r\n")
_PAGE_PARAM = re.compile(rb"(?:^|&)page=(\d+)")
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


class TableResponses:
    """The responses of one table, as bytes with head and body."""

    def __init__(self, table: BenchmarkTable) -> None:
        self.delay_s = table.delay_ms / 1000
        self._all = _encode_pages(list(table.encode_rows()), table.page_rows)
        self._changed = _encode_pages(list(table.encode_changed_rows()), table.page_rows)

    def response_for(self, query: bytes) -> bytes:
        """Return the requested page; a page after the end is empty."""
        pages = self._changed if b"since=" in query else self._all
        found = _PAGE_PARAM.search(query)
        number = int(found[1]) if found else 1
        return pages[min(number, len(pages)) - 1]


class ServerProtocol(asyncio.Protocol):
    """One persistent connection."""

    def __init__(self, tables: Mapping[bytes, TableResponses]) -> None:
        self._tables = tables
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=1 << 24)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            self._respond(head + b"\r\n")

    def _respond(self, head: bytes) -> None:
        request = _REQUEST_LINE.match(head)
        table = self._tables.get(request[1]) if request else None
        if request is None or table is None:
            self._transport.write(_NOT_FOUND)
            return
        response = table.response_for(request[2] or b"")
        if table.delay_s:
            asyncio.get_running_loop().call_later(table.delay_s, self._transport.write, response)
        else:
            self._transport.write(response)


@contextmanager
def run_server(tables: Iterable[BenchmarkTable]) -> Iterator[str]:
    """Run the API as a process; yield its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.server", *map(str, tables)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=CHECKOUT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process, process.stdin:
        yield process.stdout.readline().removeprefix("listening on ").strip()


def _encode_pages(rows: Sequence[bytes], page_rows: int) -> list[bytes]:
    """Return every page, and an empty one at the end."""
    pages = [rows[start : start + page_rows] for start in range(0, len(rows), page_rows)]
    return [_encode_response(page, len(rows), len(pages)) for page in [*pages, []]]


def _encode_response(page: Sequence[bytes], total: int, pages: int) -> bytes:
    body = b'{"total":%d,"pages":%d,"items":[%b]}' % (total, pages, b",".join(page))
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    return head + body


async def _serve(tables: Mapping[bytes, TableResponses]) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: ServerProtocol(tables), "127.0.0.1", 0)
    print(f"listening on http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()


if __name__ == "__main__":
    tables = [BenchmarkTable.parse(word) for word in sys.argv[1:]]
    asyncio.run(_serve({table.name.encode(): TableResponses(table) for table in tables}))
