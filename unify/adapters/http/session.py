"""One request over the wire, and its answer read to the end: the only place that sends anything.

The bytes of an answer: read in pieces, decompressed in pieces, never more than allowed.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import requests
import urllib3
from requests.structures import CaseInsensitiveDict
from urllib3.response import BaseHTTPResponse
from urllib3.util import Timeout

from unify.adapters.http.deadlines import Watchdog, WatchedHTTPAdapter
from unify.adapters.http.messages import ClientOptions, Request, Timeouts
from unify.errors import BadResponse
from unify.version import VERSION

DEFAULT_HEADERS: Mapping[str, str] = {
    "User-Agent": f"unify/{VERSION}",
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
}

# What sending and reading may raise; anything else is a bug of ours.
TRANSPORT_ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError, BadResponse)


@dataclass(frozen=True, slots=True)
class RawResponse:
    """What one exchange brought: a whole answer, unless ``ended`` or ``failed`` say otherwise."""

    status: int | None
    headers: Mapping[str, str]
    body: bytes
    end_reason: str
    error: Exception | None


class HttpSession:
    """Connections to one API, kept and used again by many threads; every exchange ends by its deadline."""

    def __init__(self, options: ClientOptions, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._ca_file = options.ca_file
        self._proxies = {"http": options.proxy, "https": options.proxy} if options.proxy else None
        self._urllib3_timeout = Timeout(connect=timeouts.connect_s, read=timeouts.read_s)
        self._http_adapter = WatchedHTTPAdapter(options.concurrency)
        self._watchdog = Watchdog()

    def send(self, request: Request, url: str, stop: threading.Event) -> RawResponse:
        """Send and read under the watchdog's eye; whatever goes wrong is told, not raised."""
        response: requests.Response | None = None
        body, failed = b"", None
        with self._watchdog.watch(self._timeouts.total_s, stop) as exchange:
            try:
                response = self._send_prepared(request, url)
                body = read_body(response.raw, self._timeouts.max_body_bytes)
            except TRANSPORT_ERRORS as error:
                failed = error
                if response is not None:
                    response.raw.close()
        if response is None:
            return RawResponse(None, {}, b"", exchange.end_reason, failed)
        return RawResponse(response.status_code, response.headers, body, exchange.end_reason, failed)

    def cancel(self, stop: threading.Event) -> None:
        """End every exchange begun with ``stop``."""
        self._watchdog.cancel(stop)

    def close(self) -> None:
        self._watchdog.close()
        self._http_adapter.close()

    def _send_prepared(self, request: Request, url: str) -> requests.Response:
        prepared = requests.PreparedRequest()
        prepared.method = request.method
        prepared.url = url
        headers = {**DEFAULT_HEADERS, **request.headers}
        if request.body is not None:
            headers["Content-Length"] = str(len(request.body))
        prepared.headers = CaseInsensitiveDict(headers)
        prepared.body = request.body
        return self._http_adapter.send(
            prepared,
            stream=True,
            timeout=self._urllib3_timeout,  # type: ignore[arg-type]  # as requests allows, and its types do not know
            verify=self._ca_file or True,
            proxies=self._proxies,
        )


CHUNK_BYTES = 1 << 16
GZIP_OR_ZLIB = zlib.MAX_WBITS | 32  # zlib looks at the first bytes
_GZIP_MAGIC = b"\x1f\x8b"


def read_body(raw: BaseHTTPResponse, max_bytes: int) -> bytes:
    """The whole body, decompressed.

    Memory  ``most_bytes``, and as much again while the pieces are joined.
    Raises  BadResponse for more than that, or for an encoding nobody asked for.
    """
    encoding = raw.headers.get("content-encoding", "").strip().lower()
    announced = raw.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > max_bytes:
        raise _too_large_error(max_bytes)
    if encoding in ("", "identity"):
        if announced.isdigit():
            return raw.read(decode_content=False)
        return _join_chunks(_read_chunks(raw), max_bytes)
    if encoding in ("gzip", "x-gzip", "deflate"):
        return _join_chunks(_decompress(_read_chunks(raw), max_bytes), max_bytes)
    raise BadResponse(f"the answer is compressed as {encoding!r}, though only gzip and deflate were offered")


def _read_chunks(raw: BaseHTTPResponse) -> Iterator[bytes]:
    while piece := raw.read(CHUNK_BYTES, decode_content=False):
        yield piece


def _join_chunks(chunks: Iterator[bytes], max_bytes: int) -> bytes:
    kept: list[bytes] = []
    total = 0
    for piece in chunks:
        total += len(piece)
        if total > max_bytes:
            raise _too_large_error(max_bytes)
        kept.append(piece)
    return kept[0] if len(kept) == 1 else b"".join(kept)


def _decompress(chunks: Iterator[bytes], max_bytes: int) -> Iterator[bytes]:
    """Decompress piece by piece: what a few kilobytes swell to is counted before more is made of them."""
    inflater: zlib._Decompress | None = None
    try:
        for number, piece in enumerate(chunks):
            inflater = inflater or zlib.decompressobj(_detect_wbits(piece) if number == 0 else GZIP_OR_ZLIB)
            pending = piece
            while pending:
                yield inflater.decompress(pending, max_bytes)
                pending = inflater.unconsumed_tail
                if inflater.eof:
                    pending = inflater.unused_data
                    if not pending.startswith(_GZIP_MAGIC):
                        break  # padding after the end, which gzip itself ignores
                    inflater = zlib.decompressobj(GZIP_OR_ZLIB)
    except zlib.error as error:
        raise BadResponse(
            f"the answer says it is compressed, and it cannot be decompressed ({error})"
        ) from error
    if inflater is not None and not inflater.eof:
        raise BadResponse("the compressed answer ends in the middle")


def _detect_wbits(start: bytes) -> int:
    """``deflate`` means zlib's format; some servers send it without zlib's header."""
    headed = start[:1] == b"\x1f" or (
        len(start) > 1 and start[0] & 15 == 8 and (start[0] << 8 | start[1]) % 31 == 0
    )
    return GZIP_OR_ZLIB if headed else -zlib.MAX_WBITS


def _too_large_error(max_bytes: int) -> BadResponse:
    return BadResponse(
        f"the answer is larger than {max_bytes // 1_000_000} MB; ask for fewer rows a page (paging.size), "
        "or for less of each"
    )
