"""The structure of a response, from an example or a schema: where its rows are, and what identifies one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from unify.importers.model import Json

ShapeKind = Literal["object", "list", "scalar"]
_MAX_DEPTH = 3  # levels of objects around the list of rows
_MAX_MEMBERS = 8  # members beside a list that is the only one
_MAX_ITEMS = 50  # items of an example that are read
USUAL_NAMES = frozenset(
    [
        *("data", "items", "results", "records", "rows", "values", "value", "entries", "list", "objects"),
        *(
            "elements",
            "content",
            "documents",
            "hits",
            "nodes",
            "resources",
            "collection",
            "result",
            "_embedded",
        ),
    ]
)
NO_ROWS = frozenset(
    [
        *(
            "errors",
            "error",
            "warnings",
            "warning",
            "links",
            "_links",
            "included",
            "messages",
            "meta",
            "debug",
        ),
        *("paging", "pagination", "facets", "aggregations", "filters", "includes", "notifications"),
    ]
)
_KEYS = ("id", "uuid", "gid", "sid", "guid", "_id", "Id", "ID")


class Shape(Struct, frozen=True):
    """A value: an object with ``members``, a list of ``item``, or a scalar. ``item`` None: not known."""

    kind: ShapeKind
    members: Mapping[str, Shape] = {}
    item: Shape | None = None

    @property
    def is_rows(self) -> bool:
        return self.kind == "list" and self.item is not None and self.item.kind == "object"


SCALAR = Shape("scalar")


class FoundRows(Struct, frozen=True):
    """The rows of a response. ``path`` is "" if the body is the list."""

    path: str
    row: Shape


def shape_of_example(value: Json, depth: int = 0) -> Shape:
    """The shape of a JSON value; the items of a list are merged."""
    if depth > 12:
        return SCALAR
    match value:
        case Mapping():
            return Shape(
                "object", {str(key): shape_of_example(item, depth + 1) for key, item in value.items()}
            )
        case list():
            items = [shape_of_example(item, depth + 1) for item in value[:_MAX_ITEMS]]
            return Shape("list", item=_merge(items) if items else None)
        case _:
            return SCALAR


def _merge(shapes: Sequence[Shape]) -> Shape:
    objects = [each for each in shapes if each.kind == "object"]
    if len(objects) != len(shapes):
        return shapes[0]
    members: dict[str, Shape] = {}
    for each in objects:
        for name, shape in each.members.items():
            members.setdefault(name, shape)
    return Shape("object", members)


def find_rows(shape: Shape, words: Sequence[str] = ()) -> FoundRows | str:
    """Find the rows of a response, or say why there are none. ``words`` are likely names, from the path.

    The body is the list; or the only list of objects beside few other members; or the list that is called
    like the path, or has a usual name.
    """
    if shape.kind == "list":
        return FoundRows("", shape.item) if shape.is_rows and shape.item else "its items are no objects"
    if shape.kind != "object":
        return "the response is no object and no list"
    candidates = [each for each in _lists(shape, (), 0) if each[0][-1].lower() not in NO_ROWS]
    if not candidates:
        return "the response is one object"
    chosen = _choose(candidates, [word.lower() for word in words])
    if chosen is None:
        names = ", ".join(".".join(path) for path, _, _ in candidates[:4])
        return f"several lists in the response: {names}"
    path, row, beside = chosen
    if beside > _MAX_MEMBERS and not _is_named(path, words):
        return f"the response is one object with a list inside ({'.'.join(path)})"
    if any(each in shape.members for each in _KEYS) and not _is_named(path, words):
        return f"the response is one object with a list inside ({'.'.join(path)})"
    return FoundRows(".".join(path), row)


_Candidate = tuple[tuple[str, ...], Shape, int]


def _lists(shape: Shape, path: tuple[str, ...], depth: int) -> Iterator[_Candidate]:
    """The lists of objects below an object: path, row, and the number of members beside each."""
    for name, member in shape.members.items():
        if "." in name or not name.strip() or any(char in name for char in " {}"):
            continue
        if member.is_rows and member.item is not None:
            yield (*path, name), member.item, len(shape.members) - 1
    for name, member in shape.members.items():
        is_envelope = member.kind == "object" and name.lower() not in NO_ROWS and "." not in name
        if is_envelope and depth < _MAX_DEPTH and not any(key in member.members for key in _KEYS):
            yield from _lists(member, (*path, name), depth + 1)


def _choose(candidates: Sequence[_Candidate], words: Sequence[str]) -> _Candidate | None:
    depth = min(len(path) for path, _, _ in candidates)
    for each in candidates:
        if each[0][-1].lower() in words:
            return each
    nearest = [each for each in candidates if len(each[0]) == depth]
    if len(nearest) == 1:
        return nearest[0]
    usual = [each for each in nearest if each[0][-1].lower() in USUAL_NAMES]
    return usual[0] if len(usual) == 1 else None


def _is_named(path: Sequence[str], words: Sequence[str]) -> bool:
    last = path[-1].lower()
    return last in USUAL_NAMES or last in [word.lower() for word in words]


def find_key(row: Shape, table: str = "") -> str | None:
    """The column that identifies a row by its name: ``id``, or ``repo_id`` of the table ``repos``."""
    scalars = [name for name, member in row.members.items() if member.kind == "scalar"]
    single = table.lower().rstrip("s")
    own = (f"{single}_id", f"{single}id", f"{single}-id", f"{table.lower()}_id")
    folded = {name.lower(): name for name in reversed(scalars)}
    for name in _KEYS:
        if name in scalars:
            return name
    return next((folded[name] for name in own if name in folded), None)


def is_unique(rows: Sequence[Json], key: str) -> bool:
    """Whether every example row has its own value of ``key``."""
    values = [row.get(key) if isinstance(row, Mapping) else None for row in rows]
    return None not in values and len({repr(value) for value in values}) == len(values)
