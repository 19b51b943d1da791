"""Rows of JSON lines: one value a line, undecoded; also with record separators (RFC 7464)."""

from __future__ import annotations

import re

import msgspec

from unify.errors import BadResponse
from unify.text import excerpt

_EXCERPT_CHARS = 80

_LIST_OF_OBJECTS = re.compile(rb"\s*\[\s*\{")

_list_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_raw_decoder = msgspec.json.Decoder(msgspec.Raw)


def parse_json_lines(body: bytes, address: str) -> list[msgspec.Raw]:
    """The value of each non-empty line; the items of a body that is one list of objects.

    Raises BadResponse naming the first line that is not JSON.
    """
    body = body.replace(b"\x1e", b"") if body.startswith(b"\x1e") else body
    try:
        if _LIST_OF_OBJECTS.match(body) and len(lines := _raw_decoder.decode_lines(body)) == 1:
            return _list_decoder.decode(lines[0])
        return list(_raw_decoder.decode_lines(body))
    except msgspec.DecodeError as error:
        raise BadResponse(f"{address}: {_decode_error_text(body, error)}") from error


def _decode_error_text(body: bytes, error: msgspec.DecodeError) -> str:
    for number, line in enumerate(body.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            _raw_decoder.decode(line)
        except msgspec.DecodeError as line_error:
            text = line.decode("utf-8", "replace").strip()
            return f"line {number} is not JSON ({line_error}): {excerpt(text, _EXCERPT_CHARS)!r}"
    return f"the response cannot be read as JSON lines ({error})"
