"""Rows out of JSON lines: one value a line, undecoded."""

from __future__ import annotations

import msgspec

from unify.errors import BadResponse

_QUOTED = 80  # characters of a line in a message

_any_raw = msgspec.json.Decoder(msgspec.Raw)


def values_of_lines(body: bytes, address: str) -> list[msgspec.Raw]:
    """The value of each line that is not empty. Raises BadResponse naming the first that is none."""
    try:
        return list(_any_raw.decode_lines(body))
    except msgspec.DecodeError as error:
        raise BadResponse(f"{address}: {_mistake(body, error)}") from error


def _mistake(body: bytes, error: msgspec.DecodeError) -> str:
    for number, line in enumerate(body.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            _any_raw.decode(line)
        except msgspec.DecodeError as its_own:
            text = line.decode("utf-8", "replace").strip()
            return f"line {number} is no JSON ({its_own}): {text[:_QUOTED]!r}"
    return f"the answer cannot be read as JSON lines ({error})"
