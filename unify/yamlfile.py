"""YAML as we read it from people: every key and value with its place, and nothing that can surprise.

Scalars follow the YAML 1.2 core schema (``no``, ``on`` and dates are text). Tags, merge keys, duplicate
keys, second documents, depth and size beyond reason are flaws; aliases are shared, never copied.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from unify.errors import ConfigError, Problem
from unify.yamlnodes import Entry, Flaw, List, Map, Node, Place, Scalar, place_name

MAX_BYTES = 1_000_000  # the largest spec we know of has 60 KB
MAX_DEPTH = 40
MAX_NODES = 100_000  # counted with aliases followed
# These two quote nothing: a password without quotes may begin with ! or *
_TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep"
_HIDDEN_BREAK = re.compile("[\x85\u2028\u2029]")  # YAML counts lines by them, and nobody else does
_NO_TAG = "a tag (!…) is not allowed; put the text in quotes"
_NO_ANCHOR = "an alias (*…) of nothing written above; put the text in quotes"
_LINE_KEY = re.compile(r"""[\s-]*["']?([\w.-]+)["']?\s*:""")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Document:
    """A file read: ``root`` is None where there is nothing, or nothing that could be read."""

    path: str
    root: Node | None
    flaws: tuple[Flaw, ...] = ()

    @cached_property
    def problems(self) -> tuple[Problem, ...]:
        return tuple(
            Problem(self.path, flaw.line, flaw.column, place_name(flaw.place) or "YAML", flaw.text)
            for flaw in self.flaws
        )


def read(path: Path) -> Document:
    """Read and parse ``path``. Raises ConfigError naming it where it cannot be read at all."""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ConfigError(f"{path}: is not a regular file")
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    return parse(raw, str(path))


def _without_waiting(path: str, flags: int) -> int:
    """Opens a named pipe at once, so that it can be refused instead of waited for."""
    return os.open(path, flags | os.O_NONBLOCK)


def parse(raw: bytes, path: str) -> Document:
    """Every flaw is in the document; nothing is raised, whatever ``raw`` is."""
    if len(raw) > MAX_BYTES:
        return Document(path, None, (Flaw((), 1, 1, f"the file is larger than {MAX_BYTES:,} bytes"),))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line, column = before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1
        return Document(path, None, (Flaw((), line, column, "this byte is not UTF-8 text"),))
    if (hidden := _HIDDEN_BREAK.search(text)) is not None:
        line, column = _line_and_column(text, hidden.start())
        told = f"U+{ord(hidden.group()):04X} ends a line here where editors show none; take it out"
        return Document(path, None, (Flaw((), line, column, told),))
    builder = _Builder()
    try:
        builder.build(text)
    except _Unreadable as error:
        return Document(path, None, (*builder.flaws, error.flaw))
    return Document(path, builder.root, tuple(builder.flaws))


def _line_and_column(text: str, position: int) -> tuple[int, int]:
    before = text[:position]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


class _Unreadable(Exception):
    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw.text)
        self.flaw = flaw


class _Mark(NamedTuple):
    """A place as the parser counts, from 0."""

    line: int
    column: int


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not come yet; ``key`` is the pending key of a mapping."""

    mapping: bool
    anchor: str | None
    line: int
    column: int
    items: list[Node] = field(default_factory=list)
    entries: dict[str, Entry] = field(default_factory=dict)
    key: Scalar | None = None
    size: int = 1

    @property
    def step(self) -> str | int:
        return (self.key.text if self.key else "") if self.mapping else len(self.items)


class _Builder:
    """Builds nodes from the parser's events with a stack of its own, so that depth cannot hurt."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self.flaws: list[Flaw] = []
        self._stack: list[_Open] = []
        self._anchors: dict[str, Node] = {}
        self._documents = 0
        self._text = ""

    def build(self, text: str) -> None:
        self._text = text
        for event in self._events(text):
            match event:
                case yaml.ScalarEvent():
                    self._scalar(event)
                case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                    self._start(event)
                case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                    self._end()
                case yaml.AliasEvent():
                    self._alias(event)
                case yaml.DocumentStartEvent():
                    self._document(event)
                case _:
                    continue

    def _events(self, text: str) -> Iterator[Any]:
        try:
            yield from yaml.parse(text, Loader=_LOADER)
        except yaml.MarkedYAMLError as error:
            raise _Unreadable(self._unreadable(error)) from error
        except yaml.reader.ReaderError as error:
            line, column = _line_and_column(text, error.position)
            raise _Unreadable(Flaw((), line, column, "a character that YAML does not allow")) from error

    def _unreadable(self, error: yaml.MarkedYAMLError) -> Flaw:
        """What never ends is shown where it begins, anything else where it is."""
        reason = error.problem or "it ends too early"
        mark = error.problem_mark or error.context_mark
        if error.context and error.context_mark and "end of stream" in reason:
            mark, reason = error.context_mark, f"{reason} {error.context}"
        if "nesting depth" in reason:  # the parser reads ahead, and has a limit of its own
            reason = f"nested more than {MAX_DEPTH} levels deep"
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        too_deep = "nesting depth" in reason  # the parser reads ahead, and has a bound of its own
        told = _TOO_DEEP if too_deep else f"this is not YAML: {reason}"
        return Flaw(self._place_in(line), line, column, told)

    def _place_in(self, line: int) -> Place:
        """The place of what stands in ``line``: the parser reads ahead of what it tells us."""
        lines = self._text.split("\n")
        found = _LINE_KEY.match(lines[line - 1]) if line <= len(lines) else None
        place = self._place()
        if found is None or found[1] in place:
            return place
        above = place[:-1] if self._stack and self._stack[-1].key else place
        return (*above, found[1])

    def _place(self) -> Place:
        return tuple(step for level in self._stack if (step := level.step) != "")

    def _flaw(self, mark: Any, text: str) -> None:
        self.flaws.append(Flaw(self._place(), mark.line + 1, mark.column + 1, text))

    def _fatal(self, mark: Any, text: str) -> _Unreadable:
        return _Unreadable(Flaw(self._place(), mark.line + 1, mark.column + 1, text))

    def _document(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            raise self._fatal(event.start_mark, "a second document begins here; one file holds one")

    def _scalar(self, event: Any) -> None:
        mark = event.start_mark
        if event.tag is not None:
            self._flaw(mark, _NO_TAG)
        node = Scalar(event.value, event.style in (None, ""), mark.line + 1, mark.column + 1)
        self._keep(event.anchor, node)
        self._add(node, mark)

    def _start(self, event: Any) -> None:
        mark = event.start_mark
        if event.tag is not None:
            self._flaw(mark, _NO_TAG)
        if len(self._stack) >= MAX_DEPTH:
            raise self._fatal(mark, _TOO_DEEP)
        mapping = isinstance(event, yaml.MappingStartEvent)
        self._stack.append(_Open(mapping, event.anchor, mark.line + 1, mark.column + 1))

    def _end(self) -> None:
        done = self._stack.pop()
        node: Node
        if done.mapping:
            node = Map(done.entries, done.line, done.column, done.size)
        else:
            node = List(tuple(done.items), done.line, done.column, done.size)
        self._keep(done.anchor, node)
        self._add(node, _Mark(done.line - 1, done.column - 1))

    def _alias(self, event: Any) -> None:
        node = self._anchors.get(event.anchor)
        if node is None:
            raise self._fatal(event.start_mark, _NO_ANCHOR)
        self._add(node, event.start_mark)

    def _keep(self, anchor: str | None, node: Node) -> None:
        if anchor is not None:
            self._anchors[anchor] = node

    def _add(self, node: Node, mark: Any) -> None:
        """Put a finished node where it belongs: into the innermost open collection."""
        if not self._stack:
            self.root = node
            return
        level = self._stack[-1]
        level.size += node.size
        if level.size > MAX_NODES:
            raise self._fatal(mark, f"more than {MAX_NODES:,} values")
        if not level.mapping:
            level.items.append(node)
        elif level.key is None:
            self._key(level, node, mark)
        else:
            self._value(level, node)

    def _key(self, level: _Open, node: Node, mark: Any) -> None:
        if not isinstance(node, Scalar):
            raise self._fatal(mark, "a key is a simple text")
        if node.plain and node.text == "<<":
            self._flaw(mark, "merge keys (<<) are not allowed")
        level.key = node
        if node.text in level.entries:
            first = level.entries[node.text].line
            self._flaw(mark, f"this key stands here already, in line {first}")

    def _value(self, level: _Open, node: Node) -> None:
        key = level.key
        level.key = None
        if key is not None and key.text not in level.entries:
            level.entries[key.text] = Entry(key.text, node, key.line, key.column)
