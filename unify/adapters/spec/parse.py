"""Reads a YAML tree against the shapes of ``speckeys``; collects every mistake with its place.

Where a key of a spec belongs: for those that were written one level too high, or too deep.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from unify.adapters.spec import formats
from unify.adapters.spec.keys import SPEC
from unify.adapters.spec.schema import (
    AnySchema,
    BooleanSchema,
    Key,
    ListSchema,
    MapSchema,
    NumberSchema,
    ObjectSchema,
    Schema,
    TextFormat,
    TextSchema,
    UnionSchema,
    VariantSchema,
)
from unify.config.yaml import (
    Flaw,
    MappingEntry,
    MappingNode,
    NodePath,
    ScalarNode,
    SequenceNode,
    YamlNode,
    format_path,
    to_python_value,
)
from unify.errors import Problem
from unify.text import did_you_mean

Json = Any  # a JSON value: dict, list, str, int, float, bool or None


class InvalidValue:
    """What stands for a value that could not be read; its problem is noted already."""


INVALID = InvalidValue()


class ProblemReport:
    """The mistakes of one file, and where each of its values stands."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.problems: list[Problem] = []
        self._positions: dict[NodePath, tuple[int, int]] = {(): (1, 1)}
        self._labels: dict[NodePath, str] = {}

    def set_position(self, key_path: NodePath, node: YamlNode | MappingEntry) -> None:
        self._positions[key_path] = (node.line, node.column)

    def set_label(self, key_path: NodePath, name: str) -> None:
        """Call the list item at ``place`` by ``name`` in messages."""
        self._labels[key_path] = name

    def line_of(self, key_path: NodePath) -> int:
        return self._positions[self._nearest_known(key_path)][0]

    def add_problem(self, key_path: NodePath, text: str) -> None:
        """Note a mistake at ``place``, or at the nearest place above it that the file has."""
        here = self._nearest_known(key_path)
        line, column = self._positions[here]
        self.problems.append(Problem(self.path, line, column, self._key_name(here) or "spec", text))

    def add_flaw(self, flaw: Flaw) -> None:
        """Note something the file may not contain, under the names its list items have by now."""
        key = self._key_name(flaw.path) or "YAML"
        self.problems.append(Problem(self.path, flaw.line, flaw.column, key, flaw.text))

    def _key_name(self, key_path: NodePath) -> str:
        """``tables.pulls.incremental.cursor``"""
        return format_path(
            tuple(self._labels.get(key_path[: i + 1], step) for i, step in enumerate(key_path))
        )

    def _nearest_known(self, key_path: NodePath) -> NodePath:
        while key_path not in self._positions:
            key_path = key_path[:-1]
        return key_path


def parse_value(
    schema: Schema, node: YamlNode, key_path: NodePath, report: ProblemReport
) -> Json | InvalidValue:
    """The value of ``node`` as ``kind`` has it: durations are seconds, records hold the keys given."""
    report.set_position(key_path, node)
    if isinstance(node, ScalarNode) and node.value is None and not isinstance(schema, AnySchema):
        report.add_problem(key_path, f"has no value; expected {describe_schema(schema)}")
        return INVALID
    match schema:
        case TextSchema() | NumberSchema() | BooleanSchema():
            return _parse_scalar(schema, node, key_path, report)
        case AnySchema():
            _set_positions(node, key_path, report)
            return to_python_value(node)
        case ListSchema():
            return _parse_list(schema, node, key_path, report)
        case MapSchema():
            return _parse_map(schema, node, key_path, report)
        case ObjectSchema() | VariantSchema():
            return _parse_object(schema, node, key_path, report)
        case UnionSchema():
            return _parse_union(schema, node, key_path, report)


def describe_schema(schema: Schema) -> str:
    """What ``kind`` is, in the words of a message."""
    match schema:
        case TextSchema(choices=choices) if choices:
            return "one of " + ", ".join(choices)
        case TextSchema(format="duration"):
            return "a duration such as 15 minutes"
        case TextSchema(format="request"):
            return "a request such as GET /items"
        case TextSchema(format="select"):
            return "a SELECT"
        case TextSchema():
            return "a text"
        case NumberSchema(minimum=least, maximum=most, integer=whole):
            return f"a {'whole ' if whole else ''}number from {least:,} to {most:,}"
        case BooleanSchema():
            return "true or false"
        case ListSchema(items=inner):
            return f"a list, each item {describe_schema(inner)}"
        case UnionSchema(alternatives=kinds):
            return " or ".join(dict.fromkeys(describe_schema(each) for each in kinds))
        case _:
            return "lines of KEY: VALUE"


def _parse_scalar(
    schema: TextSchema | NumberSchema | BooleanSchema,
    node: YamlNode,
    key_path: NodePath,
    report: ProblemReport,
) -> Json | InvalidValue:
    if not isinstance(node, ScalarNode):
        found = "a list" if isinstance(node, SequenceNode) else "a mapping"
        report.add_problem(key_path, f"expected {describe_schema(schema)}, found {found}")
        return INVALID
    match schema:
        case TextSchema():
            return _parse_text(schema, node, key_path, report)
        case NumberSchema():
            return _parse_number(schema, node, key_path, report)
        case BooleanSchema():
            if isinstance(node.value, bool):
                return node.value
            report.add_problem(key_path, f"expected true or false, found {node.text!r}")
            return INVALID


def _parse_text(
    schema: TextSchema, node: ScalarNode, key_path: NodePath, report: ProblemReport
) -> Json | InvalidValue:
    if schema.choices:
        if node.text in schema.choices:
            return node.text
        hint = did_you_mean(node.text, schema.choices)
        report.add_problem(key_path, f"expected {describe_schema(schema)}, found {node.text!r}{hint}")
        return INVALID
    return _check_format(schema.format, node.text, key_path, report)


def _check_format(
    text_format: TextFormat, text: str, key_path: NodePath, report: ProblemReport
) -> Json | InvalidValue:
    try:
        return formats.FORMAT_CHECKS[text_format](text)
    except ValueError as error:
        report.add_problem(key_path, str(error))
        return INVALID


def _parse_number(
    schema: NumberSchema, node: ScalarNode, key_path: NodePath, report: ProblemReport
) -> Json | InvalidValue:
    value = node.value
    fits = isinstance(value, int if schema.integer else (int, float)) and not isinstance(value, bool)
    if fits and schema.minimum <= value <= schema.maximum:  # type: ignore[operator]  # a number, seen above
        return value
    report.add_problem(key_path, f"expected {describe_schema(schema)}, found {node.text!r}")
    return INVALID


def _parse_list(
    schema: ListSchema, node: YamlNode, key_path: NodePath, report: ProblemReport
) -> Json | InvalidValue:
    if not isinstance(node, SequenceNode):
        report.add_problem(key_path, f"expected {describe_schema(schema)}; a list item starts with -")
        return INVALID
    if not node.items:
        report.add_problem(key_path, "the list is empty; leave it out, or say what is in it")
    values = []
    for index, item in enumerate(node.items):
        here = (*key_path, index)
        if isinstance(item, MappingNode) and "name" in item.entries:
            named = item.entries["name"].value
            report.set_label(here, named.text if isinstance(named, ScalarNode) else str(index))
        values.append(parse_value(schema.items, item, here, report))
    return values


def _parse_map(
    schema: MapSchema, node: YamlNode, key_path: NodePath, report: ProblemReport
) -> Json | InvalidValue:
    if not isinstance(node, MappingNode):
        report.add_problem(key_path, "expected lines of NAME: VALUE")
        return INVALID
    values = {}
    for entry in node.entries.values():
        here = (*key_path, entry.key)
        report.set_position(here, entry)
        _check_format(schema.key_format, entry.key, here, report)
        value = (
            parse_value(schema.values, entry.value, here, report)
            if not _is_empty_object(schema, entry)
            else {}
        )
        report.set_position(here, entry)
        values[entry.key] = value
    return values


def _is_empty_object(schema: MapSchema, entry: MappingEntry) -> bool:
    """``org:`` alone is a record without keys, where none of them is required."""
    value = entry.value
    no_value = isinstance(value, ScalarNode) and value.value is None
    return (
        no_value
        and isinstance(schema.values, ObjectSchema)
        and not any(key.required for key in schema.values.keys)
    )


def _parse_object(
    schema: ObjectSchema | VariantSchema, node: YamlNode, key_path: NodePath, report: ProblemReport
) -> Json | InvalidValue:
    if not isinstance(node, MappingNode):
        report.add_problem(key_path, f"expected {describe_schema(schema)}, found {_describe_node(node)}")
        return INVALID
    values: dict[str, Json] = {}
    keys = (
        schema.keys
        if isinstance(schema, ObjectSchema)
        else _variant_keys(schema, node, key_path, values, report)
    )
    known = {key.name: key for key in keys}
    for entry in node.entries.values():
        here = (*key_path, entry.key)
        if entry.key in values:
            continue
        report.set_position(here, entry)
        if entry.key not in known:
            report.add_problem(here, _unknown_key_text(entry.key, schema, known, node, values))
            continue
        value = parse_value(known[entry.key].schema, entry.value, here, report)
        if not isinstance(value, InvalidValue):
            values[entry.key] = value
    for key in keys:
        if key.required and key.name not in node.entries:
            report.add_problem(
                key_path,
                f"{key.name} is missing: {key.description} Example: {key.name}: {key.example or '…'}",
            )
    return values


def _variant_keys(
    schema: VariantSchema,
    node: MappingNode,
    key_path: NodePath,
    values: dict[str, Json],
    report: ProblemReport,
) -> tuple[Key, ...]:
    """The keys that belong to the ``type`` given; all of them where it cannot be read."""
    everything = tuple({key.name: key for keys in schema.types.values() for key in keys}.values())
    entry = node.entries.get("type")
    chosen: Json | InvalidValue = schema.default or INVALID
    if entry is not None:
        chosen = parse_value(
            TextSchema(choices=tuple(schema.types)), entry.value, (*key_path, "type"), report
        )
    elif schema.default is None:
        report.add_problem(key_path, f"type is missing; one of {', '.join(schema.types)}")
    values["type"] = chosen
    if isinstance(chosen, InvalidValue):
        return tuple(Key(key.name, AnySchema(), key.description) for key in (*everything, *schema.common))
    return (*schema.types[chosen], *schema.common)


def _unknown_key_text(
    name: str,
    schema: ObjectSchema | VariantSchema,
    known: dict[str, Key],
    node: MappingNode,
    values: dict[str, Json],
) -> str:
    if isinstance(schema, VariantSchema) and any(
        key.name == name for keys in schema.types.values() for key in keys
    ):
        return f"has no meaning with type {values['type']}"

    free = [key for key in known if key not in node.entries]
    hint = location_hint(name) or did_you_mean(name, free) or "; known are " + ", ".join(known)
    return f"unknown key{hint}"


def _parse_union(
    schema: UnionSchema, node: YamlNode, key_path: NodePath, report: ProblemReport
) -> Json | InvalidValue:
    for each in schema.alternatives:
        if isinstance(node, _node_type(each)):
            return parse_value(each, node, key_path, report)
    report.add_problem(key_path, f"expected {describe_schema(schema)}, found {_describe_node(node)}")
    return INVALID


def _node_type(schema: Schema) -> type[YamlNode]:
    match schema:
        case TextSchema() | NumberSchema() | BooleanSchema():
            return ScalarNode
        case ListSchema():
            return SequenceNode
        case _:
            return MappingNode


def _describe_node(node: YamlNode) -> str:
    match node:
        case ScalarNode():
            return repr(node.text)
        case SequenceNode():
            return "a list"
        case MappingNode():
            return "a mapping"


def _set_positions(node: YamlNode, key_path: NodePath, report: ProblemReport) -> None:
    report.set_position(key_path, node)
    match node:
        case SequenceNode(items):
            for index, item in enumerate(items):
                _set_positions(item, (*key_path, index), report)
        case MappingNode(entries):
            for entry in entries.values():
                _set_positions(entry.value, (*key_path, entry.key), report)
        case ScalarNode():
            return


MAX_HINT_LOCATIONS = 2  # places named; a key that is at home in more of them, as type is, says nothing


def location_hint(name: str) -> str:
    """``; it belongs in refresh``, or "" for a key no record has, or that too many have."""
    places = _key_locations().get(name, ())
    return f"; it belongs {' or '.join(places)}" if 0 < len(places) <= MAX_HINT_LOCATIONS else ""


@cache
def _key_locations() -> Mapping[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    for place, name in _iter_keys(SPEC, "at the top"):
        found.setdefault(name, {})[place] = None
    return {name: tuple(places) for name, places in found.items()}


def _iter_keys(schema: Schema, location: str) -> Iterator[tuple[str, str]]:
    """Every key at or below ``kind``, with the record it stands in."""
    match schema:
        case ObjectSchema(keys=keys):
            yield from _iter_object_keys(keys, location)
        case VariantSchema(types=types, common=common):
            yield location, "type"
            yield from _iter_object_keys(
                [key for keys in types.values() for key in keys] + list(common), location
            )
        case ListSchema(items=of) | MapSchema(values=of):
            yield from _iter_keys(of, location)
        case UnionSchema(alternatives=choices):
            for each in choices:
                yield from _iter_keys(each, location)
        case _:
            return


def _iter_object_keys(keys: tuple[Key, ...] | list[Key], location: str) -> Iterator[tuple[str, str]]:
    for key in keys:
        yield location, key.name
        yield from _iter_keys(key.schema, f"in {key.name}")
