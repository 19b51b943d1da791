"""Rows DuckDB cannot read exactly as they came, made readable.

DuckDB reads a number with a fraction as a double. Where its digits count (a declared decimal, a text
among numbers), it is put in quotes, by a regular expression. Rows with keys that
differ by case only, or come twice, or are empty, and objects of very many members, are taken apart in
Python: one flat object a row, one member a column.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from unify.duckdb_types import Type, parse_type
from unify.loading.chunks import Marks
from unify.loading.exactjson import Json, Real, Whole, encode_exact, parse_exact, raw_numbers
from unify.loading.layout import Origin, Planned

Read = tuple[Planned, str]  # a column and the type it is read as

# A letter or digit written as an escape, within a key: quoting by key would miss it.
_ESCAPED_KEY = re.compile(rb'\\u00[2-7][0-9a-fA-F](?:[^"\\]|\\u[0-9a-fA-F]{4}){0,200}"\s*:')


def quoted(text: bytes, keys: Sequence[str]) -> bytes | None:
    """``text`` with every number under one of ``keys`` in quotes; None if a key could be overlooked.

    A key is found by its quotes: within a string a quote follows a backslash, and only a key is
    followed by a colon.
    """
    if _ESCAPED_KEY.search(text):
        return None
    for key in keys:
        name = re.escape(f'"{key}"'.encode())
        number = rb"%s(?<=[^\\]%s)(\s*:\s*)(-?[0-9][0-9.eE+-]*)" % (name, name)
        text = re.sub(number, rb'"%s"\1"\2"' % key.encode(), text)
    return text


def rewritten(lines: Iterable[bytes], columns: Sequence[Read], marks: Marks) -> Iterator[bytes]:
    """The lines with member ``c0`` for the first of ``columns`` and so on; a null is left out."""
    encoder = msgspec.json.Encoder()
    types = [parse_type(column.type if column.strict else read_as) for column, read_as in columns]
    for line in lines:
        document = parse_exact(line)
        flat = {marks.scope: raw_numbers(document[marks.scope])} if marks.scope in document else {}
        for index, (column, _) in enumerate(columns):
            value = _found(document, column, marks)
            if value is not None:
                flat[f"c{index}"] = _written(value, types[index], column.strict)
        yield encoder.encode(flat) + b"\n"


def _found(document: Json, column: Planned, marks: Marks) -> Json:
    if column.origin is Origin.NOTHING:
        return None
    if column.origin is Origin.WHOLE:
        if marks.value in document:
            return document[marks.value]
        return {key: value for key, value in document.items() if key not in (marks.scope, marks.page)}
    value = document.get(marks.page) if column.origin is Origin.PAGE else document
    for key in column.path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _written(value: Json, type_: Type, digits: bool) -> Json:
    """``value`` as DuckDB is to read it into ``type_``; numbers as text where ``digits`` count."""
    if value is None:
        return None
    if type_.name == "LIST" and isinstance(value, list):
        return [_written(item, type_.parts[0], digits) for item in value]
    if type_.name == "STRUCT" and isinstance(value, dict):
        fields = zip(type_.names, type_.parts, strict=True)
        return {name: _written(value.get(name), part, digits) for name, part in fields}
    if type_.name == "VARCHAR" or (digits and isinstance(value, Whole | Real)):
        return as_text(value)
    return raw_numbers(value)


def as_text(value: Json) -> str:
    """The text of a value: a string's own, a number's as it was written, JSON of what is nested."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str) else encode_exact(value).decode()
