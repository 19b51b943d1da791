"""The bytes of an answer: read in pieces, decompressed in pieces, never more than allowed."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from urllib3.response import BaseHTTPResponse

from unify.errors import BadResponse

CHUNK_BYTES = 1 << 16
GZIP_OR_ZLIB = zlib.MAX_WBITS | 32  # zlib looks at the first bytes
_GZIP_START = b"\x1f\x8b"


def read_body(raw: BaseHTTPResponse, most_bytes: int) -> bytes:
    """The whole body, decompressed.

    Memory  ``most_bytes``, and as much again while the pieces are joined.
    Raises  BadResponse for more than that, or for an encoding nobody asked for.
    """
    encoding = raw.headers.get("content-encoding", "").strip().lower()
    announced = raw.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > most_bytes:
        raise _too_large(most_bytes)
    if encoding in ("", "identity"):
        if announced.isdigit():
            return raw.read(decode_content=False)
        return _joined(_pieces(raw), most_bytes)
    if encoding in ("gzip", "x-gzip", "deflate"):
        return _joined(_inflated(_pieces(raw), most_bytes), most_bytes)
    raise BadResponse(f"the answer is compressed as {encoding!r}, though only gzip and deflate were offered")


def _pieces(raw: BaseHTTPResponse) -> Iterator[bytes]:
    while piece := raw.read(CHUNK_BYTES, decode_content=False):
        yield piece


def _joined(pieces: Iterator[bytes], most_bytes: int) -> bytes:
    kept: list[bytes] = []
    total = 0
    for piece in pieces:
        total += len(piece)
        if total > most_bytes:
            raise _too_large(most_bytes)
        kept.append(piece)
    return kept[0] if len(kept) == 1 else b"".join(kept)


def _inflated(pieces: Iterator[bytes], most_bytes: int) -> Iterator[bytes]:
    """Decompress piece by piece: what a few kilobytes swell to is counted before more is made of them."""
    inflater: zlib._Decompress | None = None
    try:
        for number, piece in enumerate(pieces):
            inflater = inflater or zlib.decompressobj(_wbits(piece) if number == 0 else GZIP_OR_ZLIB)
            pending = piece
            while pending:
                yield inflater.decompress(pending, most_bytes)
                pending = inflater.unconsumed_tail
                if inflater.eof:
                    pending = inflater.unused_data
                    if not pending.startswith(_GZIP_START):
                        break  # padding after the end, which gzip itself ignores
                    inflater = zlib.decompressobj(GZIP_OR_ZLIB)
    except zlib.error as error:
        raise BadResponse(
            f"the answer says it is compressed, and it cannot be decompressed ({error})"
        ) from error
    if inflater is not None and not inflater.eof:
        raise BadResponse("the compressed answer ends in the middle")


def _wbits(start: bytes) -> int:
    """``deflate`` means zlib's format; some servers send it without zlib's header."""
    headed = start[:1] == b"\x1f" or (
        len(start) > 1 and start[0] & 15 == 8 and (start[0] << 8 | start[1]) % 31 == 0
    )
    return GZIP_OR_ZLIB if headed else -zlib.MAX_WBITS


def _too_large(most_bytes: int) -> BadResponse:
    return BadResponse(
        f"the answer is larger than {most_bytes // 1_000_000} MB; ask for fewer rows a page (paging.size), "
        "or for less of each"
    )
