"""Rows out of JSON lines: one value a line, undecoded."""

from __future__ import annotations

import msgspec

from unify.errors import BadResponse

_EXCERPT_CHARS = 80  # characters of a line in a message

_raw_decoder = msgspec.json.Decoder(msgspec.Raw)


def parse_json_lines(body: bytes, address: str) -> list[msgspec.Raw]:
    """The value of each line that is not empty. Raises BadResponse naming the first that is none."""
    try:
        return list(_raw_decoder.decode_lines(body))
    except msgspec.DecodeError as error:
        raise BadResponse(f"{address}: {_decode_error_text(body, error)}") from error


def _decode_error_text(body: bytes, error: msgspec.DecodeError) -> str:
    for number, line in enumerate(body.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            _raw_decoder.decode(line)
        except msgspec.DecodeError as its_own:
            text = line.decode("utf-8", "replace").strip()
            return f"line {number} is no JSON ({its_own}): {text[:_EXCERPT_CHARS]!r}"
    return f"the answer cannot be read as JSON lines ({error})"
