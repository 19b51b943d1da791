"""The shapes a value in a spec can have: what ``speckeys`` is written in.

The reader checks a file against them and ``specschema`` turns them into a JSON Schema, so that an editor
and Unify agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

Form = Literal[
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


class Text(Struct, frozen=True):
    """A scalar, as written; ``choices`` are all it can be."""

    form: Form = "text"
    choices: tuple[str, ...] = ()


class Number(Struct, frozen=True):
    least: float
    most: float
    whole: bool = True


class Flag(Struct, frozen=True):
    """true or false"""


class Anything(Struct, frozen=True):
    """Any JSON value; its texts may hold variables."""


class Items(Struct, frozen=True):
    """A list, with at least one item."""

    of: Kind


class Entries(Struct, frozen=True):
    """A mapping whose keys the author chooses."""

    of: Kind
    names: Form = "name"


class Key(Struct, frozen=True):
    """One key of a record. ``default`` and ``example`` are for people, as they would write them."""

    name: str
    kind: Kind
    meaning: str
    default: str = ""
    example: str = ""
    required: bool = False


class Record(Struct, frozen=True):
    """A mapping with known keys. ``name`` is the heading of its part of the reference."""

    name: str
    keys: tuple[Key, ...]


class Variants(Struct, frozen=True):
    """A mapping whose key ``type`` decides which other keys it has; ``common`` belong to every type."""

    name: str
    types: Mapping[str, tuple[Key, ...]]
    default: str | None  # the type where it is left out; None: it must be given
    common: tuple[Key, ...] = ()
    meaning: str = ""


class Either(Struct, frozen=True):
    """One of several kinds, told apart by being a scalar, a list or a mapping."""

    of: tuple[Kind, ...]


Kind = Text | Number | Flag | Anything | Items | Entries | Record | Variants | Either
