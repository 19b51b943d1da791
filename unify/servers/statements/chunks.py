"""The bytes of a result, from the thread that makes them to the event loop that sends them."""

from __future__ import annotations

import asyncio
import io
import threading
from collections import deque
from collections.abc import AsyncGenerator

CHUNK_BYTES = 65_536
MAX_CHUNKS = 8  # that wait for the client: half a megabyte


class ReaderGone(Exception):
    """Nobody reads the chunks any more."""


class ChunkPipe:
    """A bounded queue of bytes: one thread writes, one task reads. Memory: MAX_CHUNKS chunks."""

    def __init__(self, loop: asyncio.AbstractEventLoop, max_bytes: int) -> None:
        self._loop = loop
        self._max_bytes = max_bytes
        self._chunks: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._readable = asyncio.Event()
        self._is_closed = False
        self._is_abandoned = False
        self._error: BaseException | None = None
        self.sent_bytes = 0

    @property
    def readable(self) -> asyncio.Event:
        """Set when there is a chunk, or there will be none any more."""
        return self._readable

    @property
    def is_complete(self) -> bool:
        """Whether the writer has ended; the chunks that wait are all that is left."""
        return self._is_closed

    @property
    def error(self) -> BaseException | None:
        return self._error

    def put(self, chunk: bytes) -> None:
        """Add a chunk; waits while the reader is behind. Raises ReaderGone, ResultTooLarge."""
        self.sent_bytes += len(chunk)
        if self.sent_bytes > self._max_bytes:
            raise ResultTooLarge(self._max_bytes)
        with self._changed:
            self._changed.wait_for(lambda: len(self._chunks) < MAX_CHUNKS or self._is_abandoned)
            if self._is_abandoned:
                raise ReaderGone
            self._chunks.append(chunk)
        self._notify()

    def close(self, error: BaseException | None = None) -> None:
        """End the result, with the error that ended it."""
        with self._changed:
            self._is_closed, self._error = True, error
        self._notify()

    def abandon(self) -> None:
        """Have the writer end with ReaderGone."""
        with self._changed:
            self._is_abandoned = True
            self._changed.notify_all()

    async def read(self) -> AsyncGenerator[bytes, None]:
        """Yield the chunks. Raises the error with which the result ended."""
        while True:
            with self._changed:
                chunk = self._chunks.popleft() if self._chunks else None
                is_closed = self._is_closed
                if chunk is None and not is_closed:
                    self._readable.clear()
                self._changed.notify_all()
            if chunk is not None:
                yield chunk
            elif not is_closed:
                await self._readable.wait()
            elif self._error is not None:
                raise self._error
            else:
                return

    def _notify(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._readable.set)


class ResultTooLarge(Exception):
    """The result has more bytes than the limit."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_bytes)
        self.max_bytes = max_bytes


class PipeWriter(io.RawIOBase):
    """A binary stream that collects what is written into chunks of a pipe."""

    def __init__(self, pipe: ChunkPipe) -> None:
        self._pipe = pipe
        self._buffer = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        view = memoryview(data)  # type: ignore[arg-type]  # any buffer, which RawIOBase does not name
        self._buffer += view
        while len(self._buffer) >= CHUNK_BYTES:
            self._pipe.put(bytes(self._buffer[:CHUNK_BYTES]))
            del self._buffer[:CHUNK_BYTES]
        return view.nbytes

    def finish(self) -> None:
        """Send what is left."""
        if self._buffer:
            self._pipe.put(bytes(self._buffer))
            self._buffer.clear()
