"""Rows written by DuckDB: one SQL expression gives the line of a row, five times as fast as Python.

Each format has the SQL of a column's text. A text that SQL cannot write exactly (control characters in a
JSON string, Markdown with underscores) is marked in the line, and the format's Python function writes it.
tests/render/formats/test_projection.py compares both ways for every type.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import cast

from unify.engine.connection import quote_literal
from unify.engine.nested import as_list_sql, rebuild_sql
from unify.engine.types import DuckDBType, has_row, nested_type_text, parse_type
from unify.render.formats import json, markup
from unify.render.formats.options import FormatOptions
from unify.text import unique_names

TypedColumn = tuple[str, DuckDBType]  # the name in the SQL, c0, c1 …

_MARK = "\x01"  # encloses a text for Python: its writer, and the text in hexadecimal
_MARKED_TEXT = re.compile("\x01([a-z])([0-9A-F]*)\x01")
# Types, besides numbers, whose text has no quotes, separators, line breaks or markup.
_PLAIN_TYPES = frozenset(
    [
        "BOOLEAN",
        "DATE",
        "TIME",
        "TIME_NS",
        "TIMESTAMP",
        "TIMESTAMP_S",
        "TIMESTAMP_MS",
        "TIMESTAMP_NS",
        "TIME WITH TIME ZONE",
        "TIMESTAMP WITH TIME ZONE",
        "INTERVAL",
        "UUID",
        "BIT",
    ]
)
_UNNESTED_TEXTS = frozenset({"UNION", "VARIANT"})  # nested types whose text is that of a value of any type
_PLAIN_DELIMITERS = frozenset(",;|\t")  # those that no plain type's text has


class FormatProjection:
    """The line of each row, without its end, as the only column of a result."""

    applies_always = False

    def __init__(self, options: FormatOptions) -> None:
        self.options = options

    def expressions(self, columns: Sequence[tuple[str, str]]) -> Sequence[str]:
        numbered = [(f"c{number}", parse_type(type)) for number, (_, type) in enumerate(columns)]
        match self.options.format:
            case "csv":
                line = _csv_line(numbered, self.options)
            case "markdown":
                line = _markdown_line(numbered, self.options)
            case "html":
                line = _html_line(numbered, self.options)
            case _:
                line = _json_line([name for name, _ in columns], numbered)
        return [line]

    def texts(self, batches: Iterator[Sequence[tuple[object, ...]]], separator: str) -> Iterator[str]:
        for batch in batches:
            lines = cast("Iterable[str]", chain.from_iterable(batch))
            text = separator.join(lines)
            marked = _MARK in text and self.options.format not in ("csv", "html")
            yield _MARKED_TEXT.sub(self._write_marked, text) if marked else text

    def _write_marked(self, match: re.Match[str]) -> str:
        text = bytes.fromhex(match[2]).decode()
        match match[1]:
            case "j":
                return json.embedded_json(text)
            case "m":
                return markup.markdown_text(text, self.options)
            case _:
                return json.json_string(text)


def _csv_line(columns: Sequence[TypedColumn], options: FormatOptions) -> str:
    null, delimiter = options.null or "", options.delimiter
    always_plain = not null and delimiter in _PLAIN_DELIMITERS

    def field(column: str, type: DuckDBType) -> str:
        text = _text_sql(column, type)
        if always_plain and _is_plain(type):
            return f"coalesce({text}, '')"
        has_brackets = type.nested and type.name not in _UNNESTED_TEXTS
        special = [] if has_brackets and not null else [f"{text} = {quote_literal(null)}"]
        special.append(_contains_any_sql(text, f'"{delimiter}\n\r'))
        quoted = f"""'"' || replace({text}, '"', '""') || '"'"""
        return (
            f"CASE WHEN {column} IS NULL THEN {quote_literal(null)} "
            f"WHEN {' OR '.join(special)} THEN {quoted} ELSE {text} END"
        )

    return _concat([field(*column) for column in columns], _char_literal(delimiter))


def _html_line(columns: Sequence[TypedColumn], options: FormatOptions) -> str:
    null = quote_literal(markup.html_null_cell(options))

    def cell(column: str, type: DuckDBType) -> str:
        text = _text_sql(column, type)
        if not _is_plain(type):
            escaped = f"replace(replace(replace({text}, '&', '&amp;'), '<', '&lt;'), '>', '&gt;')"
            for end in ("chr(13) || chr(10)", "chr(13)", "chr(10)"):
                escaped = f"replace({escaped}, {end}, '<br>')"
            special = _contains_any_sql(text, "&<>\r\n")
            text = f"CASE WHEN {special} THEN {escaped} ELSE {text} END"
        shown = f"concat({quote_literal(markup.html_cell_start(type.numeric))}, {text}, '</td>')"
        return f"CASE WHEN {column} IS NULL THEN {null} ELSE {shown} END"

    return _concat(["'<tr>'", *(cell(*column) for column in columns), "'</tr>'"])


def _markdown_line(columns: Sequence[TypedColumn], options: FormatOptions) -> str:
    null = markup.markdown_text("NULL" if options.null is None else options.null, options)

    def cell(column: str, type: DuckDBType) -> str:
        text = _text_sql(column, type)
        if not _is_plain(type):
            special = f"regexp_matches({text}, '[\\\\|`*~\\[\\]_&<\\r\\n\\x01]')"
            text = f"CASE WHEN {special} THEN {_marked('m', text)} ELSE {text} END"
        return f"coalesce({text}, {quote_literal(null)})"

    cells = _concat([cell(*column) for column in columns], "' | '")
    return f"concat('| ', {cells}, ' |')"


def _json_line(names: Sequence[str], columns: Sequence[TypedColumn]) -> str:
    keys = [json.json_string(name) for name in unique_names(names)]
    members = [_json_sql(column, type) for column, type in columns]
    return _json_members(zip(keys, members, strict=True))


def _json_members(members: Iterable[tuple[str, str]]) -> str:
    parts: list[str] = []
    for number, (key, value) in enumerate(members):
        parts += [quote_literal(f"{', ' if number else ''}{key}: "), value]
    return _concat(["'{'", *parts, "'}'"])


def _json_sql(value: str, type: DuckDBType, depth: int = 0) -> str:
    """SQL of a value as JSON, NULL included."""
    return f"CASE WHEN {value} IS NULL THEN 'null' ELSE {_json_value_sql(value, type, depth)} END"


def _json_value_sql(value: str, type: DuckDBType, depth: int) -> str:
    text = _text_sql(value, type, depth)
    if type.nested and type.name not in _UNNESTED_TEXTS:
        return _container_sql(value, type, depth)
    match type.name:
        case "JSON":
            return _embedded_json_sql(text)
        case "FLOAT" | "DOUBLE":
            return (
                f"CASE WHEN isfinite({value}) THEN {text} WHEN isnan({value}) THEN '\"NaN\"' "
                f"WHEN {value} > 0 THEN '\"Infinity\"' ELSE '\"-Infinity\"' END"
            )
        case "DECIMAL" if type.modifiers[0] == type.modifiers[1]:
            return f"replace({text}, '.', '0.')"  # DuckDB writes .5
        case _ if type.numeric or type.name == "BOOLEAN":
            return text
        case _:
            return _json_string_sql(text, type)


def _container_sql(value: str, type: DuckDBType, depth: int) -> str:
    x = f"x{depth}"
    match type.name:
        case "LIST" | "ARRAY":
            item = _json_sql(x, type.children[0], depth + 1)
            items = f"list_transform({as_list_sql(value, type)}, lambda {x}: {item})"
            return f"concat('[', array_to_string({items}, ', '), ']')"
        case "MAP":
            key = _json_string_sql(_text_sql(f"{x}.key", type.children[0], depth + 1), type.children[0])
            item = _json_sql(f"{x}.value", type.children[1], depth + 1)
            items = f"list_transform(map_entries({value}), lambda {x}: concat({key}, ': ', {item}))"
            return f"concat('{{', array_to_string({items}, ', '), '}}')"
        case _ if type.field_names:
            fields = [
                (
                    json.json_string(name),
                    _json_sql(f"struct_extract({value}, {quote_literal(name)})", part, depth),
                )
                for name, part in zip(type.field_names, type.children, strict=True)
            ]
            return _json_members(fields)
        case _:
            parts = [
                _json_sql(f"struct_extract({value}, {number})", part, depth)
                for number, part in enumerate(type.children, 1)
            ]
            return f"concat('[', {_concat(parts, quote_literal(', '))}, ']')"


def _json_string_sql(text: str, type: DuckDBType) -> str:
    if _is_plain(type):
        return f"""concat('"', {text}, '"')"""
    written = f"CAST(to_json({text}) AS VARCHAR)"
    # DuckDB writes the digits of control characters in upper case, Python in lower case.
    return f"CASE WHEN contains({written}, '\\u00') THEN {_marked('s', text)} ELSE {written} END"


def _embedded_json_sql(text: str) -> str:
    """Valid JSON in both parsers; DuckDB's also accepts NaN, Infinity and commas before a bracket."""
    doubtful = f"regexp_matches({text}, '(?i)nan|inf|,\\s*[\\]}}]|[\\x00-\\x1f]')"
    return f"CASE WHEN json_valid({text}) AND NOT {doubtful} THEN {text} ELSE {_marked('j', text)} END"


def _is_plain(type: DuckDBType) -> bool:
    return type.numeric or type.name in _PLAIN_TYPES


def _text_sql(value: str, type: DuckDBType, depth: int = 0) -> str:
    """SQL of the text of a value: DuckDB's, and that of a list for an array, which DuckDB does not quote."""
    if type.name == "VARCHAR":
        return value
    return f"CAST({_listed_sql(value, type, depth)} AS VARCHAR)"


def _listed_sql(value: str, type: DuckDBType, depth: int) -> str:
    """SQL of a value with a list in place of every array."""
    if not _has_array(type):
        return value
    if has_row(type):
        return rebuild_sql(value, type, _listed_sql, depth)
    return f"CAST({value} AS {_with_lists(type)})"


def _has_array(type: DuckDBType) -> bool:
    """Whether ``type`` has an array that is written as a list; a union is DuckDB's text."""
    return type.name == "ARRAY" or (type.name != "UNION" and any(map(_has_array, type.children)))


def _with_lists(type: DuckDBType) -> str:
    """The text of ``type`` with a list in place of every array."""
    if not _has_array(type):
        return type.text
    parts = [_with_lists(part) for part in type.children]
    return f"{parts[0]}[]" if type.name == "ARRAY" else nested_type_text(type, parts) or type.text


def _contains_any_sql(text: str, chars: str) -> str:
    """SQL for whether a text has one of a few characters."""
    if text.isidentifier():  # a column: a search for each character is faster than an expression
        return " OR ".join(f"contains({text}, {_char_literal(char)})" for char in chars)
    return f"regexp_matches({text}, {quote_literal(f'[{re.escape(chars)}]')})"


def _marked(writer: str, text: str) -> str:
    return f"concat(chr(1), '{writer}', hex(encode({text})), chr(1))"


def _concat(parts: Sequence[str], separator: str = "''") -> str:
    return f"concat_ws({', '.join([separator, *parts])})"


def _char_literal(char: str) -> str:
    return f"chr({ord(char)})" if len(char) == 1 and not char.isprintable() else quote_literal(char)
