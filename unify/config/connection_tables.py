"""The key ``tables`` of a connection in connections.yaml: how tables of a database or store are read.

A text instead of a mapping is the value of ``files``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeVar, get_args

from msgspec import Struct

from unify.config.yaml import MappingEntry, MappingNode, ScalarNode, SequenceNode, YamlNode
from unify.durations import parse_duration
from unify.text import did_you_mean

TableMode = Literal["live", "stored"]
TableStrategy = Literal["reload", "append", "merge", "merge_delete"]
FILES_INCREMENTAL = "files"
_MODES: tuple[TableMode, ...] = get_args(TableMode)
_STRATEGIES: tuple[TableStrategy, ...] = get_args(TableStrategy)
_TABLE_KEYS = ("mode", "key", "incremental", "refresh", "files", "format", "columns", "csv")
_INCREMENTAL_KEYS = ("cursor", "lookback")
_REFRESH_KEYS = ("every", "strategy")
CSV_KEYS = ("delimiter", "quote", "escape", "header", "skip", "encoding", "null", "comment")

Choice = TypeVar("Choice", bound=str)
AddProblem = Callable[[MappingEntry | YamlNode, str, str], None]


class TableSettings(Struct, frozen=True):
    """How a table of a database or store is read.

    ``mode``         live: each statement reads the source until ``load table`` stores the rows;
                     stored: the first statement loads the table.
    ``cursor``       incremental loads read the rows whose column is at least the stored value minus
                     ``lookback_s``.
    ``by_files``     incremental loads read new and changed files (``incremental: files``).
    ``every_s``      None without a schedule.
    ``strategy``     None: by cursor and key, as for API tables.
    ``files``        glob within the connection; "" for tables of databases.
    ``columns``      DuckDB types by column, for formats without types.
    ``csv``          texts by option; see CSV_KEYS.
    """

    mode: TableMode = "live"
    key: tuple[str, ...] = ()
    cursor: str = ""
    lookback_s: float = 0.0
    by_files: bool = False
    every_s: float | None = None
    strategy: TableStrategy | None = None
    files: str = ""
    format: str = ""
    columns: Mapping[str, str] = {}
    csv: Mapping[str, str] = {}


DEFAULT_TABLE_SETTINGS = TableSettings()


def parse_tables(
    entry: MappingEntry | None, connection: str, add_problem: AddProblem
) -> dict[str, TableSettings]:
    """Return the settings by name of the table, as written. ``add_problem`` takes node, key and text."""
    if entry is None or _is_empty(entry.value):
        return {}
    if not isinstance(entry.value, MappingNode):
        add_problem(entry.value, f"{connection}.tables", "expected lines of TABLE: {…} below it")
        return {}
    found: dict[str, TableSettings] = {}
    for item in entry.value.entries.values():
        reader = _TableReader(f"{connection}.tables.{item.key}", add_problem)
        found[item.key] = reader.read_table(item.value)
    return found


class _TableReader:
    """Reads the settings of one table; ``key`` is its place in the file."""

    def __init__(self, key: str, add_problem: AddProblem) -> None:
        self._key = key
        self._add = add_problem

    def read_table(self, node: YamlNode) -> TableSettings:
        if isinstance(node, ScalarNode):
            return TableSettings(files="" if node.value is None else node.text)
        if not isinstance(node, MappingNode):
            self._add(node, self._key, "expected a mapping such as {mode: stored}, or a text: its files")
            return DEFAULT_TABLE_SETTINGS
        self._check_keys(node, self._key, _TABLE_KEYS)
        entries = node.entries
        cursor, lookback_s, by_files = self._read_incremental(entries.get("incremental"))
        every_s, strategy = self._read_refresh(entries.get("refresh"))
        return TableSettings(
            mode=self._read_choice(entries.get("mode"), "mode", _MODES) or "live",
            key=self._read_names(entries.get("key"), "key"),
            cursor=cursor,
            lookback_s=lookback_s,
            by_files=by_files,
            every_s=every_s,
            strategy=strategy,
            files=self._read_text(entries.get("files"), "files"),
            format=self._read_text(entries.get("format"), "format").lower(),
            columns=self._read_texts(entries.get("columns"), "columns", None),
            csv=self._read_texts(entries.get("csv"), "csv", CSV_KEYS),
        )

    def _read_incremental(self, entry: MappingEntry | None) -> tuple[str, float, bool]:
        """Return cursor, lookback in seconds, and whether files are the state."""
        if entry is None:
            return "", 0.0, False
        if isinstance(entry.value, ScalarNode) and entry.value.text == FILES_INCREMENTAL:
            return "", 0.0, True
        if not isinstance(entry.value, MappingNode):
            self._add(entry.value, f"{self._key}.incremental", "expected files, or {cursor: COLUMN}")
            return "", 0.0, False
        self._check_keys(entry.value, f"{self._key}.incremental", _INCREMENTAL_KEYS)
        entries = entry.value.entries
        cursor = self._read_text(entries.get("cursor"), "incremental.cursor")
        if not cursor:
            self._add(entry, f"{self._key}.incremental", "cursor is missing: the column that grows")
        return cursor, self._read_duration(entries.get("lookback"), "incremental.lookback") or 0.0, False

    def _read_refresh(self, entry: MappingEntry | None) -> tuple[float | None, TableStrategy | None]:
        if entry is None:
            return None, None
        if isinstance(entry.value, ScalarNode):
            return self._read_duration(entry, "refresh"), None
        if not isinstance(entry.value, MappingNode):
            self._add(entry.value, f"{self._key}.refresh", "expected {every: DURATION}")
            return None, None
        self._check_keys(entry.value, f"{self._key}.refresh", _REFRESH_KEYS)
        entries = entry.value.entries
        strategy = self._read_choice(entries.get("strategy"), "refresh.strategy", _STRATEGIES)
        return self._read_duration(entries.get("every"), "refresh.every"), strategy

    def _check_keys(self, node: MappingNode, key: str, known: Sequence[str]) -> None:
        for item in node.entries.values():
            if item.key not in known:
                hint = did_you_mean(item.key, known) or f"; known are {', '.join(known)}"
                self._add(item, f"{key}.{item.key}", f"unknown key{hint}")

    def _read_choice(self, entry: MappingEntry | None, name: str, choices: Sequence[Choice]) -> Choice | None:
        if entry is None:
            return None
        text = self._read_text(entry, name)
        found = next((choice for choice in choices if choice == text), None)
        if text and found is None:
            hint = did_you_mean(text, choices) or f"; it is one of {', '.join(choices)}"
            self._add(entry.value, f"{self._key}.{name}", f"{text!r} is not known{hint}")
        return found

    def _read_text(self, entry: MappingEntry | None, name: str) -> str:
        if entry is None:
            return ""
        if isinstance(entry.value, ScalarNode) and entry.value.value is not None:
            return entry.value.text
        self._add(entry.value, f"{self._key}.{name}", "expected one value")
        return ""

    def _read_names(self, entry: MappingEntry | None, name: str) -> tuple[str, ...]:
        """Return a column, or a list of columns."""
        if entry is None or not isinstance(entry.value, SequenceNode):
            text = self._read_text(entry, name)
            return (text,) if text else ()
        items = entry.value.items
        if not all(isinstance(item, ScalarNode) and item.value is not None for item in items):
            self._add(entry.value, f"{self._key}.{name}", "expected a column or a list of columns")
        return tuple(item.text for item in items if isinstance(item, ScalarNode))

    def _read_texts(
        self, entry: MappingEntry | None, name: str, known: Sequence[str] | None
    ) -> dict[str, str]:
        if entry is None or _is_empty(entry.value):
            return {}
        if not isinstance(entry.value, MappingNode):
            self._add(entry.value, f"{self._key}.{name}", "expected lines of NAME: VALUE below it")
            return {}
        if known is not None:
            self._check_keys(entry.value, f"{self._key}.{name}", known)
        items = entry.value.entries.values()
        return {item.key: self._read_text(item, f"{name}.{item.key}") for item in items}

    def _read_duration(self, entry: MappingEntry | None, name: str) -> float | None:
        if entry is None:
            return None
        try:
            return parse_duration(self._read_text(entry, name))
        except ValueError as error:
            self._add(entry.value, f"{self._key}.{name}", str(error))
            return None


def _is_empty(node: YamlNode) -> bool:
    return isinstance(node, ScalarNode) and node.value is None
