"""connections.yaml: which accounts there are, each a schema; and the secrets they refer to."""

from __future__ import annotations

import grp
import os
import pwd
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from unify import yamlfile
from unify.durations import parse_duration
from unify.errors import ConfigError, Problem, UnresolvedSecret
from unify.secrets import FORMS, Dangling, Secret, Variable, follow, parse_reference
from unify.text import did_you_mean
from unify.yamlnodes import Entry, List, Map, Node, Scalar

__all__ = [
    "Connection",
    "Connections",
    "Secret",
    "environment_names",
    "load_connections",
    "parse_duration",
    "resolve",
]

RESERVED = frozenset(
    ["unify", "_unify", "main", "lake", "memory", "system", "temp", "information_schema", "pg_catalog"]
)  # schemas and catalogs that DuckDB or Unify own
_KEYS = ("adapter", "options", "refresh")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


@dataclass(frozen=True, slots=True)
class Connection:
    """One account of one cloud system.

    ``options``  texts as written, references unresolved.
    ``refresh``  seconds between refreshes by table; overrides the spec's.
    ``lines``    line of each key below the connection, by its dotted name (``options.token``).
    """

    name: str
    adapter: str
    options: Mapping[str, str] = field(default_factory=dict)
    refresh: Mapping[str, float] = field(default_factory=dict)
    path: str = "connections.yaml"
    line: int = 1
    lines: Mapping[str, int] = field(default_factory=dict)

    def place(self, key: str = "") -> str:
        """``connections.yaml:4: github.options.token``, to start a message with."""
        line = self.lines.get(key, self.line)
        return f"{self.path}:{line}: {self.name}" + (f".{key}" if key else "")


@dataclass(frozen=True, slots=True)
class Connections:
    """Everything connections.yaml says, by name. A mistake in one connection leaves the others whole."""

    path: Path
    all: Mapping[str, Connection] = field(default_factory=dict)
    broken: Mapping[str, ConfigError] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def load_connections(path: Path) -> Connections:
    """Read ``path``; a missing file holds no connections.

    Raises  ConfigError for a file that is not YAML (with file:line:column), cannot be read, or that
            other users could have written.
    """
    if not path.exists():
        return Connections(path)
    document = yamlfile.read(path)
    permissions = _permission_warnings(path)
    if document.root is None and document.flaws:
        raise ConfigError("\n".join(str(problem) for problem in document.problems))
    root = document.root
    if root is None or (isinstance(root, Scalar) and root.value is None):
        return Connections(path, warnings=permissions)
    if not isinstance(root, Map):
        raise ConfigError(
            f"{path}:{root.line}:{root.column}: expected NAME: and below it adapter: ADAPTER and options:"
        )
    reader = _Reader(document, root)
    return Connections(path, reader.connections, reader.broken, permissions + tuple(reader.warnings))


def resolve(
    connection: Connection,
    options: Sequence[tuple[str, bool]],
    environment: Mapping[str, str],
) -> dict[str, str | Secret]:
    """The values of the options the connection gives; those that are secret, as ``Secret``.

    ``options``  (name, secret) of each option the adapter knows; what it does not know counts as secret.
    Raises  UnresolvedSecret naming file, line, connection, option and reference.
    """
    secret = dict(options)
    values: dict[str, str | Secret] = {}
    for name, written in connection.options.items():
        value = _resolve(connection, name, written, environment)
        values[name] = Secret(value) if secret.get(name, True) else value
    return values


def environment_names(connection: Connection) -> tuple[str, ...]:
    """The environment variables the connection's options refer to."""
    references = (parse_reference(written) for written in connection.options.values())
    return tuple(dict.fromkeys(found.name for found in references if isinstance(found, Variable)))


def _resolve(connection: Connection, name: str, written: str, environment: Mapping[str, str]) -> str:
    try:
        reference = parse_reference(written)
        if reference is None:
            return written
        return follow(reference, environment, Path(connection.path).parent)
    except (Dangling, ValueError) as error:
        place = connection.place(f"options.{name}")
        # the text names a reference or a path, never a value
        raise UnresolvedSecret(f"{place}: {error}") from error


def _permission_warnings(path: Path) -> tuple[str, ...]:
    """Raises ConfigError where other users could have written the file: it decides where secrets go."""
    status = path.stat()
    mode = status.st_mode
    if mode & stat.S_IWOTH or (mode & stat.S_IWGRP and not _group_is_only_me(status)):
        raise ConfigError(
            f"{path}: other users can change this file, and so send your secrets anywhere; chmod go-w {path}"
        )
    if mode & (stat.S_IROTH | stat.S_IRGRP):
        return (f"{path}: other users can read this file; chmod 600 {path}",)
    return ()


def _group_is_only_me(status: os.stat_result) -> bool:
    """Is the file's group its owner's private one, as many systems give every user?"""
    try:
        owner, group = pwd.getpwuid(status.st_uid), grp.getgrgid(status.st_gid)
    except KeyError:
        return False
    return group.gr_name == owner.pw_name and set(group.gr_mem) <= {owner.pw_name}


class _Reader:
    """Reads the connections of one document, each on its own."""

    def __init__(self, document: yamlfile.Document, root: Map) -> None:
        self.connections: dict[str, Connection] = {}
        self.broken: dict[str, ConfigError] = {}
        self.warnings: list[str] = []
        self._document = document
        self._problems: list[Problem] = []
        for entry in root.entries.values():
            self._read(entry)

    def _read(self, entry: Entry) -> None:
        self._problems = [
            problem
            for problem, flaw in zip(self._document.problems, self._document.flaws, strict=True)
            if flaw.place[:1] == (entry.key,)
        ]
        self._check_name(entry)
        connection = self._connection(entry)
        if self._problems or connection is None:
            self.broken[entry.key] = ConfigError("\n".join(str(problem) for problem in self._problems))
        else:
            self.connections[entry.key] = connection

    def _problem(self, at: Entry | Node, key: str, text: str) -> None:
        self._problems.append(Problem(self._document.path, at.line, at.column, key, text))

    def _check_name(self, entry: Entry) -> None:
        name = entry.key
        taken = next((other for other in self.connections if other.lower() == name.lower()), None)
        if not _NAME.fullmatch(name):
            self._problem(
                entry, name, "a connection's name has letters, digits and _ and starts with no digit"
            )
        elif name.lower() in RESERVED:
            self._problem(entry, name, f"this name is reserved; choose another, such as my_{name.strip('_')}")
        elif taken is not None:
            self._problem(entry, name, f"differs from {taken} only in upper and lower case; SQL cannot tell")

    def _connection(self, entry: Entry) -> Connection | None:
        name, body = entry.key, entry.value
        if not isinstance(body, Map):
            self._problem(entry, name, "expected adapter: ADAPTER and options: below it")
            return None
        for key in body.entries.values():
            if key.key not in _KEYS:
                self._unknown(name, key, body)
        adapter = body.entries.get("adapter")
        if adapter is None:
            self._problem(entry, name, "adapter is missing: which spec describes this system?")
            return None
        options = self._options(name, body.entries.get("options"))
        refresh = self._refresh(name, body.entries.get("refresh"))
        lines = {
            f"{part.key}.{item.key}": item.line
            for part in body.entries.values()
            if isinstance(part.value, Map)
            for item in part.value.entries.values()
        }
        lines |= {part.key: part.line for part in body.entries.values()}
        path = self._document.path
        return Connection(name, self._adapter(name, adapter), options, refresh, path, entry.line, lines)

    def _unknown(self, name: str, key: Entry, body: Map) -> None:
        hint = did_you_mean(key.key, (known for known in _KEYS if known not in body.entries))
        if not hint and isinstance(key.value, Scalar):
            hint = "; does it belong under options:?"
        self._problem(key, f"{name}.{key.key}", f"unknown key{hint or '; known are ' + ', '.join(_KEYS)}")

    def _adapter(self, name: str, entry: Entry) -> str:
        value = entry.value
        if isinstance(value, Scalar) and _NAME.fullmatch(value.text):
            return value.text
        self._problem(value, f"{name}.adapter", "expected the name of an adapter, such as github")
        return ""

    def _options(self, name: str, entry: Entry | None) -> dict[str, str]:
        options: dict[str, str] = {}
        for item in self._entries(name, entry):
            text = self._option(f"{name}.options.{item.key}", item)
            if text is not None:
                options[item.key] = text
        return options

    def _option(self, place: str, item: Entry) -> str | None:
        value = item.value
        if not isinstance(value, Scalar):
            kind = "a list" if isinstance(value, List) else "a mapping"
            self._problem(value, place, f"expected one value, not {kind}")
            return None
        if value.value is None:
            self._problem(item, place, "has no value; give one, or leave the line out")
            return None
        return self._reference(place, value)

    def _reference(self, place: str, value: Scalar) -> str | None:
        try:
            reference = parse_reference(value.text)
        except ValueError as error:
            self._problem(value, place, str(error))
            return None
        if reference is None and "${" in value.text:
            where = f"{self._document.path}:{value.line}: {place}"
            self.warnings.append(
                f"{where}: a reference is the whole value ({FORMS}); this is taken as it stands"
            )
        return value.text

    def _refresh(self, name: str, entry: Entry | None) -> dict[str, float]:
        refresh: dict[str, float] = {}
        for item in self._entries(name, entry):
            value = item.value
            try:
                refresh[item.key] = parse_duration(value.text if isinstance(value, Scalar) else "")
            except ValueError as error:
                self._problem(value, f"{name}.refresh.{item.key}", str(error))
        return refresh

    def _entries(self, name: str, entry: Entry | None) -> Sequence[Entry]:
        if entry is None or (isinstance(entry.value, Scalar) and entry.value.value is None):
            return ()
        if isinstance(entry.value, Map):
            return tuple(entry.value.entries.values())
        self._problem(entry.value, f"{name}.{entry.key}", "expected lines of NAME: VALUE below it")
        return ()
