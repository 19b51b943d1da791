"""Reading connections.yaml: the connections, their options and the secrets they refer to."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from msgspec import Struct, field

from unify.config import yaml
from unify.config.connection_tables import TableSettings, parse_tables
from unify.config.permissions import is_readable_by_others, writers
from unify.config.secrets import (
    REFERENCE_FORMS,
    EnvironmentVariable,
    Secret,
    SecretFile,
    UnresolvedReference,
    parse_reference,
    resolve_reference,
)
from unify.config.yaml import MappingEntry, MappingNode, ScalarNode, SequenceNode, YamlNode
from unify.durations import parse_duration
from unify.errors import ConfigError, Problem, UnresolvedSecret
from unify.sizes import parse_size
from unify.text import did_you_mean

RESERVED = frozenset(
    ["unify", "_unify", "main", "lake", "memory", "system", "temp", "information_schema", "pg_catalog"]
)  # schemas and catalogs of DuckDB and Unify
_KEYS = ("adapter", "options", "refresh", "limits", "tables", "writable", "writes")
ShrinkPolicy = Literal["hold", "allow"]  # a new version of a table that has lost most rows or columns
_REFRESH_KEYS = ("every", "shrink")
MAX_ROW_LIMIT = 10**15
_LIMIT_KEYS = ("load_time", "rows", "bytes")
_NAME_PATTERN = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


class Connection(Struct, frozen=True):
    """One account of one system.

    ``options``   values as written, references not resolved; a list as its values joined by ", ".
    ``refresh``   seconds between refreshes by table; overrides the spec.
    ``limits``    of one load: ``load_time`` in seconds, ``rows``, ``bytes``; they override the spec.
    ``lines``     line of each key by its dotted name (``options.token``).
    ``tables``    of a database or store: settings by table, as written.
    ``writable``  statements may change the database or store.
    ``writes``    the tables of an API that statements may write.
    ``lists``     the options that are written as lists.
    ``shrink``    what becomes of a version that has lost most rows, by table; overrides the spec.
    """

    name: str
    adapter: str
    options: Mapping[str, str] = field(default_factory=dict)
    refresh: Mapping[str, float] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)
    path: str = "connections.yaml"
    line: int = 1
    lines: Mapping[str, int] = field(default_factory=dict)
    tables: Mapping[str, TableSettings] = field(default_factory=dict)
    writable: bool = False
    writes: tuple[str, ...] = ()
    lists: frozenset[str] = frozenset()
    shrink: Mapping[str, ShrinkPolicy] = field(default_factory=dict)

    def location(self, key: str = "") -> str:
        """Return ``connections.yaml:4: github.options.token``, the start of a message."""
        line = self.lines.get(key, self.line)
        return f"{self.path}:{line}: {self.name}" + (f".{key}" if key else "")


class Connections(Struct, frozen=True):
    """The connections by name. A mistake in one connection leaves the others usable."""

    path: Path
    by_name: Mapping[str, Connection] = field(default_factory=dict)
    errors: Mapping[str, ConfigError] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def load_connections(path: Path) -> Connections:
    """Read ``path``; a missing file has no connections.

    Raises:
        ConfigError: the file is not YAML, cannot be read, or other users can write to it.
    """
    if not path.exists():
        return Connections(path)
    document = yaml.read_yaml(path)
    permissions = _permission_warnings(path)
    if document.root is None and document.flaws:
        raise ConfigError("\n".join(str(problem) for problem in document.problems))
    root = document.root
    if root is None or (isinstance(root, ScalarNode) and root.value is None):
        return Connections(path, warnings=permissions)
    if not isinstance(root, MappingNode):
        raise ConfigError(
            f"{path}:{root.line}:{root.column}: expected NAME: and below it adapter: ADAPTER and options:"
        )
    reader = _ConnectionsReader(document, root)
    return Connections(path, reader.connections, reader.errors, permissions + tuple(reader.warnings))


def resolve_option_values(
    connection: Connection,
    options: Sequence[tuple[str, bool]],
    environment: Mapping[str, str],
) -> dict[str, str | Secret]:
    """Return the resolved values of a connection's options, secret ones as ``Secret``.

    ``options``  (name, secret) of each option of the adapter; unknown options count as secret.

    Raises:
        UnresolvedSecret: names file, line, connection, option and reference.
    """
    secret = dict(options)
    values: dict[str, str | Secret] = {}
    for name, written in connection.options.items():
        value = _resolve_option_value(connection, name, written, environment)
        values[name] = Secret(value) if secret.get(name, True) else value
    return values


def environment_names(connection: Connection) -> tuple[str, ...]:
    """Return the environment variables that the options refer to."""
    references = (parse_reference(written) for written in connection.options.values())
    return tuple(dict.fromkeys(found.name for found in references if isinstance(found, EnvironmentVariable)))


def _resolve_option_value(
    connection: Connection, name: str, text: str, environment: Mapping[str, str]
) -> str:
    try:
        reference = parse_reference(text)
        if reference is None:
            return text
        return resolve_reference(reference, environment, Path(connection.path).parent)
    except (UnresolvedReference, ValueError) as error:
        place = connection.location(f"options.{name}")
        # the error names a reference or a path, never a value
        raise UnresolvedSecret(f"{place}: {error}") from error


def _permission_warnings(path: Path) -> tuple[str, ...]:
    """Raise ConfigError if other users can write to the file: it decides where secrets are sent."""
    status = path.stat()
    if writers(status):
        raise ConfigError(
            f"{path}: other users can write to this file and redirect your secrets; run chmod go-w {path}"
        )
    if status.st_mode & (stat.S_IROTH | stat.S_IRGRP):
        return (f"{path}: other users can read this file; run chmod 600 {path}",)
    return ()


class _ConnectionsReader:
    """Parses the connections of a document independently of each other."""

    def __init__(self, document: yaml.YamlDocument, root: MappingNode) -> None:
        self.connections: dict[str, Connection] = {}
        self.errors: dict[str, ConfigError] = {}
        self.warnings: list[str] = []
        self._document = document
        self._problems: list[Problem] = []
        for entry in root.entries.values():
            self._read_connection(entry)

    def _read_connection(self, entry: MappingEntry) -> None:
        self._problems = [
            problem
            for problem, flaw in zip(self._document.problems, self._document.flaws, strict=True)
            if flaw.path[:1] == (entry.key,)
        ]
        self._check_name(entry)
        connection = self._parse_connection(entry)
        if self._problems or connection is None:
            self.errors[entry.key] = ConfigError("\n".join(str(problem) for problem in self._problems))
        else:
            self.connections[entry.key] = connection

    def _add_problem(self, node: MappingEntry | YamlNode, key: str, text: str) -> None:
        self._problems.append(Problem(self._document.path, node.line, node.column, key, text))

    def _check_name(self, entry: MappingEntry) -> None:
        name = entry.key
        taken = next((other for other in self.connections if other.lower() == name.lower()), None)
        if not _NAME_PATTERN.fullmatch(name):
            self._add_problem(
                entry, name, "a connection's name has letters, digits and _ and starts with no digit"
            )
        elif name.lower() in RESERVED:
            self._add_problem(
                entry, name, f"this name is reserved; choose another, such as my_{name.strip('_')}"
            )
        elif taken is not None:
            self._add_problem(entry, name, f"differs from {taken} only in case; SQL names ignore case")

    def _parse_connection(self, entry: MappingEntry) -> Connection | None:
        name, body = entry.key, entry.value
        if not isinstance(body, MappingNode):
            self._add_problem(entry, name, "expected adapter: ADAPTER and options: below it")
            return None
        for key in body.entries.values():
            if key.key not in _KEYS:
                self._report_unknown_key(name, key, body)
        adapter = body.entries.get("adapter")
        if adapter is None:
            self._add_problem(entry, name, "adapter is missing: which spec describes this system?")
            return None
        options = self._parse_options(name, body.entries.get("options"))
        refresh, shrink = self._parse_refresh(name, body.entries.get("refresh"))
        limits = self._parse_limits(name, body.entries.get("limits"))
        tables = parse_tables(body.entries.get("tables"), name, self._add_problem)
        writable = self._parse_truth(name, body.entries.get("writable"))
        writes = self._parse_names(name, body.entries.get("writes"))
        lines = {
            f"{part.key}.{item.key}": item.line
            for part in body.entries.values()
            if isinstance(part.value, MappingNode)
            for item in part.value.entries.values()
        }
        lines |= {part.key: part.line for part in body.entries.values()}
        path = self._document.path
        adapter_name = self._parse_adapter(name, adapter)
        return Connection(
            name,
            adapter_name,
            options,
            refresh,
            limits,
            path,
            entry.line,
            lines,
            tables,
            writable,
            writes,
            _list_options(body.entries.get("options")),
            shrink,
        )

    def _report_unknown_key(self, name: str, key: MappingEntry, body: MappingNode) -> None:
        hint = did_you_mean(key.key, (known for known in _KEYS if known not in body.entries))
        if not hint and isinstance(key.value, ScalarNode):
            hint = "; does it belong under options:?"
        self._add_problem(key, f"{name}.{key.key}", f"unknown key{hint or '; known are ' + ', '.join(_KEYS)}")

    def _parse_adapter(self, name: str, entry: MappingEntry) -> str:
        value = entry.value
        if isinstance(value, ScalarNode) and _NAME_PATTERN.fullmatch(value.text):
            return value.text
        self._add_problem(value, f"{name}.adapter", "expected the name of an adapter, such as github")
        return ""

    def _parse_options(self, name: str, entry: MappingEntry | None) -> dict[str, str]:
        options: dict[str, str] = {}
        for item in self._child_entries(name, entry):
            text = self._parse_option(f"{name}.options.{item.key}", item)
            if text is not None:
                options[item.key] = text
        return options

    def _parse_option(self, key: str, item: MappingEntry) -> str | None:
        value = item.value
        if isinstance(value, SequenceNode):
            return self._parse_list_option(key, value)
        if not isinstance(value, ScalarNode):
            self._add_problem(value, key, "expected one value, not a mapping")
            return None
        if value.value is None:
            self._add_problem(item, key, "has no value; give one, or leave the line out")
            return None
        return self._check_reference(key, value)

    def _parse_list_option(self, key: str, node: SequenceNode) -> str | None:
        texts = [item.text for item in node.items if isinstance(item, ScalarNode) and item.value is not None]
        if len(texts) < len(node.items) or any("," in text or "${" in text for text in texts):
            self._add_problem(node, key, "expected a list of values without commas and references")
            return None
        return ", ".join(texts)

    def _parse_truth(self, name: str, entry: MappingEntry | None) -> bool:
        if entry is None:
            return False
        value = entry.value.value if isinstance(entry.value, ScalarNode) else None
        if not isinstance(value, bool):
            self._add_problem(entry.value, f"{name}.{entry.key}", "expected true or false")
        return value is True

    def _parse_names(self, name: str, entry: MappingEntry | None) -> tuple[str, ...]:
        if entry is None:
            return ()
        nodes = entry.value.items if isinstance(entry.value, SequenceNode) else [entry.value]
        texts = [node.text for node in nodes if isinstance(node, ScalarNode) and node.value is not None]
        if len(texts) < len(nodes):
            self._add_problem(
                entry.value, f"{name}.{entry.key}", "expected a list of tables, such as [issues]"
            )
        return tuple(texts)

    def _check_reference(self, key: str, value: ScalarNode) -> str | None:
        try:
            reference = parse_reference(value.text)
        except ValueError as error:
            self._add_problem(value, key, str(error))
            return None
        if isinstance(reference, SecretFile):
            path = os.path.join(os.path.dirname(self._document.path), os.path.expanduser(reference.path))
            if is_readable_by_others(Path(path)):
                self.warnings.append(f"{path}: other users can read this secret; run chmod 600 {path}")
        if reference is None and "${" in value.text:
            where = f"{self._document.path}:{value.line}: {key}"
            self.warnings.append(
                f"{where}: a reference must be the whole value ({REFERENCE_FORMS}); used as text"
            )
        return value.text

    def _parse_refresh(
        self, name: str, entry: MappingEntry | None
    ) -> tuple[dict[str, float], dict[str, ShrinkPolicy]]:
        """Parse ``TABLE: DURATION`` or ``TABLE: {every: DURATION, shrink: hold|allow}``."""
        refresh: dict[str, float] = {}
        shrink: dict[str, ShrinkPolicy] = {}
        for item in self._child_entries(name, entry):
            key = f"{name}.refresh.{item.key}"
            if not isinstance(item.value, MappingNode):
                self._parse_every(key, item.value, item.key, refresh)
                continue
            for part in item.value.entries.values():
                if part.key == "every":
                    self._parse_every(f"{key}.every", part.value, item.key, refresh)
                elif part.key == "shrink":
                    self._parse_shrink(f"{key}.shrink", part.value, item.key, shrink)
                else:
                    hint = did_you_mean(part.key, _REFRESH_KEYS) or f"; known are {', '.join(_REFRESH_KEYS)}"
                    self._add_problem(part, f"{key}.{part.key}", f"unknown key{hint}")
        return refresh, shrink

    def _parse_every(self, key: str, value: YamlNode, table: str, refresh: dict[str, float]) -> None:
        try:
            refresh[table] = parse_duration(value.text if isinstance(value, ScalarNode) else "")
        except ValueError as error:
            self._add_problem(value, key, str(error))

    def _parse_shrink(self, key: str, value: YamlNode, table: str, shrink: dict[str, ShrinkPolicy]) -> None:
        match value.text if isinstance(value, ScalarNode) else "":
            case "hold" | "allow" as policy:
                shrink[table] = policy
            case text:
                self._add_problem(value, key, f"{text!r} is neither hold nor allow")

    def _parse_limits(self, name: str, entry: MappingEntry | None) -> dict[str, float]:
        limits: dict[str, float] = {}
        for item in self._child_entries(name, entry):
            key, value = f"{name}.limits.{item.key}", item.value
            if item.key not in _LIMIT_KEYS:
                hint = did_you_mean(item.key, _LIMIT_KEYS) or f"; known are {', '.join(_LIMIT_KEYS)}"
                self._add_problem(item, key, f"unknown key{hint}")
                continue
            try:
                limits[item.key] = _parse_limit(item.key, value.text if isinstance(value, ScalarNode) else "")
            except ValueError as error:
                self._add_problem(value, key, str(error))
        return limits

    def _child_entries(self, name: str, entry: MappingEntry | None) -> Sequence[MappingEntry]:
        if entry is None or (isinstance(entry.value, ScalarNode) and entry.value.value is None):
            return ()
        if isinstance(entry.value, MappingNode):
            return tuple(entry.value.entries.values())
        self._add_problem(entry.value, f"{name}.{entry.key}", "expected lines of NAME: VALUE below it")
        return ()


def _list_options(entry: MappingEntry | None) -> frozenset[str]:
    """Return the names of the options that are lists."""
    if entry is None or not isinstance(entry.value, MappingNode):
        return frozenset()
    items = entry.value.entries.values()
    return frozenset(item.key for item in items if isinstance(item.value, SequenceNode))


def _parse_limit(key: str, text: str) -> float:
    """Return the value of a limit of a load. Raises ValueError."""
    match key:
        case "load_time":
            if seconds := parse_duration(text):
                return seconds
            raise ValueError(f"{text!r} is no time for a load; write a duration such as 6 hours")
        case "bytes":
            return parse_size(text)
        case _:
            if text.isascii() and text.isdigit() and 0 < int(text) <= MAX_ROW_LIMIT:
                return int(text)
            raise ValueError(f"{text!r} is not a number of rows from 1 to {MAX_ROW_LIMIT:,}")
