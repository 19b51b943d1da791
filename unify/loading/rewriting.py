"""Rows DuckDB cannot read exactly, taken apart in Python: one flat object a row, one member a column.

For rows with keys that differ by case only, or come twice, or are empty; for numbers that have to be
text, or a declared decimal, digit by digit; for objects of very many members. All other rows go to
DuckDB as they came.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from unify.duckdb_types import Type, parse_type
from unify.loading.chunks import Marks
from unify.loading.columns import Origin, Planned
from unify.loading.exactjson import Json, Real, Whole, encode_exact, parse_exact, raw_numbers

Read = tuple[Planned, str]  # a column and the type it is read as


def rewritten(lines: Iterable[bytes], columns: Sequence[Read], marks: Marks) -> bytes:
    """The lines with member ``c0`` for the first of ``columns`` and so on; a null is left out."""
    encoder = msgspec.json.Encoder()
    types = [parse_type(column.type if column.strict else read_as) for column, read_as in columns]
    out = bytearray()
    for line in lines:
        document = parse_exact(line)
        flat = {marks.scope: raw_numbers(document[marks.scope])} if marks.scope in document else {}
        for index, (column, _) in enumerate(columns):
            value = _found(document, column, marks)
            if value is not None:
                flat[f"c{index}"] = _written(value, types[index], column.strict)
        out += encoder.encode(flat) + b"\n"
    return bytes(out)


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
