"""DuckDB's type texts as a tree, and what of them Python cannot hold exactly.

``BIGINT``, ``DECIMAL(5,2)``, ``STRUCT(a INTEGER, "b c" VARCHAR[])[3]`` — as a result's description
writes them. Who shows a value, or fetches it without loss, asks here what kind of value it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

_Item = TypeVar("_Item")

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?: WITH(?:OUT)? TIME ZONE| PRECISION)?")
_QUOTED_NAME = re.compile(r'"((?:[^"]|"")*)"')
_BARE_NAME = re.compile(r"[^\s\"(),\[\]]+")
_QUOTED_TEXT = re.compile(r"'(?:[^']|'')*'")
_NUMBER = re.compile(r"\d+")

_SHORT = {"TIMESTAMP WITH TIME ZONE": "timestamptz", "TIME WITH TIME ZONE": "timetz"}
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_NUMBERS = frozenset(
    [*_INTEGERS, *(f"U{name}" for name in _INTEGERS), "BIGNUM", "FLOAT", "DOUBLE", "DECIMAL"]
)
# What DuckDB's Python client loses: the months of an interval, nanoseconds, infinite dates (they come
# as year 9999), zone offsets with seconds, the digits of a 32-bit float (it comes widened to 64 bits);
# years it cannot hold are an error or text.
_TIMES = ("DATE", "TIME", "TIME_NS", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "INTERVAL")
_INEXACT = frozenset([*_TIMES, *_SHORT, "FLOAT", "UNION", "VARIANT"])


@dataclass(frozen=True, slots=True)
class Type:
    """One node: ``name`` is BIGINT, DECIMAL, LIST, ARRAY, STRUCT, MAP, UNION, ENUM … in upper case.

    ``parts``  the types inside: the element of a LIST or ARRAY, key and value of a MAP, a STRUCT's fields.
    ``names``  the fields of a STRUCT or UNION; empty for a STRUCT without names (a row).
    ``sizes``  width and scale of a DECIMAL, the length of an ARRAY.
    """

    name: str
    text: str
    parts: tuple[Type, ...] = ()
    names: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()

    @property
    def nested(self) -> bool:
        return self.name in ("LIST", "ARRAY", "STRUCT", "MAP", "UNION", "VARIANT")

    @property
    def numeric(self) -> bool:
        return self.name in _NUMBERS

    @property
    def label(self) -> str:
        """As a person reads it in a table's head: ``bigint``, ``varchar[]``, ``struct(a integer)``."""
        match self.name:
            case "LIST":
                return f"{self.parts[0].label}[]"
            case "ARRAY":
                return f"{self.parts[0].label}[{self.sizes[0]}]"
            case "STRUCT" | "UNION" if self.names:
                fields = zip(self.names, self.parts, strict=True)
                return f"{self.name.lower()}({', '.join(f'{name} {part.label}' for name, part in fields)})"
            case "MAP" | "STRUCT":
                return f"{self.name.lower()}({', '.join(part.label for part in self.parts)})"
            case "ENUM":
                return "enum"
            case name:
                sizes = f"({','.join(map(str, self.sizes))})" if self.sizes else ""
                return _SHORT.get(name, name.lower()) + sizes


@lru_cache(maxsize=1024)
def parse_type(text: str) -> Type:
    """The tree of a type's text. What is not understood becomes one leaf with the whole text as its name."""
    try:
        parser = _TypeText(text)
        parsed = parser.type()
    except ValueError:
        return Type(text.upper(), text)
    return parsed if parser.at == len(text) else Type(text.upper(), text)


def exact_cast(column: str, type: Type) -> str:
    """SQL that fetches ``column`` (a quoted name) without loss; the name itself where Python can hold it.

    What Python cannot hold comes as DuckDB's own text for it, at any depth.
    """
    exact = _exact(type)
    return column if exact == type.text else f"cast({column} as {exact})"


def quote_name(name: str) -> str:
    """A name as SQL reads it back, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def _exact(type: Type) -> str:
    if type.name in _INEXACT:
        return "VARCHAR"
    parts = [_exact(part) for part in type.parts]
    if parts == [part.text for part in type.parts]:
        return type.text
    return rebuilt(type, parts) or "VARCHAR"


def rebuilt(type: Type, parts: Sequence[str]) -> str | None:
    """The text of a nested ``type`` with ``parts`` in place of its own; None if it cannot be written."""
    match type.name:
        case "LIST":
            return f"{parts[0]}[]"
        case "ARRAY":
            return f"{parts[0]}[{type.sizes[0]}]"
        case "STRUCT" if type.names:
            fields = zip(type.names, parts, strict=True)
            return f"STRUCT({', '.join(f'{quote_name(name)} {part}' for name, part in fields)})"
        case "MAP":
            return f"MAP({parts[0]}, {parts[1]})"
        case _:  # a row without names, for one
            return None


class _TypeText:
    """Reads one type from left to right; ``at`` is how far it got."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def type(self) -> Type:
        start = self.at
        if self._peek() == '"':  # a type made by CREATE TYPE
            name = self._take(_QUOTED_NAME)
            found = Type(name.upper(), name)
        else:
            found = self._bare(start)
        while self._peek() == "[":
            found = self._brackets(found, start)
        return found

    def _bare(self, start: int) -> Type:
        name = self._take(_WORD).upper()
        if self._peek() != "(":
            return Type(name, self.text[start : self.at])
        self.at += 1
        match name:
            case "STRUCT" | "UNION":
                names, parts = self._fields()
                found = Type(name, self.text[start : self.at], parts, names)
            case "MAP":
                key = self.type()
                self._expect(", ")
                found = Type(name, "", (key, self.type()))
            case "ENUM":
                self._separated(lambda: self._take(_QUOTED_TEXT))
                found = Type(name, "")
            case _:
                sizes = self._separated(lambda: self._take(_NUMBER))
                found = Type(name, "", sizes=tuple(map(int, sizes)))
        self._expect(")")
        return Type(found.name, self.text[start : self.at], found.parts, found.names, found.sizes)

    def _brackets(self, element: Type, start: int) -> Type:
        self._expect("[")
        if self._peek() == "]":
            self._expect("]")
            return Type("LIST", self.text[start : self.at], (element,))
        size = int(self._take(_NUMBER))
        self._expect("]")
        return Type("ARRAY", self.text[start : self.at], (element,), sizes=(size,))

    def _fields(self) -> tuple[tuple[str, ...], tuple[Type, ...]]:
        """The fields of a STRUCT; those of a row have types and no names."""
        start = self.at
        try:
            named = self._separated(self._field)
            if self._peek() != ")":
                raise ValueError(self.text)
        except ValueError:
            self.at = start
            return (), tuple(self._separated(self.type))
        return tuple(name for name, _ in named), tuple(part for _, part in named)

    def _field(self) -> tuple[str, Type]:
        quoted = self._peek() == '"'
        name = self._take(_QUOTED_NAME).replace('""', '"') if quoted else self._take(_BARE_NAME)
        self._expect(" ")
        return name, self.type()

    def _separated(self, read: Callable[[], _Item]) -> list[_Item]:
        items = [read()]
        while self._peek() == ",":
            self.at += 1
            if self._peek() == " ":
                self.at += 1
            items.append(read())
        return items

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.at)
        if not found:
            raise ValueError(self.text)
        self.at = found.end()
        return found.group(1) if pattern.groups else found.group()

    def _expect(self, piece: str) -> None:
        if not self.text.startswith(piece, self.at):
            raise ValueError(self.text)
        self.at += len(piece)
