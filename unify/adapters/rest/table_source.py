"""The ``where`` of a table: which of the rows that came are wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import msgspec
from msgspec.structs import replace

from unify.adapters.formats.records import RecordSelector, ResponseBody, parse_body
from unify.adapters.http.messages import Response
from unify.adapters.paging.base import PagingState
from unify.adapters.rest.request_builder import RequestBuilder
from unify.adapters.spec import template
from unify.adapters.spec.model import AdapterSpec, ColumnDef, Paging, TableSpec
from unify.config.secrets import Secret
from unify.errors import ConfigError


class TableSource:
    """One table of a spec, made ready for a connection: what all its scopes share.

    Raises  ConfigError for a column that would store a secret.
    """

    def __init__(
        self, connection: str, spec: AdapterSpec, table: TableSpec, options: Mapping[str, Any]
    ) -> None:
        self.name = f"{connection}.{table.name}"
        asked = _request_variants(table, options)
        table = asked[0]
        self.table = _resolve_start(table, options)
        self.options = options
        self.paging = table.paging or spec.paging
        self.error_rules = (*table.errors, *spec.errors)
        # Skipped is a request without rows; a later page that is missing is a page that could not be had.
        self.later_page_error_rules = tuple(
            replace(rule, action="fail") if rule.action == "skip" else rule for rule in self.error_rules
        )
        self._request_builders = [RequestBuilder(spec, each, options, self.paging) for each in asked]
        self.request_builder = self._request_builders[0]
        self.paging_state = PagingState()
        self.reported_paging: Paging | None = None
        self.computed_columns = tuple(column for column in table.columns if _is_computed(column))
        self._selector = _record_selector(table)
        self._reject_stored_secrets()

    def _reject_stored_secrets(self) -> None:
        for column in self.computed_columns:
            for name in template.variable_names(column.source or ""):
                if isinstance(self.options.get(name), Secret):
                    raise ConfigError(f"{self.name}: column {column.name} would store the secret {{{name}}}")

    def switch_to_fallback(self, request_builder: RequestBuilder) -> bool:
        """Whether there is another request where ``request_builder`` found nothing; it is used from then on."""
        if request_builder is self.request_builder and request_builder is not self._request_builders[-1]:
            self.request_builder = self._request_builders[self._request_builders.index(request_builder) + 1]
        return request_builder is not self.request_builder

    @cached_property
    def cursor_column(self) -> str | None:
        """Where the incremental cursor is in a row: a dotted path if the spec renames the column."""
        incremental = self.table.incremental
        if incremental is None:
            return None
        renamed = (column.source for column in self.table.columns if column.name == incremental.cursor)
        return next(renamed, None) or incremental.cursor

    def parse_response(self, response: Response) -> ResponseBody:
        """Split an answer; where its rows were is where those of all other pages are."""
        kind = response.headers.get("content-type", "")
        envelope = parse_body(response.body, kind, self._selector, response.request_line)
        if self._selector.path is None and self.table.format == "json" and envelope.is_certain:
            single = not envelope.rows_path and not envelope.is_list
            self._selector = RecordSelector(
                envelope.rows_path, "json", self.table.name, envelope.is_list, expect_object=single
            )
        if self.table.inherited_columns and envelope.rows_path:
            envelope.add_inherited_columns(self.table.inherited_columns)
        return envelope


def _request_variants(table: TableSpec, options: Mapping[str, Any]) -> Sequence[TableSpec]:
    """``table`` with each of its requests whose options all have a value, in order; else with the last."""
    requests = (f"{table.method} {table.path}", *table.fallback_requests)
    complete = [
        one
        for one in requests
        if not any(_is_unset_option(name, options) for name in template.variable_names(one))
    ]
    parted = [one.partition(" ") for one in complete or requests[-1:]]
    return [replace(table, method=method, path=path) for method, _, path in parted]


def _is_unset_option(name: str, options: Mapping[str, Any]) -> bool:
    """Whether ``name`` is an option without a value."""
    return name in options and options[name] in (None, "")


def _resolve_start(table: TableSpec, options: Mapping[str, Any]) -> TableSpec:
    """``table`` with the options in ``incremental.start`` filled in; without a value there is no start."""
    incremental = table.incremental
    if incremental is None or not template.variable_names(incremental.start or ""):
        return table
    start = incremental.start if template.has_values(incremental.start, options) else None
    filled = None if start is None else template.render_text(start, options, "plain")
    return replace(table, incremental=replace(incremental, start=filled))


def _record_selector(table: TableSpec) -> RecordSelector:
    """A body that is the row itself, asked for by its parent's id, may be null: then there is none."""
    maybe = table.rows == "$" and table.for_each is not None
    return RecordSelector(table.rows, table.format, table.name, nullable=maybe)


def _is_computed(column: ColumnDef) -> bool:
    source = column.source or ""
    return source.startswith("$") or bool(template.variable_names(source))


class RecordFilter:
    """Keeps the rows that ``where`` asks for; with no condition in force every row, undecoded."""

    def __init__(self, where: Mapping[str, Sequence[str]], variables: template.Variables) -> None:
        self._conditions = [
            (path.split("."), wanted)
            for path, texts in where.items()
            if (
                wanted := {
                    _fold_case(template.render_text(text, variables, "plain"))
                    for text in _active_texts(texts, variables)
                }
            )
        ]

    def filter_rows(self, rows: Sequence[bytes]) -> Sequence[bytes]:
        """The wanted ones of ``rows``, each one JSON value, in their order."""
        if not self._conditions:
            return rows
        return [row for row in rows if self._matches(msgspec.json.decode(row))]

    def _matches(self, row: object) -> bool:
        return all(_fold_case(_member_value(row, steps)) in wanted for steps, wanted in self._conditions)


def _active_texts(texts: Sequence[str], variables: template.Variables) -> list[str]:
    """The texts all of whose variables have a value; an option given as nothing has none."""
    return [
        text
        for text in texts
        if template.has_values(text, variables) and template.render_text(text, variables, "plain") != ""
    ]


def _member_value(row: object, steps: Sequence[str]) -> object:
    for step in steps:
        row = row.get(step) if isinstance(row, dict) else None
    return row


def _fold_case(value: object) -> str | None:
    """``value`` as it is compared: text without regard to case, numbers and booleans as JSON writes them."""
    if value is None or isinstance(value, str):
        return value.casefold() if value is not None else None
    return msgspec.json.encode(value).decode().casefold()
