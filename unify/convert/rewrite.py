"""Rewrites rows that DuckDB cannot read exactly.

DuckDB reads a number with a fraction as a double. If its digits matter (a declared decimal, a text among
numbers), a regular expression puts it in quotes. Rows whose keys differ in case only, are duplicate or empty,
and objects of very many members become flat objects in Python: one member per column.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from unify.convert.chunks import MarkerKeys
from unify.convert.exact_json import (
    ExactJson,
    FloatText,
    IntegerText,
    encode_exact,
    parse_exact,
    wrap_raw_numbers,
)
from unify.convert.layout import ColumnOrigin, ColumnPlan
from unify.engine.types import DuckDBType, parse_type

ColumnRead = tuple[ColumnPlan, str]  # a column and its type for DuckDB's JSON reader

# A key with an escaped letter or digit: a search for its name misses it.
_ESCAPED_KEY = re.compile(rb'\\u00[2-7][0-9a-fA-F](?:[^"\\]|\\u[0-9a-fA-F]{4}){0,200}"\s*:')


def quote_numbers(text: bytes, keys: Sequence[str]) -> bytes | None:
    """Return ``text`` with the numbers of ``keys`` in quotes; None if a key could be missed.

    Within a string a quote follows a backslash, and only a key is followed by a colon.
    """
    if _ESCAPED_KEY.search(text):
        return None
    for key in keys:
        name = re.escape(f'"{key}"'.encode())
        number = rb"%s(?<=[^\\]%s)(\s*:\s*)(-?[0-9][0-9.eE+-]*)" % (name, name)
        text = re.sub(number, rb'"%s"\1"\2"' % key.encode(), text)
    return text


def rewrite_rows(
    lines: Iterable[bytes], columns: Sequence[ColumnRead], markers: MarkerKeys
) -> Iterator[bytes]:
    """Yield the lines with a member ``c0`` for the first column and so on, without nulls."""
    encoder = msgspec.json.Encoder()
    types = [parse_type(column.type if column.is_strict else read_as) for column, read_as in columns]
    for line in lines:
        document = parse_exact(line)
        flat = {markers.scope: wrap_raw_numbers(document[markers.scope])} if markers.scope in document else {}
        for index, (column, _) in enumerate(columns):
            value = _find_value(document, column, markers)
            if value is not None:
                flat[f"c{index}"] = _convert_value(value, types[index], column.is_strict)
        yield encoder.encode(flat) + b"\n"


def _find_value(document: ExactJson, column: ColumnPlan, markers: MarkerKeys) -> ExactJson:
    if column.origin is ColumnOrigin.ABSENT:
        return None
    if column.origin is ColumnOrigin.WHOLE_ROW:
        if markers.value in document:
            return document[markers.value]
        return {key: value for key, value in document.items() if key not in (markers.scope, markers.page)}
    value = document.get(markers.page) if column.origin is ColumnOrigin.PAGE else document
    for key in column.path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _convert_value(value: ExactJson, type_: DuckDBType, keep_digits: bool) -> ExactJson:
    """Return the value for DuckDB's reader of ``type_``; numbers as text if ``keep_digits``."""
    if value is None:
        return None
    if type_.name == "LIST" and isinstance(value, list):
        return [_convert_value(item, type_.children[0], keep_digits) for item in value]
    if type_.name == "STRUCT" and isinstance(value, dict):
        fields = zip(type_.field_names, type_.children, strict=True)
        return {name: _convert_value(value.get(name), part, keep_digits) for name, part in fields}
    if type_.name == "VARCHAR" or (keep_digits and isinstance(value, IntegerText | FloatText)):
        return value_text(value)
    return wrap_raw_numbers(value)


def value_text(value: ExactJson) -> str:
    """Return a string itself, a number as it was written, and the JSON of a nested value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str) else encode_exact(value).decode()
