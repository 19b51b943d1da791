"""Schema inference: the fields of the rows, the kinds of values of each, and the type that holds them.

Kinds are bits and are only added, so a type does not depend on the order of the rows.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from unify.convert.exact_json import ExactJson, FloatText, IntegerText
from unify.convert.selection import ROOT_SELECTION, ColumnSelector, FieldSelection
from unify.engine.types import BIG_INTEGER_TYPE, TIMESTAMPTZ_TYPE, quote_identifier
from unify.engine.widening import EMPTY_STRUCT, UNTYPED, Place, final_type
from unify.errors import BadResponse
from unify.text import excerpt

MAX_DEPTH = 100  # levels of nesting; deeper values are JSON
MAX_FIELDS = 8_000  # of all rows; publishing takes 1.5 s of CPU for 5,000 columns, 4 s for twice as many
MAX_STRUCT_FIELDS = 1_000  # of an object within a list or a struct; one with more is JSON
MAX_NAME_CHARS = 1_000  # of a column: the names of a field and of the objects around it
MAX_LIST_DEPTH = 8  # lists within lists; DuckDB's time to read them back from Parquet doubles with each


class SchemaNode:
    """One field of the rows. ``members`` of an object by key, ``item`` of a list.

    ``may_flatten``  an object becomes columns, one for each member.
    ``is_nested``    the field is within a LIST or STRUCT, where texts are not tested for dates.
    """

    __slots__ = (
        "depth",
        "field_selection",
        "is_nested",
        "item",
        "list_depth",
        "may_flatten",
        "members",
        "path",
        "type_flags",
    )

    def __init__(
        self,
        path: tuple[str, ...] = (),
        field_selection: FieldSelection = ROOT_SELECTION,
        *,
        depth: int = 0,
        list_depth: int = 0,
        may_flatten: bool = False,
        is_nested: bool = True,
    ) -> None:
        self.path = path
        self.field_selection = field_selection
        self.depth = depth
        self.list_depth = list_depth
        self.may_flatten = may_flatten
        self.is_nested = is_nested
        self.type_flags = 0
        self.members: dict[str, SchemaNode] = {}
        self.item: SchemaNode | None = None

    @property
    def is_mixed(self) -> bool:
        """Whether it has values of several of object, list and scalar, which only JSON holds."""
        found = self.type_flags
        several = bool(found & OBJECT) + bool(found & LIST) + bool(found & SCALARS)
        return several > 1 or bool(found & TOO_DEEP)

    @property
    def is_flattened(self) -> bool:
        """Whether every value is an object, and its members are columns."""
        return self.may_flatten and self.type_flags == OBJECT

    @property
    def has_ambiguous_keys(self) -> bool:
        """Whether a STRUCT cannot name or distinguish its members."""
        names = self.members
        folded = {name.lower() for name in names}
        return len(folded) < len(names) or any(not name or "\0" in name for name in names)

    def provisional_type(self) -> str:
        """Return the type of the field as one column: untyped wherever it has no value."""
        if self.is_mixed:
            return "JSON"
        if self.type_flags & OBJECT:
            return self._struct_type()
        if self.type_flags & LIST:
            return f"{self.item.provisional_type() if self.item else UNTYPED}[]"
        return scalar_type(self.type_flags) if self.type_flags else UNTYPED

    def duckdb_type(self) -> str:
        """Return the DuckDB type of the field as one column."""
        return final_type(self.provisional_type())

    def node_at(self, place: Place) -> SchemaNode:
        """Return the node at a place of this column's type, or an empty one."""
        node = self
        for step in place:
            node = (node.item if step is None else node.members.get(step)) or SchemaNode()
        return node

    def needs_exact_numbers(self) -> bool:
        """Return whether numbers with a fraction become text, so that their digits must be read."""
        if self.is_mixed or (self.type_flags & OBJECT and (self.has_ambiguous_keys or not self.members)):
            return False
        if self.type_flags & OBJECT:
            return any(member.needs_exact_numbers() for member in self.members.values())
        if self.type_flags & LIST:
            return self.item is not None and self.item.needs_exact_numbers()
        return bool(self.type_flags & REAL) and scalar_type(self.type_flags) == "VARCHAR"

    def _struct_type(self) -> str:
        if not self.members:
            return EMPTY_STRUCT
        if self.has_ambiguous_keys:
            return "JSON"
        fields = ", ".join(
            f"{quote_identifier(key)} {node.provisional_type()}" for key, node in sorted(self.members.items())
        )
        return f"STRUCT({fields})"

    def __lt__(self, other: SchemaNode) -> bool:
        return self.path < other.path


class InferredSchema:
    """The schema of the rows so far. ``version`` changes with every addition.

    ``row``             rows that are objects.
    ``non_object_row``  other rows.
    ``variables``       the values of the pages.
    """

    def __init__(self, selector: ColumnSelector) -> None:
        self.selector = selector
        self.row = SchemaNode(may_flatten=True, is_nested=False)
        self.non_object_row = SchemaNode(is_nested=False)
        self.variables = SchemaNode(is_nested=False, may_flatten=True)
        self.version = 0
        self._field_count = 0

    def add_value(self, node: SchemaNode, value: ExactJson) -> None:
        """Add a value to the kinds of ``node``. Null adds no kind.

        Raises:
            BadResponse: the rows have more than MAX_FIELDS fields, or a field has too long a name.
        """
        if value is None or node.field_selection.skip:
            return
        if isinstance(value, dict):
            self._add_object(node, value)
        elif isinstance(value, list):
            self._add_list(node, value)
        elif node.is_nested and isinstance(value, str) and type(value) is str:
            self._add_type_flags(node, TEXT)
        else:
            self._add_type_flags(node, scalar_type_flags(value))

    def add_uncastable(self, node: SchemaNode) -> None:
        """Record that a value does not fit the stored type of ``node``."""
        self._add_type_flags(node, UNCASTABLE)

    def find_maps(self, least: int) -> Iterator[tuple[tuple[str, ...], int]]:
        """Yield the paths of objects with at least ``least`` members that are objects of the same members."""
        pending = [self.row]
        while pending:
            node = pending.pop()
            members = [member for member in node.members.values() if member.type_flags == OBJECT]
            alike = Counter(frozenset(member.members) for member in members if member.members)
            if alike and alike.most_common(1)[0][1] >= least:
                yield node.path, alike.most_common(1)[0][1]
            else:
                pending += members

    def _add_object(self, node: SchemaNode, value: dict[str, ExactJson]) -> None:
        self._add_type_flags(node, OBJECT)
        if node.depth >= MAX_DEPTH:
            self._add_type_flags(node, TOO_DEEP)
            return
        if not node.may_flatten and _is_too_wide(node, value):
            self._add_type_flags(node, TOO_DEEP)
            return
        for key, member in value.items():
            child = node.members.get(key)
            if child is None:
                child = node.members[key] = self._new_member(node, key)
                self.version += 1
                self._count_field(child)
            self.add_value(child, member)

    def _count_field(self, node: SchemaNode) -> None:
        if node.field_selection.skip:
            return
        self._field_count += 1
        if self._field_count > MAX_FIELDS:
            raise BadResponse(
                f"the rows have more than {MAX_FIELDS:,} different fields, such as "
                f"{excerpt('.'.join(node.path), 80)}; leave some out with exclude, or name the needed ones "
                "in only; if the fields are rows of their own, write rows: PATH.*"
            )
        length = sum(map(len, node.path)) + len(node.path) - 1
        if length > MAX_NAME_CHARS and not node.is_nested:
            raise BadResponse(
                f"the rows have a field whose name has {length:,} characters, of {MAX_NAME_CHARS:,} at most: "
                f"{excerpt('.'.join(node.path), 80)}; leave it out with exclude"
            )

    def _add_list(self, node: SchemaNode, value: list[ExactJson]) -> None:
        self._add_type_flags(node, LIST)
        if node.depth >= MAX_DEPTH or node.list_depth >= MAX_LIST_DEPTH:
            self._add_type_flags(node, TOO_DEEP)
            return
        if node.item is None:
            node.item = SchemaNode(node.path, depth=node.depth + 1, list_depth=node.list_depth + 1)
        for item in value:
            self.add_value(node.item, item)

    def _add_type_flags(self, node: SchemaNode, type_flags: int) -> None:
        if node.type_flags | type_flags != node.type_flags:
            node.type_flags |= type_flags
            self.version += 1

    def _new_member(self, node: SchemaNode, key: str) -> SchemaNode:
        path = (*node.path, key)
        if not node.may_flatten:
            return SchemaNode(path, depth=node.depth + 1, list_depth=node.list_depth)
        if node is self.variables:
            return SchemaNode(path, is_nested=False)
        choice = self.selector.select_field(node.field_selection, path)
        flat = not choice.is_single_column and self.selector.should_flatten(path)
        return SchemaNode(path, choice, depth=node.depth + 1, may_flatten=flat, is_nested=False)


def _is_too_wide(node: SchemaNode, value: dict[str, ExactJson]) -> bool:
    """Return whether ``value`` gives a STRUCT more fields than MAX_STRUCT_FIELDS, or a very long name."""
    if any(len(key) > MAX_NAME_CHARS for key in value):
        return True
    if len(node.members) + len(value) <= MAX_STRUCT_FIELDS:
        return False
    return len(node.members.keys() | value.keys()) > MAX_STRUCT_FIELDS


OBJECT = 1
LIST = 2
TOO_DEEP = 4  # nested deeper, or with more members, than columns allow
BOOL = 8
INT = 16
INEXACT_INT = 32  # an integer that no double equals
BIG_INT = 64  # an integer beyond 64 bits
HUGE_INT = 128  # an integer of more than 38 digits
REAL = 256
OVERFLOWING_REAL = 512  # a number beyond every double
DATE = 1024
TIMESTAMP = 2048  # without a zone
TIMESTAMP_WITH_ZONE = 4096  # with a zone
TEXT = 8192  # any other text
UNCASTABLE = 16384  # a value that the stored type cannot hold

TEMPORAL = DATE | TIMESTAMP | TIMESTAMP_WITH_ZONE
TEXTS = TEMPORAL | TEXT
INTEGERS = INT | INEXACT_INT | BIG_INT | HUGE_INT
REALS = REAL | OVERFLOWING_REAL
SCALARS = BOOL | INTEGERS | REALS | TEXTS

INT64_LIMIT = 2**63
MAX_EXACT_INT = 2**53
MAX_DECIMAL_DIGITS = 38

_ISO_TIMESTAMP = re.compile(
    r"\d{4}-\d\d-\d\d(?:([T ])\d\d:\d\d:\d\d(?:\.\d{1,6}0*)?(Z|[+-]\d\d(?::?\d\d)?)?)?", re.ASCII
)


def scalar_type_flags(value: object) -> int:
    """Return the kinds of a text, number or bool of ``parse_exact``."""
    if isinstance(value, IntegerText):
        return _integer_flags(value)
    if isinstance(value, FloatText):
        return REAL | OVERFLOWING_REAL if math.isinf(float(value)) and value[-1].isdigit() else REAL
    if isinstance(value, str):
        return _text_flags(value)
    return BOOL


def _integer_flags(text: str) -> int:
    if len(text) <= 15:
        return INT
    if len(text) > 310:  # beyond every double, and near the limit of Python's int()
        return INT | INEXACT_INT | BIG_INT | HUGE_INT
    number = int(text)
    return (
        INT
        | (0 if _is_exact_as_double(number) else INEXACT_INT)
        | (0 if -INT64_LIMIT <= number < INT64_LIMIT else BIG_INT)
        | (0 if abs(number) < 10**MAX_DECIMAL_DIGITS else HUGE_INT)
    )


def _is_exact_as_double(number: int) -> bool:
    try:
        return int(float(number)) == number
    except OverflowError:
        return False


def _text_flags(text: str) -> int:
    """Return the kind of a text: ISO 8601 that DuckDB reads exactly, or text."""
    if len(text) < 10 or text[4] != "-":
        return TEXT
    match = _ISO_TIMESTAMP.fullmatch(text)
    if match is None:
        return TEXT
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return TEXT
    time, zone = match.groups()
    return TIMESTAMP_WITH_ZONE if zone else TIMESTAMP if time else DATE


def scalar_type(type_flags: int) -> str:
    """Return the DuckDB type that holds every value of these kinds; VARCHAR without any."""
    if type_flags & ~INTEGERS == 0 and type_flags:
        return "VARCHAR" if type_flags & HUGE_INT else BIG_INTEGER_TYPE if type_flags & BIG_INT else "BIGINT"
    if type_flags & REAL and type_flags & ~(INTEGERS | REALS) == 0:
        return "VARCHAR" if type_flags & (INEXACT_INT | OVERFLOWING_REAL) else "DOUBLE"
    return {BOOL: "BOOLEAN", DATE: "DATE", TIMESTAMP: "TIMESTAMP", TIMESTAMP_WITH_ZONE: TIMESTAMPTZ_TYPE}.get(
        type_flags, "VARCHAR"
    )


_MAX_LISTED = 4  # names in a note


def single_row_notes(row: bytes) -> Iterator[str]:
    """Yield the notes about the only row of a load."""
    pending: list[tuple[str, Any]] = [("", msgspec.json.decode(row))] if row else []
    while pending:
        path, value = pending.pop()
        if isinstance(value, dict):
            members = [(f"{path}.{name}" if path else name, item) for name, item in value.items()]
            yield from _column_lists(members)
            for name, item in members:
                if isinstance(item, str) and item.lstrip()[:2] in ("[{", '{"'):
                    yield f"the only row has JSON in a text at {name}, which may be the rows"
            pending += members


def _column_lists(members: list[tuple[str, Any]]) -> Iterator[str]:
    lengths: dict[int, list[str]] = {}
    for name, item in members:
        if isinstance(item, list) and len(item) > 1 and not isinstance(item[0], dict | list):
            lengths.setdefault(len(item), []).append(name)
    for length, names in lengths.items():
        if len(names) > 1:
            more = " …" if len(names) > _MAX_LISTED else ""
            listed = ", ".join(names[:_MAX_LISTED]) + more
            yield f"the only row has {len(names)} lists of {length} values, which may be columns: {listed}"
