"""From what was learned of the rows to the columns of the table: their names, types and order.

Order  what a page says of its rows first, then as the longest row has its keys (of several, the first
       in byte order), then by name: the same for the same rows, whatever the pages. Columns of an
       earlier load keep their place before all others.

The type of a stored column as a place in the rows, so that it adds up with what new rows show.

A load's column then gets the type one load of all rows together would have given it, as far as the
stored type still tells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from unify.adapters.spec.model import ColumnDef
from unify.convert import infer
from unify.convert.casts import canonical_type, declared_type
from unify.convert.exact_json import ExactJson
from unify.convert.infer import InferredSchema, SchemaNode
from unify.convert.layout import ColumnLayout, ColumnOrigin, ColumnPlan, CursorColumn, choose_read_method
from unify.convert.selection import STORED_SELECTION, default_column_name, is_page_value, source_path
from unify.engine.types import DuckDBType, parse_type
from unify.model import Column

VALUE_COLUMN = "value"  # the column of rows that are no objects


@dataclass(slots=True)
class _ColumnCandidate:
    node: SchemaNode
    origin: ColumnOrigin
    path: tuple[str, ...]
    definition: ColumnDef | None = None
    name: str = ""


def plan_columns(
    schema: InferredSchema, longest_row: ExactJson, stored_columns: Sequence[Column] = (), rows: int = 1
) -> ColumnLayout:
    """The layout that keeps everything learned so far.

    ``longest_row``  the longest row, for the order of columns.
    ``known``    columns stored by an earlier load; a type of "" says that none has a value.
    """
    found = list(_find_candidates(schema, longest_row))
    if not found and rows and not stored_columns and not _has_skipped_fields(schema.row):
        found = [_ColumnCandidate(_whole_row_node(schema), ColumnOrigin.WHOLE_ROW, ())]
    _assign_names(found)
    _match_declared_columns(found, schema.selector.rules.columns)
    stored = {column.name.lower(): column for column in stored_columns}
    planned = [_plan_column(one, stored.get(one.name.lower())) for one in found]
    kept = [
        one for one, candidate in zip(planned, found, strict=True) if _is_included(schema, one, candidate)
    ]
    kept += _absent_columns(schema, planned, stored_columns)
    kept.sort(key=_stored_order_key(stored_columns))
    return ColumnLayout(
        columns=tuple(kept),
        cursor=_plan_cursor(schema, planned),
        read_method=choose_read_method(schema, kept),
        schema_version=schema.version,
        known_paths=frozenset(_field_paths(schema.row)),
    )


def _find_candidates(schema: InferredSchema, longest_row: ExactJson) -> Iterator[_ColumnCandidate]:
    """Everything that could be a column, in order."""
    shape = schema.selector.rules
    for defined in shape.columns:
        if is_page_value(defined):
            node = schema.variables.members.get(defined.name, SchemaNode())
            yield _ColumnCandidate(node, ColumnOrigin.PAGE, (defined.name,), defined)
    if schema.non_object_row.type_flags:
        yield _ColumnCandidate(_whole_row_node(schema), ColumnOrigin.WHOLE_ROW, ())
    by_path = {path: defined for defined in shape.columns if (path := source_path(defined))}
    seen = set()
    for node in _column_nodes(schema.row, longest_row):
        natural = not schema.non_object_row.type_flags
        for defined in [d for d in shape.columns if source_path(d) == node.path]:
            seen.add(defined.name)
            yield _ColumnCandidate(node, ColumnOrigin.ROW, node.path, defined)
        if node.path not in by_path and natural:
            yield _ColumnCandidate(node, ColumnOrigin.ROW, node.path)
    for path, defined in by_path.items():
        if defined.name not in seen:
            yield _ColumnCandidate(_find_node(schema.row, path), ColumnOrigin.ROW, path, defined)


def _whole_row_node(schema: InferredSchema) -> SchemaNode:
    """The place of rows that are no objects; if some are, it is mixed."""
    node = SchemaNode(is_nested=schema.non_object_row.is_nested)
    node.type_flags = schema.non_object_row.type_flags | schema.row.type_flags
    node.members, node.item = schema.non_object_row.members, schema.non_object_row.item
    return node


def _column_nodes(node: SchemaNode, order: ExactJson) -> Iterator[SchemaNode]:
    """The places that make one column each, below an object that becomes columns."""
    places = {key: index for index, key in enumerate(order)} if isinstance(order, dict) else {}
    for key in sorted(node.members, key=lambda key: (places.get(key, len(places)), key)):
        member = node.members[key]
        if member.field_selection.skip:
            continue
        if member.is_flattened:
            yield from _column_nodes(member, order.get(key) if isinstance(order, dict) else None)
        else:
            yield member


def _has_skipped_fields(node: SchemaNode) -> bool:
    """``exclude`` or ``only`` kept something from being a column."""
    return any(member.field_selection.skip or _has_skipped_fields(member) for member in node.members.values())


def _find_node(node: SchemaNode, path: tuple[str, ...]) -> SchemaNode:
    """The place at ``path``, or an empty one."""
    for key in path:
        found = node.members.get(key)
        if found is None:
            return SchemaNode(path)
        node = found
    return node


def _assign_names(candidates: Iterable[_ColumnCandidate]) -> None:
    """Give every candidate its name. Of those that meet the first keeps it, the others get _2, _3 …

    The first is the one least deep, so that an object that has members one day leaves old names alone.
    """
    fixed = [one for one in candidates if one.definition is not None]
    free = sorted(
        (one for one in candidates if one.definition is None), key=lambda one: (len(one.path), one.path)
    )
    taken = set()
    for one in fixed:
        one.name = one.definition.name if one.definition else ""
        taken.add(one.name.lower())
    late = []
    for one in free:
        one.name = VALUE_COLUMN if one.origin is ColumnOrigin.WHOLE_ROW else default_column_name(one.path)
        if one.name.lower() in taken:
            late.append(one)
        taken.add(one.name.lower())
    for one in late:
        number = 2
        while f"{one.name}_{number}".lower() in taken:
            number += 1
        one.name = f"{one.name}_{number}"
        taken.add(one.name.lower())


def _match_declared_columns(candidates: Iterable[_ColumnCandidate], columns: Sequence[ColumnDef]) -> None:
    """Declared columns without a source are those of their name."""
    by_name = {column.name.lower(): column for column in columns if column.source is None}
    for one in candidates:
        if one.definition is None and (defined := by_name.get(one.name.lower())) is not None:
            one.definition, one.name = defined, defined.name


def _plan_column(candidate: _ColumnCandidate, stored: Column | None) -> ColumnPlan:
    node, defined = candidate.node, candidate.definition
    strict = defined is not None and (defined.type is not None or defined.format is not None)
    if defined is not None and strict:
        type_, tried = declared_type(defined), False
        strict = defined.format is not None or infer.scalar_type(node.type_flags) != type_
    elif stored is None or not stored.type:
        type_, tried = canonical_type(node.duckdb_type()), False
    else:
        old = parse_type(stored.type)
        type_ = canonical_type(widen_type(node, old))
        tried = bool(node.type_flags) and type_ == stored.type and cannot_be_inferred(old)
    return ColumnPlan(
        name=stored.name if stored is not None else candidate.name,
        type=type_,
        origin=candidate.origin,
        path=candidate.path,
        format=defined.format if defined is not None else None,
        is_strict=strict,
        may_widen=tried,
        needs_exact_numbers=_needs_exact_numbers(node, type_, strict or tried),
        type_flags=node.type_flags,
    )


def _needs_exact_numbers(node: SchemaNode, type_: str, is_checked: bool) -> bool:
    """Whether numbers with a fraction have to be read as they were written."""
    if type_ in ("JSON", "DOUBLE", "FLOAT"):
        return False
    if is_checked and parse_type(type_).nested:
        return _contains_reals(node)
    if is_checked or type_ == "VARCHAR":
        return bool(node.type_flags & infer.REAL)
    return node.needs_exact_numbers() or (type_ != node.duckdb_type() and _contains_reals(node))


def _contains_reals(node: SchemaNode) -> bool:
    children = [*node.members.values(), *([node.item] if node.item else [])]
    return bool(node.type_flags & infer.REAL) or any(map(_contains_reals, children))


def _absent_columns(
    schema: InferredSchema, planned: Sequence[ColumnPlan], stored_columns: Sequence[Column]
) -> list[ColumnPlan]:
    """Columns the spec or an earlier load knows and these rows do not have."""
    names = {one.name.lower() for one in planned} | {column.name.lower() for column in stored_columns}
    absent = [
        ColumnPlan(defined.name, declared_type(defined), ColumnOrigin.ABSENT)
        for defined in schema.selector.rules.columns
        if defined.name.lower() not in names and schema.selector.includes_declared_column(defined)
    ]
    present = {one.name.lower() for one in planned}
    return absent + [
        ColumnPlan(column.name, column.type or "VARCHAR", ColumnOrigin.ABSENT)
        for column in stored_columns
        if column.name.lower() not in present
    ]


def _plan_cursor(schema: InferredSchema, planned: Sequence[ColumnPlan]) -> CursorColumn | None:
    name = (schema.selector.rules.cursor or "").lower()
    for one in planned:
        if one.name.lower() == name:
            read = replace(
                one, is_strict=True, may_widen=False, needs_exact_numbers=bool(one.type_flags & infer.REAL)
            )
            return CursorColumn(read, choose_read_method(schema, [read]))
    return None


def _field_paths(node: SchemaNode) -> Iterator[tuple[str, ...]]:
    """The paths of all members below a node, through objects."""
    for member in node.members.values():
        yield member.path
        yield from _field_paths(member)


def _is_included(schema: InferredSchema, column: ColumnPlan, candidate: _ColumnCandidate) -> bool:
    """``exclude`` and ``only`` let it into the table."""
    sourced = candidate.definition is not None and candidate.definition.source is not None
    if (
        column.origin is ColumnOrigin.ROW
        and not sourced
        and not candidate.node.field_selection.makes_own_column
    ):
        return False
    return schema.selector.includes_column(column.name)


def _stored_order_key(stored_columns: Sequence[Column]) -> Callable[[ColumnPlan], int]:
    places = {column.name.lower(): index for index, column in enumerate(stored_columns)}
    return lambda one: places.get(one.name.lower(), len(places))


_STORED_TYPE_FLAGS = {
    "BOOLEAN": infer.BOOL,
    "TINYINT": infer.INT,
    "UTINYINT": infer.INT,
    "SMALLINT": infer.INT,
    "USMALLINT": infer.INT,
    "INTEGER": infer.INT,
    "UINTEGER": infer.INT,
    "BIGINT": infer.INT,  # whether all are exact as doubles is for the publisher to see; see evolution
    "UBIGINT": infer.INT | infer.INEXACT_INT | infer.BIG_INT,
    "FLOAT": infer.REAL,
    "DOUBLE": infer.REAL,
    "DATE": infer.DATE,
    "TIMESTAMP": infer.TIMESTAMP,
    infer.TIMESTAMPTZ_TYPE: infer.TIMESTAMP_WITH_ZONE,
    "VARCHAR": infer.TEXT,
    "JSON": infer.OBJECT | infer.TOO_DEEP,
}


def widen_type(found: SchemaNode, stored: DuckDBType) -> str:
    """The type that keeps what was found and what is stored."""
    old = _node_of_type(stored)
    if old is None:
        held = not found.type_flags & (infer.OBJECT | infer.LIST | infer.UNCASTABLE)
        if held:
            return stored.text
        return "JSON" if stored.nested or found.type_flags & (infer.OBJECT | infer.LIST) else "VARCHAR"
    return merge_nodes(old, found).duckdb_type() if found.type_flags else stored.text


def cannot_be_inferred(stored: DuckDBType) -> bool:
    """A type no rows lead to by themselves: new values have to be tried one by one."""
    return _node_of_type(stored) is None


def merge_nodes(one: SchemaNode, other: SchemaNode) -> SchemaNode:
    """Both places in one; the members of ``one`` come first."""
    result = SchemaNode(other.path, is_nested=other.is_nested)
    result.type_flags = one.type_flags | other.type_flags
    for key in [*one.members, *(key for key in other.members if key not in one.members)]:
        pair = [node.members[key] for node in (one, other) if key in node.members]
        member = merge_nodes(*pair) if len(pair) == 2 else pair[0]
        member.field_selection = STORED_SELECTION if key in one.members else member.field_selection
        result.members[key] = member
    items = [node.item for node in (one, other) if node.item is not None]
    result.item = merge_nodes(*items) if len(items) == 2 else items[0] if items else None
    return result


def _node_of_type(stored: DuckDBType) -> SchemaNode | None:
    """The place a stored type stands for, or None if it stands for none."""
    node = SchemaNode()
    if stored.text == infer.BIG_INTEGER_TYPE:
        node.type_flags = infer.INT | infer.INEXACT_INT | infer.BIG_INT
    elif stored.name == "LIST":
        node.type_flags = infer.LIST
        node.item = _node_of_type(stored.children[0])
        return node if node.item is not None else None
    elif stored.name == "STRUCT" and stored.field_names:
        node.type_flags = infer.OBJECT
        for name, part in zip(stored.field_names, stored.children, strict=True):
            member = _node_of_type(part)
            if member is None:
                return None
            member.field_selection = STORED_SELECTION
            node.members[name] = member
    elif stored.name in _STORED_TYPE_FLAGS:
        node.type_flags = _STORED_TYPE_FLAGS[stored.name]
    else:
        return None
    return node
