"""The ``json`` and ``jsonl`` formats: an array of objects, or one object per line.

Integers and decimals are numbers with all their digits. NaN, infinity, dates, intervals and blobs are
strings with DuckDB's text. Values of a JSON column are embedded unchanged. Lists are arrays; structs and
maps are objects, with the keys of a map as text. Duplicate column names get ``_2``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from json.encoder import encode_basestring
from typing import TextIO

from unify.engine.types import DuckDBType, parse_type
from unify.interpreter.results import Rows
from unify.render.formats import values
from unify.render.formats.options import FormatOptions, projected_texts
from unify.text import unique_names

JSONWriter = Callable[[object], str]

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_NON_FINITE = {"nan": math.nan, "-nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_LINE_BREAKS = str.maketrans("\r\n", "  ")
# Characters that are valid in a JSON string and control a terminal; JSON escapes C0 controls anyway.
_TERMINAL_CONTROLS = re.compile(
    "[\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


json_string = encode_basestring  # a text as a JSON string, in quotes


def escape_terminal_controls(line: str) -> str:
    """Escape the characters of a JSON text that control a terminal."""
    return _TERMINAL_CONTROLS.sub(lambda match: json.dumps(match.group())[1:-1], line)


def json_writer(type: DuckDBType) -> JSONWriter:
    """Return the function that writes values of ``type`` as JSON, NULL included."""
    write = _value_writer(type)
    return lambda value: "null" if value is None else write(value)


def _value_writer(type: DuckDBType) -> JSONWriter:
    match type.name:
        case "BOOLEAN" | "DOUBLE":
            return _untyped_json
        case "JSON":
            return embedded_json
        case "LIST" | "ARRAY" | "STRUCT" | "MAP":
            return values.container_writer(type, _JSON_STYLE)
        case "FLOAT" | "BIGNUM":
            return _number_json
        case _ if type.numeric or type.name in ("VARIANT", "UNION"):
            return _untyped_json
        case _:
            return _string_writer(type)


def _string_writer(type: DuckDBType) -> JSONWriter:
    write = values.text_writer(type)
    return lambda value: json_string(write(value))


def _untyped_json(value: object) -> str:
    """Write a value by its Python type."""
    match value:
        case None:
            return "null"
        case float():
            return values.value_text(value) if math.isfinite(value) else _non_finite_json(value)
        case bool() | int():
            return values.value_text(value)
        case Decimal():
            return format(value, "f")
        case Mapping():
            return (
                "{" + ", ".join(f"{json_string(str(k))}: {_untyped_json(v)}" for k, v in value.items()) + "}"
            )
        case list() | tuple():
            return f"[{', '.join(map(_untyped_json, value))}]"
        case other:
            return json_string(values.value_text(other))


def _number_json(value: object) -> str:
    """Write a number; DuckDB's client returns some as text."""
    match value:
        case str() if _NUMBER.fullmatch(value):
            return value
        case str() if value in _NON_FINITE:
            return _non_finite_json(_NON_FINITE[value])
        case float() if math.isfinite(value):
            return values.float32_text(value)
        case other:
            return _untyped_json(other)


def _non_finite_json(value: object) -> str:
    """Write ``"NaN"`` or ``"Infinity"`` as strings: JSON has no such numbers."""
    match value:
        case float() if math.isnan(value):
            return '"NaN"'
        case float():
            return '"Infinity"' if value > 0 else '"-Infinity"'
        case other:
            return json_string(values.value_text(other))


def embedded_json(value: object) -> str:
    """Write a value of a JSON column on one line; line breaks in valid JSON are white space."""
    text = str(value)
    return text.translate(_LINE_BREAKS) if _is_valid_json(text) else json_string(text)


def _is_valid_json(text: str) -> bool:
    try:
        json.loads(text, parse_int=str, parse_float=str, parse_constant=_reject_constant)
    except ValueError:
        return False
    except RecursionError:
        return True  # nested deeper than Python's limit; DuckDB has validated it
    return True


def _reject_constant(constant: str) -> object:
    raise ValueError(constant)


_JSON_STYLE = values.ContainerStyle(
    item=json_writer,
    list_item=json_writer,
    key=_string_writer,
    name=json_string,
    unknown=_untyped_json,
    brackets="[]",
    colon=": ",
)


def write_json_array(rows: Rows, out: TextIO, options: FormatOptions) -> None:
    """Write one array, one row per line; ``[]`` if there are no rows."""
    opening = "["
    for text in projected_texts(rows, ",\n") or _object_lines(rows, options):
        out.write(opening + text)
        opening = ",\n"
    out.write("[]\n" if opening == "[" else "]\n")


def write_json_lines(rows: Rows, out: TextIO, options: FormatOptions) -> None:
    """Write newline-delimited JSON; nothing if there are no rows."""
    for text in projected_texts(rows, "\n") or _object_lines(rows, options):
        out.write(text + "\n")


def _object_lines(rows: Rows, options: FormatOptions) -> Iterator[str]:
    keys = [json_string(name) + ": " for name in unique_names([c.name for c in rows.columns])]
    writers = [json_writer(parse_type(column.type)) for column in rows.columns]
    for batch in rows.batches:
        for row in batch:
            members = [key + write(value) for key, write, value in zip(keys, writers, row, strict=True)]
            line = "{" + ", ".join(members) + "}"
            yield escape_terminal_controls(line) if options.terminal else line
