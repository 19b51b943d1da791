"""An API in a process of its own that costs next to nothing: every answer is encoded before it is asked for.

``python -m benchmarks.server TABLE:KIND:ROWS:PAGE_ROWS:DELAY_MS …`` serves ``/TABLE?page=1`` with
``{"total": …, "pages": …, "items": […]}``; ``?since=…`` gives the one row of a hundred that has changed.
It says where it listens in one line, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.tables import Served

ROOT = Path(__file__).parent.parent
_ASKED = re.compile(rb"GET /(\w+)(?:\?(\S*))? HTTP/1.1\r\n")
_PAGE = re.compile(rb"(?:^|&)page=(\d+)")
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


class Answers:
    """The answers of one table, head and body as they go over the wire."""

    def __init__(self, table: Served) -> None:
        self.delay_s = table.delay_ms / 1000
        self._all = _encoded(list(table.encoded()), table.page_rows)
        self._changed = _encoded(list(table.encoded_changes()), table.page_rows)

    def answer(self, query: bytes) -> bytes:
        """The page that is asked for; one past the end is empty."""
        pages = self._changed if b"since=" in query else self._all
        found = _PAGE.search(query)
        number = int(found[1]) if found else 1
        return pages[min(number, len(pages)) - 1]


class Conversation(asyncio.Protocol):
    """One connection, kept open."""

    def __init__(self, tables: Mapping[bytes, Answers]) -> None:
        self._tables = tables
        self._heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=1 << 24)

    def data_received(self, data: bytes) -> None:
        self._heard += data
        while b"\r\n\r\n" in self._heard:
            head, _, self._heard = self._heard.partition(b"\r\n\r\n")
            self._respond(head + b"\r\n")

    def _respond(self, head: bytes) -> None:
        asked = _ASKED.match(head)
        table = self._tables.get(asked[1]) if asked else None
        if asked is None or table is None:
            self._transport.write(_NOT_FOUND)
            return
        answer = table.answer(asked[2] or b"")
        if table.delay_s:
            asyncio.get_running_loop().call_later(table.delay_s, self._transport.write, answer)
        else:
            self._transport.write(answer)


@contextmanager
def serving(tables: Iterable[Served]) -> Iterator[str]:
    """The API as a process; gives its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.server", *map(str, tables)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process, process.stdin:
        yield process.stdout.readline().removeprefix("listening on ").strip()


def _encoded(rows: Sequence[bytes], page_rows: int) -> list[bytes]:
    """Every page, and an empty one at the end."""
    pages = [rows[start : start + page_rows] for start in range(0, len(rows), page_rows)]
    return [_response(page, len(rows), len(pages)) for page in [*pages, []]]


def _response(page: Sequence[bytes], total: int, pages: int) -> bytes:
    body = b'{"total":%d,"pages":%d,"items":[%b]}' % (total, pages, b",".join(page))
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    return head + body


async def _serve(tables: Mapping[bytes, Answers]) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Conversation(tables), "127.0.0.1", 0)
    print(f"listening on http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()


if __name__ == "__main__":
    told = [Served.parse(word) for word in sys.argv[1:]]
    asyncio.run(_serve({table.name.encode(): Answers(table) for table in told}))
