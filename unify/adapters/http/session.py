"""Sends one request over a pooled connection and reads the response, up to a size limit."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterator, Mapping

import requests
import urllib3
from msgspec import Struct
from requests.structures import CaseInsensitiveDict
from urllib3.response import BaseHTTPResponse
from urllib3.util import Timeout

from unify.adapters.http.deadlines import Watchdog, WatchedHTTPAdapter
from unify.adapters.http.messages import ClientOptions, Request, Timeouts
from unify.errors import BadResponse
from unify.text import excerpt
from unify.version import VERSION

DEFAULT_HEADERS: Mapping[str, str] = {
    "User-Agent": f"unify/{VERSION}",
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
}
CHUNK_BYTES = 1 << 16
GZIP_OR_ZLIB = zlib.MAX_WBITS | 32  # zlib detects which of the two it is
_GZIP_MAGIC = b"\x1f\x8b"

# Errors of sending and reading; any other one is a bug.
TRANSPORT_ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError, BadResponse)


class RawResponse(Struct, frozen=True):
    """A response; incomplete if ``end_reason`` (of the watchdog) or ``error`` is set."""

    status: int | None
    headers: Mapping[str, str]
    body: bytes
    end_reason: str
    error: Exception | None


class HttpSession:
    """Pooled connections to one API, for many threads. Each request ends by its deadline."""

    def __init__(self, options: ClientOptions, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._ca_file = options.ca_file
        self._proxies = {"http": options.proxy, "https": options.proxy} if options.proxy else None
        self._urllib3_timeout = Timeout(connect=timeouts.connect_s, read=timeouts.read_s)
        self._http_adapter = WatchedHTTPAdapter(options.concurrency)
        self._watchdog = Watchdog()

    def send(self, request: Request, url: str, stop: threading.Event) -> RawResponse:
        """Send and read until the deadline. Transport errors are returned, not raised."""
        response: requests.Response | None = None
        body, failure = b"", None
        with self._watchdog.watch(self._timeouts.total_s, stop) as exchange:
            try:
                response = self._send_prepared(request, url)
                body = read_body(response.raw, self._timeouts.max_body_bytes)
            except TRANSPORT_ERRORS as error:
                failure = error
                if response is not None:
                    response.raw.close()
        if response is None:
            return RawResponse(None, {}, b"", exchange.end_reason, failure)
        return RawResponse(response.status_code, response.headers, body, exchange.end_reason, failure)

    def cancel(self, stop: threading.Event) -> None:
        """End every request that was sent with ``stop``."""
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
            timeout=self._urllib3_timeout,  # type: ignore[arg-type]  # missing in the types of requests
            verify=self._ca_file or True,
            proxies=self._proxies,
        )


def read_body(raw: BaseHTTPResponse, max_bytes: int) -> bytes:
    """Return the whole body, decompressed. Memory: up to twice ``max_bytes``.

    Raises:
        BadResponse: the body is larger than ``max_bytes``, or cannot be decompressed.
    """
    encoding = raw.headers.get("content-encoding", "").strip()
    length = raw.headers.get("content-length", "")
    if "transfer-encoding" in raw.headers or not length.isdigit():
        length = ""  # RFC 9112, 6.3: Transfer-Encoding overrides Content-Length
    if length and int(length) > max_bytes:
        raise _too_large_error(max_bytes)
    if encoding.lower() in ("", "identity"):
        return raw.read(decode_content=False) if length else _join_chunks(_read_chunks(raw), max_bytes)
    if encoding.lower() in ("gzip", "x-gzip", "deflate"):
        return _join_chunks(_decompress(_read_chunks(raw), max_bytes), max_bytes)
    raise BadResponse(
        f"the response is compressed as {excerpt(encoding, 80)!r}; only gzip and deflate are supported"
    )


def _read_chunks(raw: BaseHTTPResponse) -> Iterator[bytes]:
    while chunk := raw.read(CHUNK_BYTES, decode_content=False):
        yield chunk


def _join_chunks(chunks: Iterator[bytes], max_bytes: int) -> bytes:
    read: list[bytes] = []
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > max_bytes:
            raise _too_large_error(max_bytes)
        read.append(chunk)
    return read[0] if len(read) == 1 else b"".join(read)


def _decompress(chunks: Iterator[bytes], max_bytes: int) -> Iterator[bytes]:
    """Decompress chunk by chunk, so that the caller can stop at ``max_bytes``."""
    inflater: zlib._Decompress | None = None
    try:
        for chunk in chunks:
            inflater = inflater or zlib.decompressobj(_detect_wbits(chunk))
            pending = chunk
            while pending:
                yield inflater.decompress(pending, max_bytes)
                pending = inflater.unconsumed_tail
                if inflater.eof:
                    pending = inflater.unused_data
                    if not pending.startswith(_GZIP_MAGIC):
                        break  # padding after the end, which gzip ignores
                    inflater = zlib.decompressobj(GZIP_OR_ZLIB)
    except zlib.error as error:
        raise BadResponse(f"the response cannot be decompressed ({error})") from error
    if inflater is not None and not inflater.eof:
        raise BadResponse("the compressed response is incomplete")


def _detect_wbits(start: bytes) -> int:
    """``deflate`` means the zlib format; some servers send it without its header."""
    has_header = start[:1] == b"\x1f" or (
        len(start) > 1 and start[0] & 15 == 8 and (start[0] << 8 | start[1]) % 31 == 0
    )
    return GZIP_OR_ZLIB if has_header else -zlib.MAX_WBITS


def _too_large_error(max_bytes: int) -> BadResponse:
    return BadResponse(
        f"the response is larger than {max_bytes // 1_000_000} MB; request smaller pages (paging.size) "
        "or fewer fields"
    )
