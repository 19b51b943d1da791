"""YAML with positions: every key and value with its line and column.

Scalars follow the YAML 1.2 core schema (``no``, ``on`` and dates are text). Tags, merge keys, duplicate
keys, several documents and excessive depth or size are flaws; aliases are shared, not copied.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from msgspec import Struct, field

from unify.errors import ConfigError, Problem

MAX_BYTES = 1_000_000  # the largest known spec has 60 KB
MAX_DEPTH = 40
MAX_NODES = 100_000  # aliases count at each use
# A password without quotes may begin with ! or *
_TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep"
_UNQUOTED_VARIABLE = re.compile(r"[\[{].*[:,\[]\s*(\$\{[^}\"']*\})")
_UNICODE_LINE_BREAK = re.compile("[\x85\u2028\u2029]")  # line breaks in YAML only
_TAG_NOT_ALLOWED = "a tag (!…) is not allowed; put the text in quotes"
_UNKNOWN_ALIAS = "an alias (*…) of nothing written above; put the text in quotes"
_KEY_IN_LINE = re.compile(r"""[\s-]*["']?([\w.-]+)["']?\s*:""")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class YamlDocument(Struct, frozen=True, dict=True):
    """A parsed file. ``root`` is None if the file is empty or cannot be parsed."""

    path: str
    root: YamlNode | None
    flaws: tuple[Flaw, ...] = ()

    @cached_property
    def problems(self) -> tuple[Problem, ...]:
        return tuple(
            Problem(self.path, flaw.line, flaw.column, format_path(flaw.path) or "YAML", flaw.text)
            for flaw in self.flaws
        )


def read_yaml(path: Path) -> YamlDocument:
    """Read and parse ``path``. Raises ConfigError if the file cannot be read."""
    try:
        with open(path, "rb", opener=_open_nonblocking) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ConfigError(f"{path}: is not a regular file")
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    return parse_yaml(raw, str(path))


def _open_nonblocking(path: str, flags: int) -> int:
    """Open without blocking, so that a named pipe can be rejected."""
    return os.open(path, flags | os.O_NONBLOCK)


def parse_yaml(raw: bytes, path: str) -> YamlDocument:
    """Parse ``raw``. Never raises: every flaw is in the document."""
    if len(raw) > MAX_BYTES:
        return YamlDocument(path, None, (Flaw((), 1, 1, f"the file is larger than {MAX_BYTES:,} bytes"),))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line, column = before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1
        return YamlDocument(path, None, (Flaw((), line, column, "this byte is not UTF-8 text"),))
    if (hidden := _UNICODE_LINE_BREAK.search(text)) is not None:
        line, column = _line_and_column(text, hidden.start())
        message = f"U+{ord(hidden.group()):04X} is a line break in YAML that editors do not show; remove it"
        return YamlDocument(path, None, (Flaw((), line, column, message),))
    builder = _YamlNodeBuilder()
    try:
        builder.build(text)
    except _YamlSyntaxError as error:
        return YamlDocument(path, None, (*builder.flaws, error.flaw))
    return YamlDocument(path, builder.root, tuple(builder.flaws))


def _line_and_column(text: str, position: int) -> tuple[int, int]:
    before = text[:position]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


class _YamlSyntaxError(Exception):
    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw.text)
        self.flaw = flaw


class _YamlPosition(NamedTuple):
    """A position as the parser counts it, from 0."""

    line: int
    column: int


class _OpenCollection(Struct):
    """A list or mapping that is not closed yet; ``key`` is the pending key of a mapping."""

    is_mapping: bool
    anchor: str | None
    line: int
    column: int
    items: list[YamlNode] = field(default_factory=list)
    entries: dict[str, MappingEntry] = field(default_factory=dict)
    key: ScalarNode | None = None
    size: int = 1

    @property
    def path_step(self) -> str | int:
        return (self.key.text if self.key else "") if self.is_mapping else len(self.items)


class _YamlNodeBuilder:
    """Builds nodes from parser events with an explicit stack, so that depth cannot exhaust Python's."""

    def __init__(self) -> None:
        self.root: YamlNode | None = None
        self.flaws: list[Flaw] = []
        self._stack: list[_OpenCollection] = []
        self._anchors: dict[str, YamlNode] = {}
        self._documents = 0
        self._text = ""

    def build(self, text: str) -> None:
        self._text = text
        for event in self._parse_events(text):
            match event:
                case yaml.ScalarEvent():
                    self._add_scalar(event)
                case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                    self._start_collection(event)
                case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                    self._end_collection()
                case yaml.AliasEvent():
                    self._add_alias(event)
                case yaml.DocumentStartEvent():
                    self._start_document(event)
                case _:
                    continue

    def _parse_events(self, text: str) -> Iterator[Any]:
        try:
            yield from yaml.parse(text, Loader=_LOADER)
        except yaml.MarkedYAMLError as error:
            raise _YamlSyntaxError(self._describe_parser_error(error)) from error
        except yaml.reader.ReaderError as error:
            line, column = _line_and_column(text, error.position)
            raise _YamlSyntaxError(Flaw((), line, column, "a character that YAML does not allow")) from error

    def _describe_parser_error(self, error: yaml.MarkedYAMLError) -> Flaw:
        """Return the flaw of a parser error: at the start of an unclosed collection, else at the error."""
        reason = error.problem or "it ends too early"
        mark = error.problem_mark or error.context_mark
        if error.context and error.context_mark and "end of stream" in reason:
            mark, reason = error.context_mark, f"{reason} {error.context}"
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        too_deep = "nesting depth" in reason  # libyaml has a limit of its own, 1,000 levels
        text = _TOO_DEEP if too_deep else f"invalid YAML: {reason}"
        if not too_deep and (variable := self._unquoted_variable(line)):
            text += f'; within {{…}} and […], write "{variable}" in quotes'
        return Flaw(self._path_at_line(line), line, column, text)

    def _unquoted_variable(self, line: int) -> str:
        """Return the variable without quotes on ``line``, whose } ends a flow mapping for YAML; "": none."""
        lines = self._text.split("\n")
        found = _UNQUOTED_VARIABLE.search(lines[line - 1]) if line <= len(lines) else None
        return "" if found is None else found[1]

    def _path_at_line(self, line: int) -> NodePath:
        """Return the path of the node on ``line``: the parser reads ahead of its events."""
        lines = self._text.split("\n")
        found = _KEY_IN_LINE.match(lines[line - 1]) if line <= len(lines) else None
        place = self._current_path()
        if found is None or found[1] in place:
            return place
        above = place[:-1] if self._stack and self._stack[-1].key else place
        return (*above, found[1])

    def _current_path(self) -> NodePath:
        return tuple(step for level in self._stack if (step := level.path_step) != "")

    def _add_flaw(self, mark: Any, text: str) -> None:
        self.flaws.append(Flaw(self._current_path(), mark.line + 1, mark.column + 1, text))

    def _syntax_error(self, mark: Any, text: str) -> _YamlSyntaxError:
        return _YamlSyntaxError(Flaw(self._current_path(), mark.line + 1, mark.column + 1, text))

    def _start_document(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            raise self._syntax_error(event.start_mark, "a second document begins here; one file holds one")

    def _add_scalar(self, event: Any) -> None:
        mark = event.start_mark
        if event.tag is not None:
            self._add_flaw(mark, _TAG_NOT_ALLOWED)
        node = ScalarNode(event.value, event.style in (None, ""), mark.line + 1, mark.column + 1)
        self._store_anchor(event.anchor, node)
        self._add_node(node, mark)

    def _start_collection(self, event: Any) -> None:
        mark = event.start_mark
        if event.tag is not None:
            self._add_flaw(mark, _TAG_NOT_ALLOWED)
        if len(self._stack) >= MAX_DEPTH:
            raise self._syntax_error(mark, _TOO_DEEP)
        mapping = isinstance(event, yaml.MappingStartEvent)
        self._stack.append(_OpenCollection(mapping, event.anchor, mark.line + 1, mark.column + 1))

    def _end_collection(self) -> None:
        done = self._stack.pop()
        node: YamlNode
        if done.is_mapping:
            node = MappingNode(done.entries, done.line, done.column, done.size)
        else:
            node = SequenceNode(tuple(done.items), done.line, done.column, done.size)
        self._store_anchor(done.anchor, node)
        self._add_node(node, _YamlPosition(done.line - 1, done.column - 1))

    def _add_alias(self, event: Any) -> None:
        node = self._anchors.get(event.anchor)
        if node is None:
            raise self._syntax_error(event.start_mark, _UNKNOWN_ALIAS)
        self._add_node(node, event.start_mark)

    def _store_anchor(self, anchor: str | None, node: YamlNode) -> None:
        if anchor is not None:
            self._anchors[anchor] = node

    def _add_node(self, node: YamlNode, mark: Any) -> None:
        """Add a finished node to the innermost open collection."""
        if not self._stack:
            self.root = node
            return
        level = self._stack[-1]
        level.size += node.size
        if level.size > MAX_NODES:
            raise self._syntax_error(mark, f"more than {MAX_NODES:,} values")
        if not level.is_mapping:
            level.items.append(node)
        elif level.key is None:
            self._set_key(level, node, mark)
        else:
            self._set_value(level, node)

    def _set_key(self, level: _OpenCollection, node: YamlNode, mark: Any) -> None:
        if not isinstance(node, ScalarNode):
            raise self._syntax_error(mark, "a key is a simple text")
        if node.plain and node.text == "<<":
            self._add_flaw(mark, "merge keys (<<) are not allowed")
        level.key = node
        if node.text in level.entries:
            first = level.entries[node.text].line
            self._add_flaw(mark, f"duplicate key; it is first in line {first}")

    def _set_value(self, level: _OpenCollection, node: YamlNode) -> None:
        key = level.key
        level.key = None
        if key is not None and key.text not in level.entries:
            level.entries[key.text] = MappingEntry(key.text, node, key.line, key.column)


_NULL = {"", "~", "null", "Null", "NULL"}
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]{1,40}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,3})?")

NodePath = tuple[str | int, ...]
YamlValue = Any  # a JSON value: dict, list, str, int, float, bool or None


class ScalarNode(Struct, frozen=True):
    """One value as written; ``line`` and ``column`` count from 1. ``plain``: it was not quoted."""

    text: str
    plain: bool
    line: int
    column: int
    size: int = 1

    @property
    def value(self) -> str | int | float | bool | None:
        if not self.plain:
            return self.text
        if self.text in _NULL:
            return None
        if self.text in _BOOLEANS:
            return _BOOLEANS[self.text]
        if _INTEGER.fullmatch(self.text):
            return int(self.text)
        if _FLOAT.fullmatch(self.text):
            return float(self.text)
        return self.text


class SequenceNode(Struct, frozen=True):
    items: tuple[YamlNode, ...]
    line: int
    column: int
    size: int


class MappingEntry(Struct, frozen=True):
    """A key with its value, at the position of the key."""

    key: str
    value: YamlNode
    line: int
    column: int


class MappingNode(Struct, frozen=True):
    entries: Mapping[str, MappingEntry]
    line: int
    column: int
    size: int


YamlNode = ScalarNode | SequenceNode | MappingNode


class Flaw(Struct, frozen=True):
    """Something the file must not contain. ``place`` is the path from the root."""

    path: NodePath
    line: int
    column: int
    text: str


def format_path(path: NodePath) -> str:
    """Return a path as ``tables[2].columns.name``."""
    name = ""
    for step in path:
        name += f"[{step}]" if isinstance(step, int) else f".{step}" if name else step
    return name


def to_python_value(node: YamlNode | None) -> YamlValue:
    """Return the JSON value of a node."""
    match node:
        case None:
            return None
        case ScalarNode():
            return node.value
        case SequenceNode(items):
            return [to_python_value(item) for item in items]
        case MappingNode(entries):
            return {key: to_python_value(entry.value) for key, entry in entries.items()}
