"""``peek``: a few rows of a table with its most informative columns, without loading or storing it.

Rows of an API are flattened and typed by simpler rules than those of a load. Columns are ranked by name,
type, values and width.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import msgspec

from unify.adapters.base import Page, Read, Scalar, TableConfig
from unify.engine.types import quote_identifier as quoted
from unify.errors import QueryError, UnknownName
from unify.interpreter import adapter_access, system_columns
from unify.interpreter.live.pushdown import required_filters_message
from unify.interpreter.query import missing_tables
from unify.interpreter.results import ResultColumn, Rows, Watcher, result_columns
from unify.interpreter.state import State
from unify.lake import catalog
from unify.language.tokenizer import keyword_set
from unify.model import TableName
from unify.text import format_count

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from unify.adapters.base import ParentRow
    from unify.adapters.spec.table_keys import ForEach


DEFAULT_ROWS = 5
MAX_ROWS = 1000
_MAX_PARENT_TABLE_ROWS = 1000  # of each stored table that a for_each reads
_MAX_PARENTS = 5  # requested one after the other, until there are enough rows


class PeekCommand:
    """Reads a few rows of a table, from the lake if it is stored, else from the source."""

    def __init__(self, state: State, watcher: Watcher) -> None:
        self.state = state
        self.lake = state.lake
        self.connections = state.connections
        self.watcher = watcher

    def run(self, name: TableName, count: int | None) -> Rows:
        """Return the most informative columns of the first ``count`` rows, in the order of the source.

        Raises UnknownName, or SourceError if the source does not respond.
        """
        limit = min(count or DEFAULT_ROWS, MAX_ROWS)
        stored = bool(catalog.table_columns(self.lake, name))
        sample = self._read_stored(name, limit) if stored else self._fetch_sample(name, limit)
        indexes = rank_columns(sample.columns, sample.rows)
        return Rows(
            tuple(sample.columns[index] for index in indexes),
            iter([[tuple(row[index] for index in indexes) for row in sample.rows]] if sample.rows else []),
            _peek_note(len(indexes), len(sample.columns), stored=stored),
        )

    def choose_columns(self, result: Rows) -> Rows:
        """Return the most informative columns of rows that are few."""
        rows = tuple(row for batch in result.batches for row in batch)
        indexes = rank_columns(result.columns, rows)
        chosen = [tuple(row[index] for index in indexes) for row in rows]
        total = len(result.columns)
        omitted = f"{len(indexes)} of {format_count(total, 'column')}" if len(indexes) < total else ""
        note = ", ".join(filter(None, [omitted, result.note]))
        return Rows(tuple(result.columns[index] for index in indexes), iter([chosen] if chosen else []), note)

    def resolve_name(self, table: TableName) -> TableName:
        """Return the canonical name of a table; without a schema it is in ``main``. Raises UnknownName."""
        name = table if table.schema else TableName("main", table.table)
        if self.connections.has(name.schema):
            is_own = name.table.lower() not in self.connections.tables(name.schema)
            if is_own and catalog.table_columns(self.lake, name):
                return name
            return self.connections.canonical_name(name)
        if not catalog.table_columns(self.lake, name):
            if system_columns.find_system_table(name) is not None:
                raise UnknownName(f"{name} is a system table, which has no earlier versions")
            raise UnknownName(missing_tables.unreadable_table_message(name, self.state))
        return name

    def _read_stored(self, name: TableName, limit: int) -> FlatRows:
        sql = f"SELECT * FROM lake.{quoted(name.schema)}.{quoted(name.table)} LIMIT {limit:d}"
        outcome = self.lake.execute(sql)
        return FlatRows(
            result_columns(outcome.columns), tuple(row for batch in outcome.batches() for row in batch)
        )

    def _fetch_sample(self, name: TableName, limit: int) -> FlatRows:
        from unify.adapters import registry

        connection = self.connections.connection(name.schema)
        config = registry.describe_table_config(connection, self.connections.settings.specs, name.table)
        if config is None:
            raise UnknownName(f"connection {name.schema} has no table {name.table}")
        live = self.connections.live_table(name)
        if live is not None and any(each.required for each in live.filters):
            raise QueryError(required_filters_message(name, live))
        read = Read(parents=self._fetch_parents(name, config.for_each), limit=limit)
        adapter_access.ensure_signed_in(self.connections, self.watcher, name.schema)
        pages: list[Page] = []
        with adapter_access.open_adapter(self.connections, connection) as adapter:
            for page in adapter.pages(name.table, read):
                pages.append(page)
                if sum(len(one.rows) for one in pages) >= limit:
                    break
        return flatten_rows(config, pages, limit)

    def _fetch_parents(self, name: TableName, for_each: ForEach | None) -> Sequence[ParentRow]:
        """Return some rows of a table's ``for_each``, from stored tables and samples of the others.

        The spec's SELECT runs in a separate DuckDB without access to files or network.
        """
        if for_each is None or for_each.query is None:
            return ()
        from unify.engine import duckdb

        with duckdb.connect() as scratch:
            for parent in for_each.tables:
                _create_table(scratch, parent, self._read_parent_table(TableName(name.schema, parent)))
            scratch.execute("SET enable_external_access = false")
            scratch.execute("SET lock_configuration = true")
            try:
                return _select_parents(scratch, for_each.query)
            except duckdb.Error as error:
                raise QueryError(
                    f"{name} depends on {', '.join(for_each.tables)}, and a sample of it is not enough: "
                    f"load table {name.schema}.{for_each.tables[0]} ({error})"
                ) from error

    def _read_parent_table(self, name: TableName) -> FlatRows:
        if catalog.table_columns(self.lake, name):
            return self._read_stored(name, _MAX_PARENT_TABLE_ROWS)
        return self._fetch_sample(name, MAX_ROWS)


def _create_table(scratch: DuckDBPyConnection, table: str, sample: FlatRows) -> None:
    """Create ``table`` with these rows, passed as JSON so that values are not part of the SQL."""
    fields = ", ".join(f"{quoted(column.name)} {column.type}" for column in sample.columns) or "none BOOLEAN"
    scratch.execute(f"CREATE TABLE {quoted(table)} ({fields})")
    if sample.rows and sample.columns:
        casts = ", ".join(
            f"CAST(row ->> {index} AS {column.type})" for index, column in enumerate(sample.columns)
        )
        rows = msgspec.json.encode(sample.rows, enc_hook=str).decode()
        scratch.execute(
            f"INSERT INTO {quoted(table)} SELECT {casts} FROM (SELECT unnest(CAST(? AS JSON[])) AS row)",
            [rows],
        )


def _select_parents(scratch: DuckDBPyConnection, query: str) -> Sequence[ParentRow]:
    """Return the first distinct rows of ``query``; values other than numbers and booleans as text."""
    result = scratch.execute(
        f"SELECT DISTINCT * FROM (\n{query}\n) AS parents ORDER BY ALL LIMIT {_MAX_PARENTS:d}"
    )
    names = [str(column[0]) for column in result.description or ()]
    return [
        {name: value if isinstance(value, bool | int | float | None) else str(value) for name, value in pairs}
        for pairs in (zip(names, row, strict=True) for row in result.fetchall())
    ]


def _peek_note(shown: int, total: int, *, stored: bool) -> str:
    omitted = f"{shown} of {format_count(total, 'column')}" if shown < total else ""
    return ", ".join(filter(None, [omitted, "" if stored else "fetched now, not stored"]))


_MAX_LEVELS = 100  # of nested objects; deeper ones stay JSON
_BIGINT_LIMIT = 2**63


@dataclass(frozen=True, slots=True)
class FlatRows:
    """Rows with one value per column."""

    columns: tuple[ResultColumn, ...]
    rows: tuple[tuple[object, ...], ...]


def flatten_rows(table: TableConfig, pages: Sequence[Page], limit: int) -> FlatRows:
    """Return the first ``limit`` rows of ``pages`` with the column names that a load gives them."""
    flat = [
        _flatten_row(table, msgspec.json.decode(row), page.variables) for page in pages for row in page.rows
    ][:limit]
    names = list(dict.fromkeys(name for row in flat for name in row))
    columns = tuple(ResultColumn(name, _common_type([row.get(name) for row in flat])) for name in names)
    rows = tuple(tuple(_cell_value(row.get(column.name), column.type) for column in columns) for row in flat)
    return FlatRows(columns, rows)


def _flatten_row(table: TableConfig, row: object, variables: Mapping[str, Scalar]) -> dict[str, object]:
    """Return the values of a row by column name: the variables of the page, then the row's members."""
    fields: dict[str, object] = dict(variables)
    if not isinstance(row, dict):
        return {**fields, "value": row}
    for column in table.columns:
        if column.source is not None and column.name not in variables:
            fields[column.name] = _value_at_path(row, column.source)
    for path, value in _flatten_members(row, table.flatten, ()):
        name = "_".join(path)
        if _is_selected(table, name):
            fields.setdefault(name, value)
    return fields


def _flatten_members(
    row: Mapping[str, object], levels: int | None, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], object]]:
    deepest = _MAX_LEVELS if levels is None else levels
    for name, value in row.items():
        if isinstance(value, dict) and len(path) < deepest:
            yield from _flatten_members(value, levels, (*path, name))
        else:
            yield (*path, name), value


def _value_at_path(row: object, path: str) -> object:
    for step in path.split("."):
        row = row.get(step) if isinstance(row, dict) else None
    return row


def _is_selected(table: TableConfig, name: str) -> bool:
    folded = name.lower()
    if folded in (key.lower() for key in table.key):
        return True
    if any(_matches_name(glob.lower(), folded) for glob in table.exclude):
        return False
    return not table.only or any(_matches_name(glob.lower(), folded) for glob in table.only)


def _matches_name(glob: str, name: str) -> bool:
    """Whether the glob matches ``name`` or an object that contains it."""
    parts = name.split("_")
    return any(fnmatchcase("_".join(parts[:end]), glob) for end in range(len(parts), 0, -1))


def _common_type(values: Sequence[object]) -> str:
    """Return the DuckDB type of all ``values``."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return "BOOLEAN"
    if kinds == {int}:
        small = all(-_BIGINT_LIMIT <= value < _BIGINT_LIMIT for value in values if isinstance(value, int))
        return "BIGINT" if small else "VARCHAR"
    if kinds and kinds <= {int, float}:
        return "DOUBLE"
    return "JSON" if kinds & {dict, list} else "VARCHAR"


def _cell_value(value: object, type: str) -> Scalar:
    if value is None or (type not in ("VARCHAR", "JSON") and isinstance(value, bool | int | float)):
        return value
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


MAX_COLUMNS = 8
MAX_WIDTH_CHARS = 100  # total width of the chosen columns; most terminals have 100 to 120
_MAX_CELL_CHARS = 32  # longer values are truncated when displayed

# Names of informative columns: the whole name, or its last part after an underscore.
_IDENTIFIER_NAMES = frozenset({"id", "key", "number", "no", "code", "sku", "uid", "ref"})
_TITLE_NAMES = frozenset(
    {"name", "title", "subject", "login", "label", "username", "email", "summary", "headline", "message"}
)
_DETAIL_NAMES = keyword_set(
    "state status type kind amount total price count quantity size priority language country city date "
    "created created_at updated updated_at due_date opened_at closed_at started_at"
)
# For programs: URLs, hashes and similar.
_TECHNICAL_NAME = re.compile(
    r"(?:^|_)(?:url|uri|href|node_id|gravatar_id|avatar|hash|sha|etag|token|cursor|html|link)$"
)
_URL = re.compile(r"https?://")
_TIMESTAMP_TEXT = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:|$)")

Row = Sequence[object]


def rank_columns(columns: Sequence[ResultColumn], rows: Sequence[Row]) -> tuple[int, ...]:
    """Return the indexes of the columns to show, ascending; at least one if there are columns."""
    redundant = _redundant_ids(columns)
    scores = [
        _column_score(column, [row[index] for row in rows]) - 2 * (column.name.lower() in redundant)
        for index, column in enumerate(columns)
    ]
    chosen: list[int] = []
    available = MAX_WIDTH_CHARS
    for index in sorted(range(len(columns)), key=lambda one: -scores[one]):
        # 3: the separator between columns
        width = _column_width(columns[index].name, [row[index] for row in rows]) + 3
        if chosen and (scores[index] <= 0 or width > available):
            continue
        chosen.append(index)
        available -= width
        if len(chosen) == MAX_COLUMNS:
            break
    return tuple(sorted(chosen))


def _redundant_ids(columns: Sequence[ResultColumn]) -> frozenset[str]:
    """Return identifiers of objects that also have a name: user_id beside user_login."""
    prefixes = {
        start
        for start, _, end in (_split_name(column) for column in columns)
        if start and end in _TITLE_NAMES
    }
    return frozenset(f"{start}_{end}" for start in prefixes for end in _IDENTIFIER_NAMES)


def _split_name(column: ResultColumn) -> tuple[str, str, str]:
    return column.name.lower().rpartition("_")


def _column_score(column: ResultColumn, values: Sequence[object]) -> float:
    """Rate how informative a column is; columns of 0 or less are not shown."""
    present = [value for value in values if value is not None and value != ""]
    if values and not present:
        return -10
    return _name_score(column.name.lower()) + _value_score(column, present)


def _name_score(name: str) -> float:
    last = name.rpartition("_")[2]
    if _TECHNICAL_NAME.search(name):
        return -6
    if name in _TITLE_NAMES:
        return 10
    if name in _IDENTIFIER_NAMES:
        return 9
    if name in _DETAIL_NAMES:
        return 7
    if last in _TITLE_NAMES:
        return 5 - name.count("_")  # user_login before head_repo_owner_login
    if last in _IDENTIFIER_NAMES:
        return 2 - name.count("_")
    if last in _DETAIL_NAMES or name.endswith(("_at", "_on", "_date")):
        return 4 - name.count("_")
    return 2 - name.count("_")


def _value_score(column: ResultColumn, present: Sequence[object]) -> float:
    if any(mark in column.type for mark in ("STRUCT", "MAP", "[", "JSON", "BLOB")):
        return -5
    texts = [str(value) for value in present]
    if any(_URL.match(text) for text in texts):
        return -6
    if any(len(text) > 80 or "\n" in text for text in texts):
        return -3
    score = 0.0
    if len(texts) > 1 and len(set(texts)) == 1:
        score -= 2  # the same in every row
    if column.type == "BOOLEAN":
        score -= 1
    if "TIMESTAMP" in column.type or (texts and all(_TIMESTAMP_TEXT.match(text) for text in texts)):
        score += 0.5
    return score


def _column_width(name: str, values: Sequence[object]) -> int:
    longest = max((len(str(value)) for value in values if value is not None), default=0)
    return max(len(name), min(longest, _MAX_CELL_CHARS))
