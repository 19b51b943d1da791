"""DuckDB types parsed from their text, and which of them Python cannot hold exactly.

Types are written as in the description of a result, such as ``STRUCT(a INTEGER, "b c" VARCHAR[])[3]``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypeVar

from msgspec import Struct

_Item = TypeVar("_Item")

_TYPE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?: WITH(?:OUT)? TIME ZONE| PRECISION)?")
_QUOTED_NAME = re.compile(r'"((?:[^"]|"")*)"')
_BARE_NAME = re.compile(r"[^\s\"(),\[\]]+")
_QUOTED_TEXT = re.compile(r"'(?:[^']|'')*'")
_NUMBER = re.compile(r"\d+")

BIG_INTEGER_TYPE = "DECIMAL(38,0)"  # holds integers beyond 64 bits; Parquet cannot store HUGEINT
TIMESTAMPTZ_TYPE = "TIMESTAMP WITH TIME ZONE"

_SHORT_NAMES = {"TIMESTAMP WITH TIME ZONE": "timestamptz", "TIME WITH TIME ZONE": "timetz"}
_SIGNED_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_NUMERIC_TYPES = frozenset(
    [*_SIGNED_INTEGERS, *(f"U{name}" for name in _SIGNED_INTEGERS), "BIGNUM", "FLOAT", "DOUBLE", "DECIMAL"]
)
# Lost by DuckDB's Python client: months of an interval, nanoseconds, infinite dates (read as year 9999),
# zone offsets with seconds, digits of a 32-bit float (widened to 64 bits). Years beyond Python's range are
# an error or text.
_TEMPORAL_TYPES = (
    "DATE",
    "TIME",
    "TIME_NS",
    "TIMESTAMP",
    "TIMESTAMP_S",
    "TIMESTAMP_MS",
    "TIMESTAMP_NS",
    "INTERVAL",
)
_INEXACT_IN_PYTHON = frozenset([*_TEMPORAL_TYPES, *_SHORT_NAMES, "FLOAT", "GEOMETRY", "UNION", "VARIANT"])


class DuckDBType(Struct, frozen=True):
    """A type. ``name`` is BIGINT, DECIMAL, LIST, ARRAY, STRUCT, MAP, UNION, ENUM … in upper case.

    ``children``     element of a LIST or ARRAY, key and value of a MAP, fields of a STRUCT.
    ``field_names``  of a STRUCT or UNION; empty for a STRUCT without names (a row).
    ``modifiers``    width and scale of a DECIMAL, length of an ARRAY.
    """

    name: str
    text: str
    children: tuple[DuckDBType, ...] = ()
    field_names: tuple[str, ...] = ()
    modifiers: tuple[int, ...] = ()

    @property
    def nested(self) -> bool:
        return self.name in ("LIST", "ARRAY", "STRUCT", "MAP", "UNION", "VARIANT")

    @property
    def numeric(self) -> bool:
        return self.name in _NUMERIC_TYPES

    @property
    def label(self) -> str:
        """The type as a column header: ``bigint``, ``varchar[]``, ``struct(a integer)``."""
        match self.name:
            case "LIST":
                return f"{self.children[0].label}[]"
            case "ARRAY":
                return f"{self.children[0].label}[{self.modifiers[0]}]"
            case "STRUCT" | "UNION" if self.field_names:
                fields = zip(self.field_names, self.children, strict=True)
                return f"{self.name.lower()}({', '.join(f'{name} {part.label}' for name, part in fields)})"
            case "MAP" | "STRUCT":
                return f"{self.name.lower()}({', '.join(part.label for part in self.children)})"
            case "ENUM":
                return "enum"
            case name:
                sizes = f"({','.join(map(str, self.modifiers))})" if self.modifiers else ""
                return _SHORT_NAMES.get(name, name.lower()) + sizes


@lru_cache(maxsize=1024)
def parse_type(text: str) -> DuckDBType:
    """Parse a type. Unknown syntax becomes one leaf with the whole text as its name."""
    try:
        parser = _DuckDBTypeParser(text)
        parsed = parser.parse()
    except ValueError:
        return DuckDBType(text.upper(), text)
    return parsed if parser.position == len(text) else DuckDBType(text.upper(), text)


def quote_identifier(name: str) -> str:
    """Quote a name for SQL."""
    return '"' + name.replace('"', '""') + '"'


def exact_type_text(type: DuckDBType) -> str | None:
    """Return ``type`` with VARCHAR in place of types that Python cannot hold; None if no cast can name it."""
    if type.name in _INEXACT_IN_PYTHON:
        return "VARCHAR"
    parts = [exact_type_text(part) for part in type.children]
    if parts == [part.text for part in type.children]:
        return type.text
    named = [part for part in parts if part is not None]
    return None if has_row(type) or len(named) < len(parts) else nested_type_text(type, named)


def is_row(type: DuckDBType) -> bool:
    """Whether ``type`` is a struct without names."""
    return type.name == "STRUCT" and not type.field_names


def has_row(type: DuckDBType) -> bool:
    """Whether ``type`` is or contains a struct without names."""
    return is_row(type) or any(map(has_row, type.children))


def nested_type_text(type: DuckDBType, children: Sequence[str]) -> str | None:
    """Return the text of a nested ``type`` with other ``children``; None if it has no text."""
    match type.name:
        case "LIST":
            return f"{children[0]}[]"
        case "ARRAY":
            return f"{children[0]}[{type.modifiers[0]}]"
        case "STRUCT" if type.field_names:
            fields = zip(type.field_names, children, strict=True)
            return f"STRUCT({', '.join(f'{quote_identifier(name)} {part}' for name, part in fields)})"
        case "MAP":
            return f"MAP({children[0]}, {children[1]})"
        case _:  # for example a row without names
            return None


class _DuckDBTypeParser:
    """Recursive descent parser of one type; ``position`` is the next character."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    def parse(self) -> DuckDBType:
        start = self.position
        if self._peek() == '"':  # from CREATE TYPE
            name = self._match(_QUOTED_NAME)
            found = DuckDBType(name.upper(), self.text[start : self.position])
        else:
            found = self._parse_unquoted(start)
        while self._peek() == "[":
            found = self._parse_brackets(found, start)
        return found

    def _parse_unquoted(self, start: int) -> DuckDBType:
        name = self._match(_TYPE_NAME).upper()
        if self._peek() != "(":
            return DuckDBType(name, self.text[start : self.position])
        self.position += 1
        match name:
            case "STRUCT" | "UNION":
                names, parts = self._parse_fields()
                found = DuckDBType(name, self.text[start : self.position], parts, names)
            case "MAP":
                key = self.parse()
                self._expect(", ")
                found = DuckDBType(name, "", (key, self.parse()))
            case "ENUM":
                self._parse_list(lambda: self._match(_QUOTED_TEXT))
                found = DuckDBType(name, "")
            case _:
                sizes = self._parse_list(lambda: self._match(_NUMBER))
                found = DuckDBType(name, "", modifiers=tuple(map(int, sizes)))
        self._expect(")")
        return DuckDBType(
            found.name, self.text[start : self.position], found.children, found.field_names, found.modifiers
        )

    def _parse_brackets(self, element: DuckDBType, start: int) -> DuckDBType:
        self._expect("[")
        if self._peek() == "]":
            self._expect("]")
            return DuckDBType("LIST", self.text[start : self.position], (element,))
        size = int(self._match(_NUMBER))
        self._expect("]")
        return DuckDBType("ARRAY", self.text[start : self.position], (element,), modifiers=(size,))

    def _parse_fields(self) -> tuple[tuple[str, ...], tuple[DuckDBType, ...]]:
        """Parse the fields of a STRUCT; those of a row have types only."""
        start = self.position
        try:
            named = self._parse_list(self._parse_field)
            if self._peek() != ")":
                raise ValueError(self.text)
        except ValueError:
            self.position = start
            return (), tuple(self._parse_list(self.parse))
        return tuple(name for name, _ in named), tuple(part for _, part in named)

    def _parse_field(self) -> tuple[str, DuckDBType]:
        quoted = self._peek() == '"'
        name = self._match(_QUOTED_NAME).replace('""', '"') if quoted else self._match(_BARE_NAME)
        self._expect(" ")
        return name, self.parse()

    def _parse_list(self, parse_item: Callable[[], _Item]) -> list[_Item]:
        items = [parse_item()]
        while self._peek() == ",":
            self.position += 1
            if self._peek() == " ":
                self.position += 1
            items.append(parse_item())
        return items

    def _peek(self) -> str:
        return self.text[self.position : self.position + 1]

    def _match(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.position)
        if not found:
            raise ValueError(self.text)
        self.position = found.end()
        return found.group(1) if pattern.groups else found.group()

    def _expect(self, text: str) -> None:
        if not self.text.startswith(text, self.position):
            raise ValueError(self.text)
        self.position += len(text)


def qualified_name(schema: str, table: str) -> str:
    """Return the name of a table of the lake in SQL: ``lake."schema"."table"``."""
    return f"lake.{quote_identifier(schema)}.{quote_identifier(table)}"
