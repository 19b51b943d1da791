"""A value as JSON: exact, and valid.

Integers and decimals are numbers with all their digits. What JSON has no number for (NaN, infinity) and
what it has no kind for (dates, intervals, blobs) is the text DuckDB writes, as a string. A JSON column is
put in as it is; lists are arrays; structs and maps are objects, the keys of a map as text.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from json.encoder import encode_basestring
from typing import TypeGuard

from unify.duckdb_types import Type
from unify.shell.display import values

Write = Callable[[object], str]

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_NOT_FINITE = {"nan": math.nan, "-nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_LINE_BREAKS = str.maketrans("\r\n", "  ")
# What is valid in a JSON string and could still steer a terminal; the C0 controls are escaped anyway.
_UNSAFE = re.compile(
    "[\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def string(text: str) -> str:
    """A JSON string, in quotes."""
    return encode_basestring(text)


def safe(line: str) -> str:
    """The same JSON with nothing in it that steers a terminal."""
    return _UNSAFE.sub(lambda match: json.dumps(match.group())[1:-1], line)


def writer(type: Type) -> Write:
    """The function that writes values of ``type`` as JSON, NULL included."""
    write = _writer(type)
    return lambda value: "null" if value is None else write(value)


def _writer(type: Type) -> Write:
    match type.name:
        case "BOOLEAN" | "DOUBLE":
            return _plain
        case "JSON":
            return _embedded
        case "LIST" | "ARRAY":
            return _array(type)
        case "STRUCT":
            return _object(type) if type.names else _row(type)
        case "MAP":
            return _map(type)
        case "FLOAT" | "BIGNUM":
            return _number
        case _ if type.numeric or type.name in ("VARIANT", "UNION"):
            return _plain
        case _:
            write = values.writer(type)
            return lambda value: string(write(value))


def _plain(value: object) -> str:
    """A value whose Python type tells what it is."""
    match value:
        case None:
            return "null"
        case float():
            return values.text(value) if math.isfinite(value) else _non_finite(value)
        case bool() | int():
            return values.text(value)
        case Decimal():
            return format(value, "f")
        case Mapping():
            return "{" + ", ".join(f"{string(str(k))}: {_plain(v)}" for k, v in value.items()) + "}"
        case list() | tuple():
            return f"[{', '.join(map(_plain, value))}]"
        case other:
            return string(values.text(other))


def _number(value: object) -> str:
    """A number that arrives as text, and is one in JSON, too."""
    match value:
        case str() if _NUMBER.fullmatch(value):
            return value
        case str() if value in _NOT_FINITE:
            return _non_finite(_NOT_FINITE[value])
        case float() if math.isfinite(value):
            return values.float32_text(value)
        case other:
            return _plain(other)


def _non_finite(value: object) -> str:
    """``"NaN"``, ``"Infinity"``: JSON has no such numbers, and null would be another value."""
    match value:
        case float() if math.isnan(value):
            return '"NaN"'
        case float():
            return '"Infinity"' if value > 0 else '"-Infinity"'
        case other:
            return string(values.text(other))


def _embedded(value: object) -> str:
    """JSON out of a JSON column, on one line: a line break in JSON can only be space between its parts."""
    text = str(value)
    return text.translate(_LINE_BREAKS) if _valid(text) else string(text)


def _valid(text: str) -> bool:
    try:
        json.loads(text, parse_int=str, parse_float=str, parse_constant=_refuse)
    except ValueError:
        return False
    except RecursionError:
        return True  # deeper than Python follows; DuckDB has checked it
    return True


def _refuse(constant: str) -> object:
    raise ValueError(constant)


def _array(type: Type) -> Write:
    element = writer(type.parts[0])
    return lambda value: f"[{', '.join(map(element, value))}]" if _listed(value) else _plain(value)


def _row(type: Type) -> Write:
    fields = [writer(part) for part in type.parts]

    def write(value: object) -> str:
        if not isinstance(value, tuple):
            return _plain(value)
        return f"[{', '.join(field(item) for field, item in zip(fields, value, strict=True))}]"

    return write


def _object(type: Type) -> Write:
    fields = [(name, string(name), writer(part)) for name, part in zip(type.names, type.parts, strict=True)]

    def write(value: object) -> str:
        if not isinstance(value, Mapping):
            return _plain(value)
        return "{" + ", ".join(f"{key}: {field(value[name])}" for name, key, field in fields) + "}"

    return write


def _map(type: Type) -> Write:
    key, item = values.writer(type.parts[0]), writer(type.parts[1])

    def write(value: object) -> str:
        if not isinstance(value, Mapping):
            return _plain(value)
        items = values.map_items(value, type)
        return "{" + ", ".join(f"{string(key(k))}: {item(v)}" for k, v in items) + "}"

    return write


def _listed(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, Sequence) and not isinstance(value, str)
