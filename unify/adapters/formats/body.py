"""A response body as bytes: its rows, the values around them, and where the rows are looked for.

A body is read only as deep as the rows lie. A row stays the bytes the source wrote, on one line, so that
integers keep their digits and duplicate keys reach the type inference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from unify.adapters.base import Scalar
from unify.adapters.formats.cut_lists import find_cut_list, find_cut_member
from unify.adapters.formats.locate import OPEN_OBJECT, WHITESPACE, first_char, resolve_path, split_path
from unify.adapters.formats.nesting import with_inherited_columns
from unify.adapters.formats.outside import outside_members
from unify.adapters.paging.base import Member
from unify.adapters.spec.table_keys import DETECTED_CSV, CSVFormat, InheritedColumn, ResponseFormat
from unify.text import excerpt

EXCERPT_CHARS = 80  # characters of a body in a message

_object_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


class RecordSelector(Struct, frozen=True):
    """The path of the rows in a body.

    ``path``        a dotted path; "" or ``$`` for the body itself; ``a.*`` for the members of an object; with
                    ``?`` at its end it need not exist; None to be found.
    ``more_paths``  further lists whose rows follow.
    ``table``       its name, a hint for finding the rows.
    ``expect_list``, ``expect_object``  the body itself was a list, or the row, on earlier pages or loads.
    ``is_detected`` ``path`` is where earlier pages or loads had the rows; it is not declared.
    ``seen_as``     list, object or map: what was at ``path`` on earlier pages or loads; "" for nothing.
                    A list that was seen may be left out.
    ``may_be_empty``  a body without a byte, or ``null``, has no rows.
    ``rows_name``   column that holds the name of the member or list a row comes from.
    ``names_path``  where the column names of rows that are lists are: ``$.columns``; the first of the rows
                    (``$.values.0``) is no row then.
    ``positions``   items of rows that are lists whose member is their number, counted from 0.
    """

    path: str | None = None
    format: ResponseFormat = "json"
    table: str = ""
    expect_list: bool = False
    nullable: bool = False
    expect_object: bool = False
    is_detected: bool = False
    seen_as: str = ""
    may_be_empty: bool = False
    more_paths: tuple[str, ...] = ()
    rows_name: str | None = None
    names_path: str | None = None
    positions: frozenset[int] = frozenset()
    csv: CSVFormat = DETECTED_CSV

    @property
    def dotted_path(self) -> str | None:
        """Return ``path`` without ``$``, ``?`` and ``.*``."""
        if self.path is None:
            return None
        path = self.path.removesuffix("?").removesuffix(".*")
        return path.removeprefix("$").removeprefix(".")

    @property
    def is_map(self) -> bool:
        return self.seen_as == "map" or (self.path is not None and self.path.removesuffix("?").endswith(".*"))

    @property
    def is_optional(self) -> bool:
        return self.path is not None and self.path.endswith("?")


class ResponseBody:
    """One body: its ``rows`` undecoded, and the values around them.

    ``rows_path``    the path the rows were at; "" if the body itself is the list or the row.
    ``is_list``      the body itself is the list.
    ``is_certain``   where the rows are was not guessed from empty lists.
    ``rows_kind``    list, object or map: what is at the path; "" for nothing.
    ``has_header``   the first item of each list of rows had the names of the columns.
    ``csv_names``    the names in the header line of a CSV.
    ``outer_count``  items of the outermost list on the way to the rows: pages are counted in these.
    ``repairs``      what was repaired to read the body, and how often.
    ``side_lists``   other lists of objects that might be rows too, if the path was found.
    """

    __slots__ = (
        *("address", "text", "_members", "_outer_count", "_outside", "is_certain", "is_list", "repairs"),
        *("csv_names", "has_header", "rows", "rows_kind", "rows_path", "side_lists"),
    )

    def __init__(self, body: bytes, address: str) -> None:
        self.text = body
        self.address = address
        self._members: Mapping[str, msgspec.Raw] | None = None
        self._outside: tuple[Member, ...] | None = None
        self._outer_count: int | None = None
        self.rows: Sequence[bytes] = ()
        self.rows_path = ""
        self.rows_kind = ""
        self.has_header = False
        self.csv_names: Sequence[str] = ()
        self.is_list = False
        self.is_certain = True
        self.repairs: Counter[str] = Counter()
        self.side_lists: Sequence[str] = ()

    @property
    def outer_count(self) -> int:
        return len(self.rows) if self._outer_count is None else self._outer_count

    @outer_count.setter
    def outer_count(self, count: int) -> None:
        self._outer_count = count

    def value(self, path: str) -> Any:
        """The decoded value at a dotted path of the body; None if there is nothing."""
        raw = self.raw_value(path)
        return None if raw is None else msgspec.json.decode(raw)

    def scalar(self, path: str) -> Scalar:
        """The same for a column: an object or list is its JSON text."""
        raw = self.raw_value(path)
        if raw is None:
            return None
        text = bytes(raw).strip(WHITESPACE)
        if text[:1] in (b"{", b"["):
            return text.decode()
        value: Scalar = msgspec.json.decode(text)
        return value

    def outside(self) -> tuple[Member, ...]:
        """The scalar members outside the rows; none if the body itself is the row."""
        if self._outside is None:
            self._outside = outside_members(self.text, self.rows_path) if self.rows_path else ()
        return self._outside

    def add_inherited_columns(self, inherited: Sequence[InheritedColumn]) -> None:
        """Add to every row the values of these columns from the objects around it."""
        self.rows = with_inherited_columns(
            self.rows,
            self.text,
            self.rows_path,
            inherited,
            is_map=self.rows_kind == "map",
            has_header=self.has_header,
        )

    def find_cut_list(self, paging_paths: Sequence[str]) -> str:
        """What says that a list around the rows is not complete; "" if nothing does.

        ``paging_paths``  where the spec says that the next page is; see ``cut_lists.find_cut_list``.
        """
        steps = split_path(self.rows_path)
        is_nested = len(steps) > 1 and self.rows_kind == "list"
        return find_cut_list(self.text, steps, paging_paths) if is_nested else ""

    def find_cut_member(self) -> str:
        """What says that a list within one of the first rows is not complete; "" if nothing does."""
        return next(filter(None, map(find_cut_member, self.rows[:3])), "")

    def raw_value(self, path: str) -> msgspec.Raw | bytes | None:
        """The undecoded JSON at a path; see ``locate.resolve_path``."""
        steps = split_path(path)
        if not steps or first_char(self.text) != OPEN_OBJECT:
            return resolve_path(self.text, steps)
        for end in range(len(steps), 0, -1):
            name = ".".join(steps[:end])
            if name in self.members():
                found = resolve_path(self.members()[name], steps[end:])
                if found is not None:
                    return found
        return None

    def members_or_none(self) -> Mapping[str, msgspec.Raw]:
        return self.members() if first_char(self.text) == OPEN_OBJECT else {}

    def members(self) -> Mapping[str, msgspec.Raw]:
        """The members of a body that is an object; read once."""
        if self._members is None:
            self._members = _object_decoder.decode(self.text)
        return self._members


def excerpt_body(body: bytes) -> str:
    """Return the beginning of a body for a message, in quotes."""
    text = excerpt(body[: 4 * EXCERPT_CHARS + 1].decode("utf-8", "replace"), 4 * EXCERPT_CHARS)
    return repr(excerpt(" ".join(text.split()), EXCERPT_CHARS))
