"""The shapes a value in a spec can have: what ``speckeys`` is written in.

The reader checks a file against them and ``specschema`` turns them into a JSON Schema, so that an editor
and Unify agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

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


@dataclass(frozen=True, slots=True)
class Text:
    """A scalar, as written; ``choices`` are all it can be."""

    form: Form = "text"
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Number:
    least: float
    most: float
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Flag:
    """true or false"""


@dataclass(frozen=True, slots=True)
class Anything:
    """Any JSON value; its texts may hold variables."""


@dataclass(frozen=True, slots=True)
class Items:
    """A list, with at least one item."""

    of: Kind


@dataclass(frozen=True, slots=True)
class Entries:
    """A mapping whose keys the author chooses."""

    of: Kind
    names: Form = "name"


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a record. ``default`` and ``example`` are for people, as they would write them."""

    name: str
    kind: Kind
    meaning: str
    default: str = ""
    example: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """A mapping with known keys. ``name`` is the heading of its part of the reference."""

    name: str
    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Variants:
    """A mapping whose key ``type`` decides which other keys it has; ``common`` belong to every type."""

    name: str
    types: Mapping[str, tuple[Key, ...]]
    default: str | None  # the type where it is left out; None: it must be given
    common: tuple[Key, ...] = ()
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Either:
    """One of several kinds, told apart by being a scalar, a list or a mapping."""

    of: tuple[Kind, ...]


Kind = Text | Number | Flag | Anything | Items | Entries | Record | Variants | Either
