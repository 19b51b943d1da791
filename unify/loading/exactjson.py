"""JSON read without loss: a number stays the digits the server wrote.

The main path never comes here; DuckDB reads the rows. This is for the few rows that bring something
new, and for those DuckDB cannot read exactly.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from unify.errors import BadResponse

Json = Any  # dict, list, str, Whole, Real, bool or None

_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_SHOWN = 80  # characters of a row worth showing in a message


class Whole(str):
    """An integer as it was written."""

    __slots__ = ()


class Real(str):
    """A number with a fraction or an exponent as it was written; also NaN and the infinities."""

    __slots__ = ()


_decoder = json.JSONDecoder(parse_int=Whole, parse_float=Real, parse_constant=Real)


def parse_exact(text: bytes) -> Json:
    """The value of a JSON text. Of equal keys in an object the last counts, as in most readers.

    Raises  BadResponse if it is no JSON, no UTF-8, nested too deeply, or holds half a surrogate pair,
            which no text column can keep.
    """
    try:
        value = _decoder.decode(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise BadResponse(f"a row cannot be read: {reason}, in {_shown(text)}") from error
    if _ESCAPED_SURROGATE.search(text):
        _refuse_surrogates(value, "the row", text)
    return value


def encode_exact(value: Json) -> bytes:
    """The JSON text of a value ``parse_exact`` gave, numbers as they were written."""
    return msgspec.json.encode(raw_numbers(value))


def raw_numbers(value: Json) -> Json:
    """``value`` in a form msgspec writes with the same digits."""
    kind = type(value)
    if kind is dict:
        return {key: raw_numbers(member) for key, member in value.items()}
    if kind is list:
        return [raw_numbers(item) for item in value]
    return msgspec.Raw(value.encode()) if kind in (Whole, Real) else value


def _refuse_surrogates(value: Json, place: str, text: bytes) -> None:
    """Raise BadResponse if a string or key below ``value`` has half a surrogate pair."""
    if isinstance(value, dict):
        for key, member in value.items():
            _refuse_surrogates(key, f"a key of {place}", text)
            _refuse_surrogates(member, key, text)
    elif isinstance(value, list):
        for item in value:
            _refuse_surrogates(item, place, text)
    elif isinstance(value, str) and any("\ud800" <= char <= "\udfff" for char in value):
        raise BadResponse(
            f"{place}: half of a surrogate pair (\\ud800 to \\udfff) is no character, in {_shown(text)}"
        )


def _shown(text: bytes) -> str:
    start = text[: 4 * _SHOWN].decode("utf-8", "replace")[:_SHOWN]
    return start if len(start) == len(text) else start + "…"
