"""What an expression is, as far as an import can tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from unify.importers.model import Json

Root = Literal[
    "config",  # options of the connection
    "partition",  # the row of the parent
    "interval",  # the time window
    "record",
    "response",
    "headers",
    "last_record",
    "page_token",
    "state",
    "page_size",  # rows of the last page
]


class Value(Struct, frozen=True):
    """The value of an expression."""


class Known(Value, frozen=True):
    value: Json


class Ref(Value, frozen=True):
    """A member below a root. ``default`` is what the text uses if there is none."""

    root: Root
    steps: tuple[str | int, ...] = ()
    default: Json = None

    def child(self, step: str | int) -> Ref:
        return Ref(self.root, (*self.steps, step))


class Joined(Value, frozen=True):
    """Texts one after the other."""

    parts: tuple[Value, ...]


class Moment(Value, frozen=True):
    """A time: ``base`` is ``now``, ``today`` or a value; ``format`` None: not yet a text."""

    base: Value | Literal["now", "today"]
    offset_s: float = 0.0
    format: str | None = None


class Span(Value, frozen=True):
    """A length of time."""

    seconds: float


class Applied(Value, frozen=True):
    """A function that changes a value that is not known: lower, replace, base64encode …"""

    function: str
    target: Value
    arguments: tuple[Json, ...] = ()


class Operation(Value, frozen=True):
    """Arithmetic or a comparison of values that are not both known; ``not`` has no right side."""

    operator: str
    left: Value
    right: Value


class Choice(Value, frozen=True):
    """``then`` if ``test`` holds, else ``otherwise``; what holds is not known."""

    test: Value
    then: Value
    otherwise: Value


class Items(Value, frozen=True):
    """A list with members that are not all known."""

    items: tuple[Value, ...]


class Members(Value, frozen=True):
    """A dictionary with members that are not all known."""

    members: Mapping[str, Value]


class Opaque(Value, frozen=True):
    """An expression that the import does not understand, with its text."""

    text: str


NOTHING = Known(None)


def roots_of(value: Value | str) -> set[str]:
    """The roots that a value reads."""
    match value:
        case Ref():
            return {value.root}
        case Joined(parts=items) | Items(items=items):
            return {root for item in items for root in roots_of(item)}
        case Members():
            return {root for item in value.members.values() for root in roots_of(item)}
        case Moment():
            return roots_of(value.base)
        case Applied():
            return roots_of(value.target)
        case Operation():
            return roots_of(value.left) | roots_of(value.right)
        case Choice():
            return roots_of(value.test) | roots_of(value.then) | roots_of(value.otherwise)
        case Opaque():
            return {"unknown"}
        case _:
            return set()
