"""Reads a YAML tree against the shapes of ``speckeys``; collects every mistake with its place."""

from __future__ import annotations

from typing import Any

from unify.adapters import specforms
from unify.adapters.specshape import (
    Anything,
    Either,
    Entries,
    Flag,
    Form,
    Items,
    Key,
    Kind,
    Number,
    Record,
    Text,
    Variants,
)
from unify.errors import Problem
from unify.text import did_you_mean
from unify.yamlnodes import Entry, Flaw, List, Map, Node, Place, Scalar, place_name, plain

Json = Any  # a JSON value: dict, list, str, int, float, bool or None


class Missing:
    """What stands for a value that could not be read; its problem is noted already."""


MISSING = Missing()


class Report:
    """The mistakes of one file, and where each of its values stands."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.problems: list[Problem] = []
        self._marks: dict[Place, tuple[int, int]] = {(): (1, 1)}
        self._labels: dict[Place, str] = {}

    def mark(self, place: Place, at: Node | Entry) -> None:
        self._marks[place] = (at.line, at.column)

    def label(self, place: Place, name: str) -> None:
        """Call the list item at ``place`` by ``name`` in messages."""
        self._labels[place] = name

    def line(self, place: Place) -> int:
        return self._marks[self._known(place)][0]

    def add(self, place: Place, text: str) -> None:
        """Note a mistake at ``place``, or at the nearest place above it that the file has."""
        here = self._known(place)
        line, column = self._marks[here]
        self.problems.append(Problem(self.path, line, column, self._key(here) or "spec", text))

    def add_flaw(self, flaw: Flaw) -> None:
        """Note something the file may not contain, under the names its list items have by now."""
        key = self._key(flaw.place) or "YAML"
        self.problems.append(Problem(self.path, flaw.line, flaw.column, key, flaw.text))

    def _key(self, place: Place) -> str:
        """``tables.pulls.incremental.cursor``"""
        return place_name(tuple(self._labels.get(place[: i + 1], step) for i, step in enumerate(place)))

    def _known(self, place: Place) -> Place:
        while place not in self._marks:
            place = place[:-1]
        return place


def read(kind: Kind, node: Node, place: Place, report: Report) -> Json | Missing:
    """The value of ``node`` as ``kind`` has it: durations are seconds, records hold the keys given."""
    report.mark(place, node)
    if isinstance(node, Scalar) and node.value is None and not isinstance(kind, Anything):
        report.add(place, f"has no value; expected {expected(kind)}")
        return MISSING
    match kind:
        case Text() | Number() | Flag():
            return _scalar(kind, node, place, report)
        case Anything():
            _mark_all(node, place, report)
            return plain(node)
        case Items():
            return _items(kind, node, place, report)
        case Entries():
            return _entries(kind, node, place, report)
        case Record() | Variants():
            return _record(kind, node, place, report)
        case Either():
            return _either(kind, node, place, report)


def expected(kind: Kind) -> str:
    """What ``kind`` is, in the words of a message."""
    match kind:
        case Text(choices=choices) if choices:
            return "one of " + ", ".join(choices)
        case Text(form="duration"):
            return "a duration such as 15 minutes"
        case Text(form="request"):
            return "a request such as GET /items"
        case Text(form="select"):
            return "a SELECT"
        case Text():
            return "a text"
        case Number(least=least, most=most, whole=whole):
            return f"a {'whole ' if whole else ''}number from {least:,} to {most:,}"
        case Flag():
            return "true or false"
        case Items(of=inner):
            return f"a list, each item {expected(inner)}"
        case Either(of=kinds):
            return " or ".join(dict.fromkeys(expected(each) for each in kinds))
        case _:
            return "lines of KEY: VALUE"


def _scalar(kind: Text | Number | Flag, node: Node, place: Place, report: Report) -> Json | Missing:
    if not isinstance(node, Scalar):
        found = "a list" if isinstance(node, List) else "a mapping"
        report.add(place, f"expected {expected(kind)}, found {found}")
        return MISSING
    match kind:
        case Text():
            return _text(kind, node, place, report)
        case Number():
            return _number(kind, node, place, report)
        case Flag():
            if isinstance(node.value, bool):
                return node.value
            report.add(place, f"expected true or false, found {node.text!r}")
            return MISSING


def _text(kind: Text, node: Scalar, place: Place, report: Report) -> Json | Missing:
    if kind.choices:
        if node.text in kind.choices:
            return node.text
        hint = did_you_mean(node.text, kind.choices)
        report.add(place, f"expected {expected(kind)}, found {node.text!r}{hint}")
        return MISSING
    return _formed(kind.form, node.text, place, report)


def _formed(form: Form, text: str, place: Place, report: Report) -> Json | Missing:
    try:
        return specforms.CHECKS[form](text)
    except ValueError as error:
        report.add(place, str(error))
        return MISSING


def _number(kind: Number, node: Scalar, place: Place, report: Report) -> Json | Missing:
    value = node.value
    fits = isinstance(value, int if kind.whole else (int, float)) and not isinstance(value, bool)
    if fits and kind.least <= value <= kind.most:  # type: ignore[operator]  # a number, seen above
        return value
    report.add(place, f"expected {expected(kind)}, found {node.text!r}")
    return MISSING


def _items(kind: Items, node: Node, place: Place, report: Report) -> Json | Missing:
    if not isinstance(node, List):
        report.add(place, f"expected {expected(kind)}; a list item starts with -")
        return MISSING
    if not node.items:
        report.add(place, "the list is empty; leave it out, or say what is in it")
    values = []
    for index, item in enumerate(node.items):
        here = (*place, index)
        if isinstance(item, Map) and "name" in item.entries:
            named = item.entries["name"].value
            report.label(here, named.text if isinstance(named, Scalar) else str(index))
        values.append(read(kind.of, item, here, report))
    return values


def _entries(kind: Entries, node: Node, place: Place, report: Report) -> Json | Missing:
    if not isinstance(node, Map):
        report.add(place, "expected lines of NAME: VALUE")
        return MISSING
    values = {}
    for entry in node.entries.values():
        here = (*place, entry.key)
        report.mark(here, entry)
        _formed(kind.names, entry.key, here, report)
        value = read(kind.of, entry.value, here, report) if not _empty_record(kind, entry) else {}
        report.mark(here, entry)
        values[entry.key] = value
    return values


def _empty_record(kind: Entries, entry: Entry) -> bool:
    """``org:`` alone is a record without keys, where none of them is required."""
    value = entry.value
    no_value = isinstance(value, Scalar) and value.value is None
    return no_value and isinstance(kind.of, Record) and not any(key.required for key in kind.of.keys)


def _record(kind: Record | Variants, node: Node, place: Place, report: Report) -> Json | Missing:
    if not isinstance(node, Map):
        report.add(place, f"expected {expected(kind)}, found {_found(node)}")
        return MISSING
    values: dict[str, Json] = {}
    keys = kind.keys if isinstance(kind, Record) else _variant_keys(kind, node, place, values, report)
    known = {key.name: key for key in keys}
    for entry in node.entries.values():
        here = (*place, entry.key)
        if entry.key in values:
            continue
        report.mark(here, entry)
        if entry.key not in known:
            report.add(here, _unknown(entry.key, kind, known, node, values))
            continue
        value = read(known[entry.key].kind, entry.value, here, report)
        if not isinstance(value, Missing):
            values[entry.key] = value
    for key in keys:
        if key.required and key.name not in node.entries:
            report.add(
                place, f"{key.name} is missing: {key.meaning} Example: {key.name}: {key.example or '…'}"
            )
    return values


def _variant_keys(
    kind: Variants, node: Map, place: Place, values: dict[str, Json], report: Report
) -> tuple[Key, ...]:
    """The keys that belong to the ``type`` given; all of them where it cannot be read."""
    everything = tuple({key.name: key for keys in kind.types.values() for key in keys}.values())
    entry = node.entries.get("type")
    chosen: Json | Missing = kind.default or MISSING
    if entry is not None:
        chosen = read(Text(choices=tuple(kind.types)), entry.value, (*place, "type"), report)
    elif kind.default is None:
        report.add(place, f"type is missing; one of {', '.join(kind.types)}")
    values["type"] = chosen
    if isinstance(chosen, Missing):
        return tuple(Key(key.name, Anything(), key.meaning) for key in (*everything, *kind.common))
    return (*kind.types[chosen], *kind.common)


def _unknown(
    name: str, kind: Record | Variants, known: dict[str, Key], node: Map, values: dict[str, Json]
) -> str:
    if isinstance(kind, Variants) and any(key.name == name for keys in kind.types.values() for key in keys):
        return f"has no meaning with type {values['type']}"
    from unify.adapters.specplaces import belongs

    free = [key for key in known if key not in node.entries]
    hint = belongs(name) or did_you_mean(name, free) or "; known are " + ", ".join(known)
    return f"unknown key{hint}"


def _either(kind: Either, node: Node, place: Place, report: Report) -> Json | Missing:
    for each in kind.of:
        if isinstance(node, _shape(each)):
            return read(each, node, place, report)
    report.add(place, f"expected {expected(kind)}, found {_found(node)}")
    return MISSING


def _shape(kind: Kind) -> type[Node]:
    match kind:
        case Text() | Number() | Flag():
            return Scalar
        case Items():
            return List
        case _:
            return Map


def _found(node: Node) -> str:
    match node:
        case Scalar():
            return repr(node.text)
        case List():
            return "a list"
        case Map():
            return "a mapping"


def _mark_all(node: Node, place: Place, report: Report) -> None:
    report.mark(place, node)
    match node:
        case List(items):
            for index, item in enumerate(items):
                _mark_all(item, (*place, index), report)
        case Map(entries):
            for entry in entries.values():
                _mark_all(entry.value, (*place, entry.key), report)
        case Scalar():
            return
