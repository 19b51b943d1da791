"""Reads YAML nodes as the Structs of ``model``; reports every problem with its line and column."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct

from unify.adapters.spec.schema import (
    AnySchema,
    BooleanSchema,
    Key,
    ListSchema,
    MapSchema,
    NumberSchema,
    ObjectSchema,
    Schema,
    TextSchema,
    UnionSchema,
    keys_of,
)
from unify.config import yaml
from unify.config.yaml import (
    MappingEntry,
    MappingNode,
    NodePath,
    ScalarNode,
    SequenceNode,
    YamlNode,
    format_path,
    to_python_value,
)
from unify.errors import Problem, SpecError
from unify.text import did_you_mean

Json = Any  # a JSON value: dict, list, str, int, float, bool or None
S = TypeVar("S", bound=Struct)


INVALID: Any = object()  # stands for a value with a problem
_MAPPING = "a mapping (KEY: VALUE)"
_MAX_HINT_LOCATIONS = 2  # a key that more mappings have, such as type, gets no hint


class ProblemReport:
    """The problems of a file, and the position of each of its values."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._problems: list[Problem] = []
        self._positions: dict[NodePath, tuple[int, int]] = {(): (1, 1)}
        self._labels: dict[NodePath, str] = {}

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Each problem once, in the order of the file."""
        unique = dict.fromkeys(self._problems)
        return tuple(sorted(unique, key=lambda problem: (problem.line, problem.column)))

    def raise_problems(self) -> None:
        """Raise SpecError with all problems, one per line, if there are any."""
        if problems := self.problems:
            raise SpecError("\n".join(map(str, problems)), problems=problems)

    def set_position(self, path: NodePath, node: YamlNode | MappingEntry) -> None:
        self._positions[path] = (node.line, node.column)

    def set_label(self, path: NodePath, name: str) -> None:
        """Use ``name`` for the list item at ``path`` in messages."""
        self._labels[path] = name

    def line_of(self, path: NodePath) -> int:
        return self._positions[self._nearest_known(path)][0]

    def add_problem(self, path: NodePath, text: str) -> None:
        """Report a problem at ``path``, or at the nearest position above it that the file has."""
        known = self._nearest_known(path)
        self._add(*self._positions[known], known, "spec", text)

    def add_flaws(self, flaws: Sequence[yaml.Flaw]) -> None:
        for flaw in flaws:
            self._add(flaw.line, flaw.column, flaw.path, "YAML", flaw.text)

    def _add(self, line: int, column: int, path: NodePath, root: str, text: str) -> None:
        steps = (self._labels.get(path[: i + 1], step) for i, step in enumerate(path))
        self._problems.append(Problem(self.path, line, column, format_path(tuple(steps)) or root, text))

    def _nearest_known(self, path: NodePath) -> NodePath:
        while path not in self._positions:
            path = path[:-1]
        return path


def parse_file(struct: type[S], file: Path, /, **fields: object) -> tuple[S | None, ProblemReport]:
    """Read a YAML file as ``struct``; ``fields`` are set in addition to the keys of the file.

    A value with a problem is left at its default. None: the file is not a mapping.
    Raises: ConfigError if the file cannot be read.
    """
    document = yaml.read_yaml(file)
    report = ProblemReport(document.path)
    parsed: Any = INVALID
    if document.root is not None:
        parsed = _NodeParser(report, struct).parse(ObjectSchema(struct), document.root, (), **fields)
    elif not document.flaws:
        required = ", ".join(key.name for key in keys_of(struct) if key.required)
        report.add_problem((), f"the file is empty; required keys: {required}")
    report.add_flaws(document.flaws)
    return (None if parsed is INVALID else parsed), report


class _NodeParser:
    """Parses nodes by schema. A value with a problem is INVALID; the problem is in the report."""

    def __init__(self, report: ProblemReport, root: type[Struct]) -> None:
        self._report = report
        self._root = root

    def parse(self, schema: Schema, node: YamlNode, path: NodePath, /, **fields: object) -> Any:
        """The value of a node: tuples for lists, Structs for objects. ``fields`` are for an object."""
        self._report.set_position(path, node)
        if _is_null(node) and not isinstance(schema, AnySchema):
            return self._invalid(path, f"has no value; expected {describe_schema(schema)}")
        match schema:
            case AnySchema():
                self._set_positions(node, path)
                return to_python_value(node)
            case ListSchema():
                return self._parse_list(schema, node, path)
            case MapSchema():
                return self._parse_map(schema, node, path)
            case ObjectSchema():
                return self._parse_object(schema, node, path, fields)
            case UnionSchema():
                for each in schema.alternatives:
                    if isinstance(node, _node_type(each)):
                        return self.parse(each, node, path)
                return self._mismatch(schema, node, path)
            case _:
                return self._parse_scalar(schema, node, path)

    def _invalid(self, path: NodePath, text: str) -> Any:
        self._report.add_problem(path, text)
        return INVALID

    def _mismatch(self, schema: Schema, node: YamlNode, path: NodePath) -> Any:
        return self._invalid(path, f"expected {describe_schema(schema)}, found {_describe_node(node)}")

    def _parse_scalar(
        self, schema: TextSchema | NumberSchema | BooleanSchema, node: YamlNode, path: NodePath
    ) -> Any:
        match schema, node:
            case TextSchema(), ScalarNode():
                return self._parse_text(schema, node.text, path)
            case BooleanSchema(), ScalarNode(value=bool(value)):
                return value
            case NumberSchema(), ScalarNode(value=int() | float() as value):
                excluded = bool | float if schema.is_integer else bool
                if not isinstance(value, excluded) and schema.minimum <= value <= schema.maximum:
                    return value
        return self._mismatch(schema, node, path)

    def _parse_text(self, schema: TextSchema, text: str, path: NodePath) -> Any:
        if schema.choices and text not in schema.choices:
            hint = did_you_mean(text, schema.choices)
            return self._invalid(path, f"expected {describe_schema(schema)}, found {text!r}{hint}")
        try:
            return schema.format.check(text) if schema.format is not None else text
        except ValueError as error:
            return self._invalid(path, str(error))

    def _parse_list(self, schema: ListSchema, node: YamlNode, path: NodePath) -> Any:
        single = MappingNode if isinstance(schema.items, ObjectSchema) else ScalarNode
        if schema.one_or_more and isinstance(node, single):
            value = self.parse(schema.items, node, path)
            return INVALID if value is INVALID else (value,)
        if not isinstance(node, SequenceNode):
            text = f"expected {describe_schema(schema)}, found {_describe_node(node)}"
            return self._invalid(path, f"{text}; a list item starts with -")
        if not node.items:
            self._report.add_problem(path, "the list is empty; add an item or remove the key")
        values = []
        for index, item in enumerate(node.items):
            here = (*path, index)
            if isinstance(item, MappingNode) and "name" in item.entries:
                name = item.entries["name"].value
                self._report.set_label(here, name.text if isinstance(name, ScalarNode) else str(index))
            value = self.parse(schema.items, item, here)
            if value is not INVALID:
                values.append(value)
            elif isinstance(schema.items, ObjectSchema | MapSchema):
                values.append(_placeholder(schema.items))  # the items after it keep their index
        return tuple(values)

    def _parse_map(self, schema: MapSchema, node: YamlNode, path: NodePath) -> Any:
        if not isinstance(node, MappingNode):
            return self._mismatch(schema, node, path)
        values: dict[str, Any] = {}
        for entry in node.entries.values():
            here = (*path, entry.key)
            self._report.set_position(here, entry)
            self._parse_text(schema.keys, entry.key, here)
            value = self._parse_map_value(schema, entry, here)
            if value is not INVALID:
                values[entry.key] = value
            self._report.set_position(here, entry)
        if not schema.named:
            return values
        return tuple(
            item for items in values.values() for item in (items if type(items) is tuple else [items])
        )

    def _parse_map_value(self, schema: MapSchema, entry: MappingEntry, path: NodePath) -> Any:
        """An item of ``Named`` may have no value if it requires no key; with problems it keeps its name."""
        if not isinstance(schema.values, ObjectSchema):
            return self.parse(schema.values, entry.value, path)
        struct = schema.values.struct
        name = {struct.__struct_fields__[0]: entry.key}
        keys = schema.values.keys
        if _is_null(entry.value) and not any(key.required or key.is_shorthand for key in keys):
            return _build(struct, keys, {}, name)
        value = self.parse(schema.values, entry.value, path, **name)
        return _build(struct, keys, {}, name) if value is INVALID else value

    def _parse_object(
        self, schema: ObjectSchema, node: YamlNode, path: NodePath, fields: Mapping[str, object]
    ) -> Any:
        for key in schema.shorthands:
            if isinstance(node, _node_type(key.schema)):
                value = self.parse(key.schema, node, path)
                return (
                    INVALID if value is INVALID else _build(schema.struct, [key], {key.field: value}, fields)
                )
        if not isinstance(node, MappingNode):
            return self._mismatch(schema, node, path)
        type_, keys = _keys_of_type(schema, node)
        known = {key.name: key for key in keys}
        values: dict[str, Any] = {}
        for entry in node.entries.values():
            here = (*path, entry.key)
            self._report.set_position(here, entry)
            if entry.key not in known:
                self._report.add_problem(here, self._unknown_key_text(entry.key, schema, type_, known, node))
                continue
            value = self.parse(known[entry.key].schema, entry.value, here)
            if value is not INVALID:
                values[known[entry.key].field] = value
        for key in keys:
            if key.required and key.name not in node.entries and key.unless not in node.entries:
                self._report.add_problem(path, _missing_key_text(key))
        return INVALID if type_ is None else _build(schema.struct, keys, values, fields)

    def _unknown_key_text(
        self, name: str, schema: ObjectSchema, type_: str | None, known: Collection[str], node: MappingNode
    ) -> str:
        if any(key.name == name for key in schema.keys):
            return f"not allowed with type {type_}"
        unused = [key for key in known if key not in node.entries]
        locations = _key_locations(self._root).get(name, ())
        if 0 < len(locations) <= _MAX_HINT_LOCATIONS:
            return f"unknown key; it belongs {' or '.join(locations)}"
        return f"unknown key{did_you_mean(name, unused) or '; known keys: ' + ', '.join(known)}"

    def _set_positions(self, node: YamlNode, path: NodePath) -> None:
        self._report.set_position(path, node)
        match node:
            case SequenceNode(items):
                for index, item in enumerate(items):
                    self._set_positions(item, (*path, index))
            case MappingNode(entries):
                for entry in entries.values():
                    self._set_positions(entry.value, (*path, entry.key))


def _keys_of_type(schema: ObjectSchema, node: MappingNode) -> tuple[str | None, Sequence[Key]]:
    """The ``type`` of an object and the keys that belong to it.

    "": objects of its kind have no types. None: the type is missing or unknown; any key of any type is
    accepted, with any value.
    """
    if not any(key.types for key in schema.keys):
        return "", schema.keys
    type_key = next(key for key in schema.keys if key.name == "type")
    assert isinstance(type_key.schema, TextSchema)
    entry = node.entries.get("type")
    value = ScalarNode(type_key.default, True, 0, 0) if entry is None else entry.value
    if isinstance(value, ScalarNode) and value.text in type_key.schema.choices:
        return value.text, [key for key in schema.keys if not key.types or value.text in key.types]
    others = [
        Key(key.name, key.field, AnySchema(), "", "", "", required=False) for key in schema.keys if key.types
    ]
    return None, [*others, *(key for key in schema.keys if not key.types)]


def _missing_key_text(key: Key) -> str:
    if isinstance(key.schema, TextSchema) and key.schema.choices:
        return f"{key.name} is missing; {describe_schema(key.schema)}"
    return f"{key.name} is missing: {key.description} Example: {key.name}: {key.example or '…'}"


def _build(
    struct: type[Struct], keys: Sequence[Key], values: dict[str, Any], fields: Mapping[str, object]
) -> Any:
    """The Struct with ``values`` and ``fields``, or what its ``from_keys`` returns for them.

    A required key without a value gets an empty one, so that further checks can run.
    """
    empty = {key.field: _placeholder(key.schema) for key in keys if key.required and not key.types}
    build: Any = getattr(struct, "from_keys", struct)
    return build(**empty | values, **fields)


def _placeholder(schema: Schema) -> Any:
    match schema:
        case ListSchema():
            return ()
        case MapSchema(named=named):
            return () if named else {}
        case ObjectSchema(struct):
            return _build(struct, schema.keys, {}, {})
        case _:
            return ""


def describe_schema(schema: Schema) -> str:
    """Return the values that a schema expects, for a message."""
    match schema:
        case TextSchema(choices=choices) if choices:
            return "one of " + ", ".join(choices)
        case TextSchema(format):
            return "a string" if format is None else format.expected
        case NumberSchema(minimum, maximum, is_integer):
            return f"a {'whole ' if is_integer else ''}number from {minimum:,} to {maximum:,}"
        case BooleanSchema():
            return "true or false"
        case ListSchema(items, one_or_more):
            item = describe_schema(items)
            return f"{item} or a list, each item {item}" if one_or_more else f"a list, each item {item}"
        case UnionSchema(alternatives):
            return " or ".join(dict.fromkeys(map(describe_schema, alternatives)))
        case ObjectSchema():
            short = [describe_schema(key.schema) for key in schema.shorthands]
            return " or ".join([*short, _MAPPING])
        case _:
            return _MAPPING


def _node_type(schema: Schema) -> type[YamlNode]:
    match schema:
        case TextSchema() | NumberSchema() | BooleanSchema():
            return ScalarNode
        case ListSchema():
            return SequenceNode
        case _:
            return MappingNode


def _is_null(node: YamlNode) -> bool:
    return isinstance(node, ScalarNode) and node.value is None


def _describe_node(node: YamlNode) -> str:
    match node:
        case ScalarNode():
            return repr(node.text)
        case SequenceNode():
            return "a list"
        case MappingNode():
            return "a mapping"


@cache
def _key_locations(struct: type[Struct]) -> Mapping[str, tuple[str, ...]]:
    """The mappings below ``struct`` that have a key, by its name."""
    locations: dict[str, dict[str, None]] = {}
    for location, name in _iter_keys(ObjectSchema(struct), "at the top"):
        locations.setdefault(name, {})[location] = None
    return {name: tuple(each) for name, each in locations.items()}


def _iter_keys(schema: Schema, location: str) -> Iterator[tuple[str, str]]:
    """Each key at or below ``schema``, after the mapping that it belongs to."""
    match schema:
        case ObjectSchema():
            for key in schema.keys:
                yield location, key.name
                yield from _iter_keys(key.schema, f"in {key.name}")
        case ListSchema(items=inner) | MapSchema(values=inner):
            yield from _iter_keys(inner, location)
        case UnionSchema(alternatives):
            for each in alternatives:
                yield from _iter_keys(each, location)
