"""Column planning: from the inferred schema to names, types and order of the columns.

Order: page values, then fields in the order of the longest row (of several, the first in byte order), then
fields by name. It depends on the rows alone, not on pages or chunks. Stored columns come before all others.

A column is the field at one path. Names are assigned in this order: the stored column of that path; stored
columns of unknown path and names in the spec, where the spelling is exact; the rest, least deep first. Of
fields whose names differ in case only, the later ones get the suffix _2, _3 ...

Types: the type that holds all values of this load and, as far as the stored type tells, all stored values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import count

from msgspec import Struct
from msgspec.structs import replace

from unify.adapters.spec.table_keys import ColumnDef
from unify.convert import infer
from unify.convert.casts import canonical_type, declared_type
from unify.convert.exact_json import ExactJson
from unify.convert.infer import InferredSchema, SchemaNode
from unify.convert.layout import ColumnLayout, ColumnOrigin, ColumnPlan, CursorColumn, choose_read_method
from unify.convert.selection import (
    NOTHING_STORED,
    FieldPath,
    StoredSchema,
    default_column_name,
    is_page_value,
    source_path,
)
from unify.engine.types import BIG_INTEGER_TYPE, TIMESTAMPTZ_TYPE, DuckDBType, parse_type
from unify.engine.widening import common_type, final_type
from unify.model import Column

VALUE_COLUMN = "value"  # the column of rows that are not objects


class _ColumnCandidate(Struct):
    node: SchemaNode
    origin: ColumnOrigin
    path: FieldPath
    definition: ColumnDef | None = None
    name: str = ""


def plan_columns(
    schema: InferredSchema, longest_row: ExactJson, stored: StoredSchema = NOTHING_STORED, rows: int = 1
) -> ColumnLayout:
    """Return the layout that holds everything inferred so far.

    ``longest_row``  the longest row, for the order of columns.
    """
    candidates = list(_find_candidates(schema, longest_row))
    if not candidates and rows and not stored.columns and not _has_skipped_fields(schema.row):
        candidates = [_ColumnCandidate(_whole_row_node(schema), ColumnOrigin.WHOLE_ROW, ())]
    _assign_names(candidates, stored, schema.selector.rules.spelled_names)
    _match_declared_columns(candidates, schema.selector.rules.columns)
    stored_by_name = {column.name.lower(): column for column in stored.columns}
    planned = [_plan_column(one, stored_by_name.get(one.name.lower())) for one in candidates]
    paths = frozenset(_field_paths(schema.row))
    columns = list(_included_columns(schema, zip(planned, candidates, strict=True), paths))
    columns += _absent_columns(schema, planned, stored.columns)
    positions = {column.name.lower(): index for index, column in enumerate(stored.columns)}
    columns.sort(key=lambda column: positions.get(column.name.lower(), len(positions)))
    return ColumnLayout(
        columns=tuple(columns),
        cursor=_plan_cursor(schema, planned),
        read_method=choose_read_method(schema, columns),
        schema_version=schema.version,
        known_paths=paths,
    )


def _find_candidates(schema: InferredSchema, longest_row: ExactJson) -> Iterator[_ColumnCandidate]:
    """Yield everything that could be a column, in order."""
    declared = schema.selector.rules.columns
    for defined in declared:
        if is_page_value(defined):
            node = schema.variables.members.get(defined.name, SchemaNode())
            yield _ColumnCandidate(node, ColumnOrigin.PAGE, (defined.name,), defined)
    if schema.non_object_row.type_flags:
        yield _ColumnCandidate(_whole_row_node(schema), ColumnOrigin.WHOLE_ROW, ())
    by_path: dict[FieldPath, list[ColumnDef]] = {}
    for defined in declared:
        if path := source_path(defined):
            by_path.setdefault(path, []).append(defined)
    for node in _column_nodes(schema.row, longest_row):
        sourced = by_path.pop(node.path, ())
        for defined in sourced:
            yield _ColumnCandidate(node, ColumnOrigin.ROW, node.path, defined)
        if not sourced and not schema.non_object_row.type_flags:
            yield _ColumnCandidate(node, ColumnOrigin.ROW, node.path)
    for path, definitions in by_path.items():
        for defined in definitions:
            yield _ColumnCandidate(_find_node(schema.row, path), ColumnOrigin.ROW, path, defined)


def _whole_row_node(schema: InferredSchema) -> SchemaNode:
    """Return the node of rows that are not objects; it is mixed if some are."""
    node = SchemaNode(is_nested=schema.non_object_row.is_nested)
    node.type_flags = schema.non_object_row.type_flags | schema.row.type_flags
    node.members, node.item = schema.non_object_row.members, schema.non_object_row.item
    return node


def _column_nodes(node: SchemaNode, order: ExactJson) -> Iterator[SchemaNode]:
    """Yield the nodes that make one column each, below an object that becomes columns."""
    positions = {key: index for index, key in enumerate(order)} if isinstance(order, dict) else {}
    for key in sorted(node.members, key=lambda key: (positions.get(key, len(positions)), key)):
        member = node.members[key]
        if member.field_selection.skip:
            continue
        if member.is_flattened:
            yield from _column_nodes(member, order.get(key) if isinstance(order, dict) else None)
        else:
            yield member


def _has_skipped_fields(node: SchemaNode) -> bool:
    """Return whether ``exclude`` or ``only`` removes a field."""
    return any(member.field_selection.skip or _has_skipped_fields(member) for member in node.members.values())


def _find_node(node: SchemaNode, path: tuple[str, ...]) -> SchemaNode:
    """The place at ``path``, or an empty one."""
    for key in path:
        found = node.members.get(key)
        if found is None:
            return SchemaNode(path)
        node = found
    return node


def _assign_names(
    candidates: Sequence[_ColumnCandidate], stored: StoredSchema, spelled_names: Sequence[str]
) -> None:
    """Assign every candidate its column name, in the order that the module describes.

    Of duplicates the least deep keeps its name, so that an object that becomes columns renames no other.
    """
    taken = {one.name.lower() for one in candidates if _assign_declared_name(one)}
    unnamed = sorted((one for one in candidates if not one.name), key=lambda one: len(one.path))
    names_by_path = {path: name for name, path in stored.paths.items()}
    for one in unnamed:
        if (name := names_by_path.get(one.path, "")) and name.lower() not in taken:
            one.name = name
    taken.update(name.lower() for name in stored.paths)
    exact: dict[str, _ColumnCandidate] = {}
    for one in unnamed:
        exact.setdefault("_".join(one.path), one)
    for name in _exact_names(stored, spelled_names):
        if (match := exact.get(name)) and not match.name and name.lower() not in taken:
            match.name = name
            taken.add(name.lower())
    _assign_default_names([one for one in unnamed if not one.name], taken)


def _assign_declared_name(candidate: _ColumnCandidate) -> bool:
    if candidate.definition is not None:
        candidate.name = candidate.definition.name
    return candidate.definition is not None


def _assign_default_names(candidates: Sequence[_ColumnCandidate], taken: set[str]) -> None:
    duplicates = []
    for one in candidates:
        name = VALUE_COLUMN if one.origin is ColumnOrigin.WHOLE_ROW else default_column_name(one.path)
        if name.lower() in taken:
            duplicates.append((one, name))
        else:
            one.name = name
            taken.add(name.lower())
    for one, name in duplicates:
        number = next(n for n in count(2) if f"{name}_{n}".lower() not in taken)
        one.name = f"{name}_{number}"
        taken.add(one.name.lower())


def _exact_names(stored: StoredSchema, spelled_names: Sequence[str]) -> tuple[str, ...]:
    """Return the names that go to the field of the same spelling.

    Where stored rows stay, a stored column of unknown path precedes the spec, so that its values do not mix
    with those of another field.
    """
    unknown = [column.name for column in stored.columns if column.name not in stored.paths]
    return (*spelled_names, *unknown) if stored.replaces_rows else (*unknown, *spelled_names)


def _match_declared_columns(candidates: Iterable[_ColumnCandidate], columns: Sequence[ColumnDef]) -> None:
    """Attach declared columns without ``from`` to the candidates of their name."""
    by_name = {column.name.lower(): column for column in columns if column.source is None}
    for one in candidates:
        if one.definition is None and (defined := by_name.get(one.name.lower())) is not None:
            one.definition, one.name = defined, defined.name


def _plan_column(candidate: _ColumnCandidate, stored: Column | None) -> ColumnPlan:
    node, defined = candidate.node, candidate.definition
    is_strict = may_widen = False
    if defined is not None and (defined.type is not None or defined.format is not None):
        type_ = declared_type(defined)
        is_strict = defined.format is not None or infer.scalar_type(node.type_flags) != type_
    elif stored is None or not stored.type:
        type_ = canonical_type(node.duckdb_type())
    else:
        old = parse_type(stored.type)
        type_ = canonical_type(widen_type(node, old))
        may_widen = bool(node.type_flags) and type_ == stored.type and cannot_be_inferred(old)
    return ColumnPlan(
        name=stored.name if stored is not None else candidate.name,
        type=type_,
        origin=candidate.origin,
        path=candidate.path,
        format=defined.format if defined is not None else None,
        is_strict=is_strict,
        may_widen=may_widen,
        needs_exact_numbers=_needs_exact_numbers(node, type_, is_strict or may_widen),
        type_flags=node.type_flags,
    )


def _needs_exact_numbers(node: SchemaNode, type_: str, is_checked: bool) -> bool:
    """Return whether numbers with a fraction must be read digit by digit."""
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
    """Return the declared and stored columns that these rows do not have."""
    present = {column.name.lower() for column in planned}
    known = present | {column.name.lower() for column in stored_columns}
    declared = [
        ColumnPlan(defined.name, declared_type(defined), ColumnOrigin.ABSENT)
        for defined in schema.selector.rules.columns
        if defined.name.lower() not in known and schema.selector.includes_declared_column(defined)
    ]
    return declared + [
        ColumnPlan(column.name, final_type(column.type) or "VARCHAR", ColumnOrigin.ABSENT)
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


def _field_paths(node: SchemaNode) -> Iterator[FieldPath]:
    """Yield the paths of all fields below a node, through objects."""
    for member in node.members.values():
        yield member.path
        yield from _field_paths(member)


def _included_columns(
    schema: InferredSchema,
    columns: Iterable[tuple[ColumnPlan, _ColumnCandidate]],
    paths: frozenset[FieldPath],
) -> Iterator[ColumnPlan]:
    """Yield the columns that ``exclude`` and ``only`` leave."""
    spelled = schema.selector.spelled_literals(paths)
    for column, candidate in columns:
        sourced = candidate.definition is not None and candidate.definition.source is not None
        natural = column.origin is ColumnOrigin.ROW and not sourced
        if natural and not schema.selector.includes_path(column.path, spelled):
            continue
        if schema.selector.includes_column(column.name, spelled):
            yield column


# Types that inference yields, or that one of those replaces as soon as values come.
_INFERRED_TYPES = frozenset(
    [*("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"),
     *("BOOLEAN", "FLOAT", "DOUBLE", "DATE", "TIMESTAMP", TIMESTAMPTZ_TYPE, "VARCHAR", "JSON"),
     *("NULL", BIG_INTEGER_TYPE)]
)  # fmt: skip


def widen_type(node: SchemaNode, stored: DuckDBType) -> str:
    """Return the type that holds the values of this load and the stored ones."""
    if cannot_be_inferred(stored):
        if not node.type_flags & (infer.OBJECT | infer.LIST | infer.UNCASTABLE):
            return stored.text
        return "JSON" if stored.nested or node.type_flags & (infer.OBJECT | infer.LIST) else "VARCHAR"
    # Whether the stored integers are exact as doubles is decided when the load is published.
    widened = common_type(
        stored.text,
        node.provisional_type(),
        lambda place: not node.node_at(place).type_flags & infer.INEXACT_INT,
    )
    return final_type(widened)


def cannot_be_inferred(stored: DuckDBType) -> bool:
    """Return whether inference never yields the type: new values are cast one by one."""
    if stored.name == "LIST" or (stored.name == "STRUCT" and stored.field_names):
        return any(map(cannot_be_inferred, stored.children))
    return stored.name not in _INFERRED_TYPES and stored.text not in _INFERRED_TYPES
