"""From what was learned of the rows to the columns of the table: their names, types and order.

Order  what a page says of its rows first, then as the longest row has its keys (of several, the first
       in byte order), then by name: the same for the same rows, whatever the pages. Columns of an
       earlier load keep their place before all others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from unify.adapters.spec import ColumnDef
from unify.duckdb_types import parse_type
from unify.loading import kinds
from unify.loading.declared import canonical, declared_type
from unify.loading.exactjson import Json
from unify.loading.layout import Cursor, Layout, Origin, Planned
from unify.loading.selection import base_name, from_page, source_path
from unify.loading.structure import Node, Structure
from unify.loading.ways import way_of
from unify.loading.widening import is_unusual, widened
from unify.model import Column

VALUE = "value"  # the column of rows that are no objects


@dataclass(slots=True)
class _Candidate:
    node: Node
    origin: Origin
    path: tuple[str, ...]
    defined: ColumnDef | None = None
    name: str = ""


def plan(structure: Structure, longest: Json, known: Sequence[Column] = (), rows: int = 1) -> Layout:
    """The layout that keeps everything learned so far.

    ``longest``  the longest row, for the order of columns.
    ``known``    columns stored by an earlier load; a type of "" says that none has a value.
    """
    found = list(_candidates(structure, longest))
    if not found and rows and not known and not _skips(structure.row):
        found = [_Candidate(_whole_rows(structure), Origin.WHOLE, ())]
    _name(found)
    _meet_declared(found, structure.selection.shape.columns)
    stored = {column.name.lower(): column for column in known}
    planned = [_planned(one, stored.get(one.name.lower())) for one in found]
    kept = [
        one for one, candidate in zip(planned, found, strict=True) if _is_column(structure, one, candidate)
    ]
    kept += _absent(structure, planned, known)
    kept.sort(key=_stored_first(known))
    return Layout(
        columns=tuple(kept),
        cursor=_cursor(structure, planned),
        way=way_of(structure, kept),
        version=structure.version,
        places=frozenset(_places(structure.row)),
    )


def _candidates(structure: Structure, longest: Json) -> Iterator[_Candidate]:
    """Everything that could be a column, in order."""
    shape = structure.selection.shape
    for defined in shape.columns:
        if from_page(defined):
            node = structure.variables.members.get(defined.name, Node())
            yield _Candidate(node, Origin.PAGE, (defined.name,), defined)
    if structure.value.kinds:
        yield _Candidate(_whole_rows(structure), Origin.WHOLE, ())
    by_path = {path: defined for defined in shape.columns if (path := source_path(defined))}
    seen = set()
    for node in _leaves(structure.row, longest):
        natural = not structure.value.kinds
        for defined in [d for d in shape.columns if source_path(d) == node.path]:
            seen.add(defined.name)
            yield _Candidate(node, Origin.ROW, node.path, defined)
        if node.path not in by_path and natural:
            yield _Candidate(node, Origin.ROW, node.path)
    for path, defined in by_path.items():
        if defined.name not in seen:
            yield _Candidate(_find(structure.row, path), Origin.ROW, path, defined)


def _whole_rows(structure: Structure) -> Node:
    """The place of rows that are no objects; if some are, it is mixed."""
    node = Node(inside=structure.value.inside)
    node.kinds = structure.value.kinds | structure.row.kinds
    node.members, node.item = structure.value.members, structure.value.item
    return node


def _leaves(node: Node, order: Json) -> Iterator[Node]:
    """The places that make one column each, below an object that becomes columns."""
    places = {key: index for index, key in enumerate(order)} if isinstance(order, dict) else {}
    for key in sorted(node.members, key=lambda key: (places.get(key, len(places)), key)):
        member = node.members[key]
        if member.choice.skip:
            continue
        if member.flattened:
            yield from _leaves(member, order.get(key) if isinstance(order, dict) else None)
        else:
            yield member


def _skips(node: Node) -> bool:
    """``exclude`` or ``only`` kept something from being a column."""
    return any(member.choice.skip or _skips(member) for member in node.members.values())


def _find(node: Node, path: tuple[str, ...]) -> Node:
    """The place at ``path``, or an empty one."""
    for key in path:
        found = node.members.get(key)
        if found is None:
            return Node(path)
        node = found
    return node


def _name(found: Iterable[_Candidate]) -> None:
    """Give every candidate its name. Of those that meet the first keeps it, the others get _2, _3 …

    The first is the one least deep, so that an object that has members one day leaves old names alone.
    """
    fixed = [one for one in found if one.defined is not None]
    free = sorted((one for one in found if one.defined is None), key=lambda one: (len(one.path), one.path))
    taken = set()
    for one in fixed:
        one.name = one.defined.name if one.defined else ""
        taken.add(one.name.lower())
    late = []
    for one in free:
        one.name = VALUE if one.origin is Origin.WHOLE else base_name(one.path)
        if one.name.lower() in taken:
            late.append(one)
        taken.add(one.name.lower())
    for one in late:
        number = 2
        while f"{one.name}_{number}".lower() in taken:
            number += 1
        one.name = f"{one.name}_{number}"
        taken.add(one.name.lower())


def _meet_declared(found: Iterable[_Candidate], columns: Sequence[ColumnDef]) -> None:
    """Declared columns without a source are those of their name."""
    by_name = {column.name.lower(): column for column in columns if column.source is None}
    for one in found:
        if one.defined is None and (defined := by_name.get(one.name.lower())) is not None:
            one.defined, one.name = defined, defined.name


def _planned(one: _Candidate, stored: Column | None) -> Planned:
    node, defined = one.node, one.defined
    strict = defined is not None and (defined.type is not None or defined.format is not None)
    if defined is not None and strict:
        type_, tried = declared_type(defined), False
        strict = defined.format is not None or kinds.scalar_type(node.kinds) != type_
    elif stored is None or not stored.type:
        type_, tried = canonical(node.duck_type()), False
    else:
        old = parse_type(stored.type)
        type_ = canonical(widened(node, old))
        tried = bool(node.kinds) and type_ == stored.type and is_unusual(old)
    return Planned(
        name=stored.name if stored is not None else one.name,
        type=type_,
        origin=one.origin,
        path=one.path,
        format=defined.format if defined is not None else None,
        strict=strict,
        tried=tried,
        has_digits=_has_digits(node, type_, strict or tried),
        kinds=node.kinds,
    )


def _has_digits(node: Node, type_: str, tested: bool) -> bool:
    """Whether numbers with a fraction have to be read as they were written."""
    if type_ in ("JSON", "DOUBLE", "FLOAT"):
        return False
    if tested and parse_type(type_).nested:
        return _holds_reals(node)
    if tested or type_ == "VARCHAR":
        return bool(node.kinds & kinds.REAL)
    return node.needs_digits() or (type_ != node.duck_type() and _holds_reals(node))


def _holds_reals(node: Node) -> bool:
    children = [*node.members.values(), *([node.item] if node.item else [])]
    return bool(node.kinds & kinds.REAL) or any(map(_holds_reals, children))


def _absent(structure: Structure, planned: Sequence[Planned], known: Sequence[Column]) -> list[Planned]:
    """Columns the spec or an earlier load knows and these rows do not have."""
    names = {one.name.lower() for one in planned} | {column.name.lower() for column in known}
    absent = [
        Planned(defined.name, declared_type(defined), Origin.NOTHING)
        for defined in structure.selection.shape.columns
        if defined.name.lower() not in names and structure.selection.keeps_declared(defined)
    ]
    present = {one.name.lower() for one in planned}
    return absent + [
        Planned(column.name, column.type or "VARCHAR", Origin.NOTHING)
        for column in known
        if column.name.lower() not in present
    ]


def _cursor(structure: Structure, planned: Sequence[Planned]) -> Cursor | None:
    name = (structure.selection.shape.cursor or "").lower()
    for one in planned:
        if one.name.lower() == name:
            read = replace(one, strict=True, tried=False, has_digits=bool(one.kinds & kinds.REAL))
            return Cursor(read, way_of(structure, [read]))
    return None


def _places(node: Node) -> Iterator[tuple[str, ...]]:
    """The paths of all members below a node, through objects."""
    for member in node.members.values():
        yield member.path
        yield from _places(member)


def _is_column(structure: Structure, one: Planned, candidate: _Candidate) -> bool:
    """``exclude`` and ``only`` let it into the table."""
    sourced = candidate.defined is not None and candidate.defined.source is not None
    if one.origin is Origin.ROW and not sourced and not candidate.node.choice.natural:
        return False
    return structure.selection.keeps(one.name)


def _stored_first(known: Sequence[Column]) -> Callable[[Planned], int]:
    places = {column.name.lower(): index for index, column in enumerate(known)}
    return lambda one: places.get(one.name.lower(), len(places))
