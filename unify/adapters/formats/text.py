"""The text of a body: decompressed, decoded to UTF-8, and repaired where JSON is slightly out of grammar."""

from __future__ import annotations

import codecs
import re
import zlib
from collections import Counter

from unify.errors import BadResponse

MAX_UNPACKED_BYTES = 64_000_000  # of a gzip file; twice the largest body of an HTTP response
_GZIP_MAGIC = b"\x1f\x8b"
_CHARSET = re.compile(r"charset=[\"']?([\w.:-]+)", re.IGNORECASE)
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Written before JSON against its inclusion as a script: )]}' of Google and Gerrit, loops of Facebook.
_GUARD = re.compile(
    rb"\s*+(?:\)\]\}'?,?|while\s*\(\s*(?:1|true)\s*\)\s*;?|for\s*\(;;\)\s*;|throw\s++[^;\n]*;?(?:\s*+<[^>]*+>)?"
    rb"|&&&\w+&&&|\{\}\s*&&|\]\)\}while\(1\);</x>|/\*.*?\*/)\s*+(?=[\[{])",
    re.DOTALL,
)
_CALLBACK = re.compile(rb"\s*(?:/\*.*?\*/\s*)?[A-Za-z_$][\w$.]*\(\s*(?=[\[{])", re.DOTALL)  # JSONP
_CALLBACK_END = re.compile(rb"\)\s*;?\s*$")
_MAX_GUARD_BYTES = 1024  # which keeps the search short: the patterns go back over spaces
_JSON_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\Z)|-?\bInfinity\b|\bNaN\b', re.DOTALL)
# Whole pairs and escaped backslashes are consumed, so that ``half`` is a surrogate without its other half.
_SURROGATES = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\."
)


def declared_charset(content_type: str) -> str | None:
    found = _CHARSET.search(content_type)
    return found[1] if found else None


def unpack_gzip(body: bytes, address: str) -> bytes:
    """The content of a gzip file that came without a ``Content-Encoding``; any other body as it is."""
    if not body.startswith(_GZIP_MAGIC):
        return body
    unpacked, rest = bytearray(), body
    try:
        while rest:
            decompressor = zlib.decompressobj(16 + zlib.MAX_WBITS)
            unpacked += decompressor.decompress(rest, MAX_UNPACKED_BYTES + 1 - len(unpacked))
            if len(unpacked) > MAX_UNPACKED_BYTES:
                raise BadResponse(
                    f"{address}: the gzip file is larger than {MAX_UNPACKED_BYTES:,} bytes unpacked"
                )
            if not decompressor.eof:
                raise BadResponse(f"{address}: the gzip file is incomplete")
            rest = decompressor.unused_data.lstrip(b"\0")
    except zlib.error as error:
        raise BadResponse(f"{address}: the response cannot be read as gzip ({error})") from error
    return bytes(unpacked)


def to_utf8(body: bytes, charset: str | None, address: str, fallback: str | None = None) -> bytes:
    """Return ``body`` as UTF-8 without a byte order mark.

    A byte order mark decides, then the zero bytes of UTF-16 and UTF-32, then valid UTF-8, whatever
    ``charset`` says: headers are often a default of the server. Else ``charset`` counts, then ``fallback``.

    Raises:
        BadResponse: the body is not valid in any of them.
    """
    encoding = next((name for mark, name in _BOMS if body.startswith(mark)), None) or _wide_encoding(body)
    if encoding is None:
        if body.isascii() and b"\x1b" not in body[:4096]:
            return body
        if not (charset or "").lower().startswith("iso-2022") and _is_utf8(body):
            return body
        encoding = charset or fallback or "utf-8"
    try:
        return body.decode(encoding).removeprefix("\ufeff").encode()
    except (UnicodeError, LookupError) as error:
        raise BadResponse(
            f"{address}: the response is not valid in the charset it declares ({error})"
        ) from error


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _wide_encoding(body: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark: JSON, CSV and XML begin with an ASCII character."""
    match [byte != 0 for byte in body[:4]]:
        case [True, False, False, False]:
            return "utf-32-le"
        case [False, False, False, True]:
            return "utf-32-be"
        case [True, False, True, False]:
            return "utf-16-le"
        case [False, True, False, True]:
            return "utf-16-be"
        case _:
            return None


def without_guard(body: bytes) -> bytes:
    """JSON without the text some APIs write before it so that it cannot be included as a script."""
    body = body.rstrip(b"\0\r\n\t ") if body.endswith((b"\0", b"\0\n")) else body
    if body[:1] in (b"[", b"{") and not body.startswith(b"{}"):
        return body
    start = body[:_MAX_GUARD_BYTES]
    if (found := _GUARD.match(start)) is not None:
        return body[found.end() :]
    callback, end = _CALLBACK.match(start), _CALLBACK_END.search(body[-20:])
    if callback is not None and end is not None:
        return body[callback.end() : len(body) - len(body[-20:]) + end.start()]
    return body


def repair_json(body: bytes) -> tuple[bytes, Counter[str]]:
    """JSON with half surrogate pairs as U+FFFD, and NaN and Infinity as null; how many there were of each."""
    repairs: Counter[str] = Counter()

    def repair_half(match: re.Match[bytes]) -> bytes:
        if match["half"] is None:
            return match[0]
        repairs["half surrogate pairs read as U+FFFD"] += 1
        return b"\\ufffd"

    def repair_token(match: re.Match[bytes]) -> bytes:
        token = match[0]
        if token[:1] == b'"':
            return _SURROGATES.sub(repair_half, token) if b"\\u" in token else token
        repairs["NaN and Infinity read as NULL"] += 1
        return b"null"

    return _JSON_TOKENS.sub(repair_token, body), repairs
