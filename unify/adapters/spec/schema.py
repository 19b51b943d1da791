"""The shapes a value in a spec can have: what ``speckeys`` is written in.

The reader checks a file against them and ``specschema`` turns them into a JSON Schema, so that an editor
and Unify agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

TextFormat = Literal[
    "text",
    "name",  # an identifier: what SQL takes without quotes
    "column",
    "glob",
    "header",
    "duration",
    "request",  # METHOD /path
    "web",  # a web page for people
    "address",  # where requests go
    "origin",
    "path",  # dotted: a.b.c
    "source",  # a dotted path, $.path or {variable}
    "type",  # of a column
    "port",  # or a variable
    "times",  # how the API writes moments
    "writing",  # how it writes moments, or numbers
    "select",
]


class TextSchema(Struct, frozen=True):
    """A scalar, as written; ``choices`` are all it can be."""

    format: TextFormat = "text"
    choices: tuple[str, ...] = ()


class NumberSchema(Struct, frozen=True):
    minimum: float
    maximum: float
    integer: bool = True


class BooleanSchema(Struct, frozen=True):
    """true or false"""


class AnySchema(Struct, frozen=True):
    """Any JSON value; its texts may hold variables."""


class ListSchema(Struct, frozen=True):
    """A list, with at least one item."""

    items: Schema


class MapSchema(Struct, frozen=True):
    """A mapping whose keys the author chooses."""

    values: Schema
    key_format: TextFormat = "name"


class Key(Struct, frozen=True):
    """One key of a record. ``default`` and ``example`` are for people, as they would write them."""

    name: str
    schema: Schema
    description: str
    default: str = ""
    example: str = ""
    required: bool = False


class ObjectSchema(Struct, frozen=True):
    """A mapping with known keys. ``name`` is the heading of its part of the reference."""

    name: str
    keys: tuple[Key, ...]


class VariantSchema(Struct, frozen=True):
    """A mapping whose key ``type`` decides which other keys it has; ``common`` belong to every type."""

    name: str
    types: Mapping[str, tuple[Key, ...]]
    default: str | None  # the type where it is left out; None: it must be given
    common: tuple[Key, ...] = ()
    description: str = ""


class UnionSchema(Struct, frozen=True):
    """One of several kinds, told apart by being a scalar, a list or a mapping."""

    alternatives: tuple[Schema, ...]


Schema = (
    TextSchema
    | NumberSchema
    | BooleanSchema
    | AnySchema
    | ListSchema
    | MapSchema
    | ObjectSchema
    | VariantSchema
    | UnionSchema
)
