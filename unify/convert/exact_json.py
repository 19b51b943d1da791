"""Exact JSON: numbers keep the digits that the server wrote.

Used for rows that extend the schema, and for those that DuckDB cannot read exactly.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from unify.errors import BadResponse

ExactJson = Any  # dict, list, str, IntegerText, FloatText, bool or None

_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_EXCERPT_CHARS = 80  # characters of a row in a message


class IntegerText(str):
    """The text of an integer."""

    __slots__ = ()


class FloatText(str):
    """The text of a number with a fraction or an exponent, of NaN or an infinity."""

    __slots__ = ()


_decoder = json.JSONDecoder(parse_int=IntegerText, parse_float=FloatText, parse_constant=FloatText)


def parse_exact(text: bytes) -> ExactJson:
    """Return the value of a JSON text. Of equal keys in an object the last counts.

    Raises BadResponse if it is not JSON or not UTF-8, nested too deeply, or has half a surrogate pair.
    """
    try:
        value = _decoder.decode(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise BadResponse(f"a row cannot be read: {reason}, in {_excerpt(text)}") from error
    if _ESCAPED_SURROGATE.search(text):
        _reject_lone_surrogates(value, "the row", text)
    return value


def encode_exact(value: ExactJson) -> bytes:
    """Return the JSON text of a value of ``parse_exact``, with its digits."""
    return msgspec.json.encode(wrap_raw_numbers(value))


def wrap_raw_numbers(value: ExactJson) -> ExactJson:
    """Return the value in a form that msgspec encodes with the same digits."""
    kind = type(value)
    if kind is dict:
        return {key: wrap_raw_numbers(member) for key, member in value.items()}
    if kind is list:
        return [wrap_raw_numbers(item) for item in value]
    return msgspec.Raw(value.encode()) if kind in (IntegerText, FloatText) else value


def _reject_lone_surrogates(value: ExactJson, location: str, text: bytes) -> None:
    """Raise BadResponse if a string or key within the value has half a surrogate pair."""
    if isinstance(value, dict):
        for key, member in value.items():
            _reject_lone_surrogates(key, f"a key of {location}", text)
            _reject_lone_surrogates(member, key, text)
    elif isinstance(value, list):
        for item in value:
            _reject_lone_surrogates(item, location, text)
    elif isinstance(value, str) and any("\ud800" <= char <= "\udfff" for char in value):
        raise BadResponse(
            f"{location}: half of a surrogate pair (\\ud800 to \\udfff) is no character, in {_excerpt(text)}"
        )


def _excerpt(text: bytes) -> str:
    start = text[: 4 * _EXCERPT_CHARS].decode("utf-8", "replace")[:_EXCERPT_CHARS]
    return start if len(start) == len(text) else start + "…"
