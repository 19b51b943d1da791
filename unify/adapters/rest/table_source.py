"""A table of a spec prepared for a connection; the filter of its ``where``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

import msgspec
from msgspec.structs import replace

from unify.adapters.formats.body import RecordSelector, ResponseBody
from unify.adapters.formats.records import parse_body
from unify.adapters.http.messages import Response
from unify.adapters.paging.base import PagingState, RequestTraits, missing_paths
from unify.adapters.rest.jobs.table_job import TableJob
from unify.adapters.rest.request_builder import RequestBuilder
from unify.adapters.rest.rows.row_expressions import RowExpressions
from unify.adapters.spec import template
from unify.adapters.spec.model import AdapterSpec, TableSpec
from unify.adapters.spec.paging import Paging
from unify.adapters.spec.table_keys import ColumnDef
from unify.config.secrets import Secret
from unify.durations import parse_duration
from unify.errors import BadResponse, ConfigError, SpecError


class TableSource:
    """A table of a spec prepared for a connection, with what its responses have shown. All scopes share it.

    Raises:
        ConfigError: a column would store a secret.
    """

    def __init__(
        self, connection: str, spec: AdapterSpec, table: TableSpec, options: Mapping[str, Any]
    ) -> None:
        self.name = f"{connection}.{table.name}"
        self._variants = _request_variants(table, options)
        table = self._variants[0]
        self.table = _resolve_incremental(table, options, self.name)
        self.options = options
        self.paging = table.paging or spec.paging
        self.error_rules = (*table.errors, *spec.errors)
        # skip: a request without rows. A later page that is missing may be the end of the pages, or an error.
        self.later_page_error_rules = tuple(
            replace(rule, action="end" if rule.status in _NO_PAGE else "fail")
            if rule.action == "skip"
            else rule
            for rule in self.error_rules
        )
        self._request_builders = [RequestBuilder(spec, each, options, self.paging) for each in self._variants]
        self.request_builder = self._request_builders[0]
        self.job = TableJob(table.job, spec, options) if table.job is not None else None
        self.paging_state = PagingState(has_key=bool(table.key), request=_request_traits(table))
        self.reported_paging: Paging | None = None
        self.detected_pagings: dict[str, None] = {}  # as text
        self.expressions = RowExpressions(table)
        self.computed_columns = tuple(column for column in table.columns if _is_computed(column))
        self._selector = _record_selector(table)
        self._spec = spec
        self._located = False
        self.rows_location = ""  # of the rows in the bodies: ``list items``, ``object $``
        self.repairs: Counter[str] = Counter()
        self.side_lists: dict[str, None] = {}
        self._reject_stored_secrets()

    def _reject_stored_secrets(self) -> None:
        for column in self.computed_columns:
            for name in template.variable_names(column.source or ""):
                if isinstance(self.options.get(name), Secret):
                    raise ConfigError(f"{self.name}: column {column.name} would store the secret {{{name}}}")

    def switch_to_fallback(self, request_builder: RequestBuilder) -> bool:
        """Use the request after ``request_builder`` from now on; False if it was the last one."""
        if request_builder is self.request_builder and request_builder is not self._request_builders[-1]:
            self.request_builder = self._request_builders[self._request_builders.index(request_builder) + 1]
        return request_builder is not self.request_builder

    @cached_property
    def cursor_column(self) -> str | None:
        """The path of the incremental cursor in a row."""
        incremental = self.table.incremental
        if incremental is None:
            return None
        renamed = (column.source for column in self.table.columns if column.name == incremental.cursor)
        return next(renamed, None) or incremental.cursor

    def comparable_cursor(self, text: str | None) -> str | None:
        """Return a cursor of a row as an ISO 8601 text if its column declares a strftime format."""
        name = self.table.incremental.cursor if self.table.incremental is not None else ""
        pattern = next((column.format for column in self.table.columns if column.name == name), None)
        if text is None or pattern is None or "%" not in pattern:
            return text
        try:
            return datetime.strptime(text, pattern).isoformat()
        except ValueError:
            return text  # the load discards this row

    def use_paging(self, paging: Paging) -> None:
        """Build requests for the detected ``paging``, if its values do not go into the query."""
        if paging.location == self.paging.location:
            return
        index = self._request_builders.index(self.request_builder)
        self._request_builders = [
            RequestBuilder(self._spec, each, self.options, paging) for each in self._variants
        ]
        self.request_builder = self._request_builders[index]

    @property
    def _next_page_paths(self) -> tuple[str, ...]:
        paging = self.paging
        return tuple(filter(None, (paging.cursor_path, paging.path, paging.more_path, paging.last_path)))

    def rows_text(self) -> str:
        """Return the place of the rows in a response, for a user."""
        found = self.rows_location.partition(" ")[2]
        return self.table.rows or (f"{found}, detected" if found else "detected in the first response")

    def expect_rows(self, location: str) -> None:
        """Search the rows where earlier loads found them: ``list items``."""
        kind, _, path = location.partition(" ")
        if not kind or self._located or self.table.format != "json":
            return
        if self.table.rows is not None and self._selector.dotted_path != path.removeprefix("$"):
            return  # the spec has changed
        self._located, self.rows_location = True, location
        if self.table.rows is None:
            self._selector = replace(self._selector, path=path.removesuffix("$"), **_expectation(kind, path))
        else:
            self._selector = replace(self._selector, seen_as=kind)

    def parse_response(self, response: Response, *, is_first: bool = False) -> ResponseBody:
        """Split a response; all further pages have their rows where this one has them.

        ``is_first``  of its scope: then a body without a value means that the parent has no rows. Without
                      parents it is an error, because it would leave the table empty.
        """
        content_type = response.headers.get("content-type", "")
        selector = self._selector
        if is_first and self.table.for_each is not None:
            selector = replace(selector, may_be_empty=True)
        body = parse_body(response.body, content_type, selector, response.request_line)
        self.repairs.update(body.repairs)
        self.side_lists.update(dict.fromkeys(body.side_lists))
        if not self._located and self.table.format == "json" and body.is_certain and body.rows_kind:
            self._located = True
            self.rows_location = f"{body.rows_kind} {body.rows_path or '$'}"
            if self.table.rows is None:
                expected = _expectation(body.rows_kind, body.rows_path or "$")
                self._selector = replace(self._selector, path=body.rows_path, **expected)
            else:
                self._selector = replace(self._selector, seen_as=body.rows_kind)
        if self.paging.type != "none" and (cut := body.find_cut_list(self._next_page_paths)):
            raise BadResponse(
                f"{response.request_line}: an object around the rows has {cut}, so that its list is not "
                "complete; request the rows of each object with for_each, or set paging.type: none"
            )
        if is_first and self.table.rows is None and (cut := body.find_cut_member()):
            self.paging_state.notes[f"a list within the rows is not complete: {cut}"] = None
        if self.table.inherited_columns and body.rows_path:
            body.add_inherited_columns(self.table.inherited_columns)
        return body

    def ends_pages(self, status: int) -> bool:
        """Whether a rule of the spec says that a response of this status is the end of the pages."""
        return any(rule.action == "end" and rule.status in (status, None) for rule in self.error_rules)

    def skip_ends_pages(self, status: int) -> bool:
        """Whether ``skip`` may be the end of numbered pages, because nothing else says where that is."""
        paging = self.paging_state.detected or self.paging
        ends = (paging.total_path, paging.pages_path, paging.total_header, paging.more_path, paging.last_path)
        return status in _NO_PAGE and not any(ends)

    def export_state(self) -> str:
        """Return what the responses have shown so far, for ``restore_state`` of a later read."""
        paging = self.paging_state
        state = _SourceState(
            paging.honours_size,
            paging.knows_param,
            paging.detected,
            sorted(paging.seen_paths),
            list(paging.notes),
            self.rows_location,
            list(self.side_lists),
            list(self.detected_pagings),
            paging.total_path,
            paging.has_short_pages,
        )
        return msgspec.json.encode(state).decode()

    def restore_state(self, text: str, repairs: Mapping[str, int]) -> None:
        """Continue with what an earlier read has been shown."""
        self.repairs.update(repairs)
        if not text:
            return
        state = msgspec.json.decode(text, type=_SourceState)
        self.paging_state.honours_size |= state.honours_size
        self.paging_state.knows_param |= state.knows_param
        self.paging_state.has_short_pages |= state.has_short_pages
        self.paging_state.detected = state.detected
        self.paging_state.total_path = state.total_path
        self.paging_state.seen_paths.update(state.seen_paths)
        self.paging_state.notes.update(dict.fromkeys(state.notes))
        self.side_lists.update(dict.fromkeys(state.side_lists))
        self.detected_pagings.update(dict.fromkeys(state.detected_pagings))
        self.expect_rows(state.rows_location)

    def load_notes(self) -> list[str]:
        """Return notes for the user about how the responses were read."""
        notes = [f"{text}: {count}" for text, count in sorted(self.repairs.items())]
        if self.side_lists and self.table.rows is None:
            rows = self.rows_location.partition(" ")[2]
            notes.append(f"rows: {rows}; the response has other lists, too: {', '.join(self.side_lists)}")
        paging = self.paging
        if paging.type != "auto":
            missing = ", ".join(missing_paths(paging, self.paging_state))
            notes += [f"in no response: {missing}"] if missing else []
        if self.expressions.missing_columns:
            notes.append(f"in no row, but in SQL of the spec: {', '.join(self.expressions.missing_columns)}")
        return [*notes, *self.paging_state.notes]


_NO_PAGE = (404, 410, 416)  # statuses of a page after the last one


class _SourceState(msgspec.Struct, frozen=True, array_like=True):
    """See ``PagingState`` and ``TableSource``."""

    honours_size: bool
    knows_param: bool
    detected: Paging | None
    seen_paths: list[str]
    notes: list[str]
    rows_location: str
    side_lists: list[str]
    detected_pagings: list[str]
    total_path: str | None
    has_short_pages: bool = False


def _expectation(kind: str, path: str) -> dict[str, Any]:
    """The fields of RecordSelector for later bodies."""
    at_top = path in ("", "$")
    return {
        "seen_as": kind,
        "is_detected": True,
        "expect_list": at_top and kind == "list",
        "expect_object": at_top and kind == "object",
    }


def _request_traits(table: TableSpec) -> RequestTraits:
    query = table.body.get("query") if isinstance(table.body, dict) else None
    declared = re.findall(r"\$(\w+)\s*:", query) if isinstance(query, str) else []
    constant = {
        name: value
        for name, value in {**table.params, **(table.body if isinstance(table.body, dict) else {})}.items()
        if isinstance(value, int | str) and not template.variable_names(str(value))
    }
    return RequestTraits(
        table.method != "GET" and (table.body is not None or table.form is not None),
        constant,
        tuple(declared),
        table.name,
    )


def _request_variants(table: TableSpec, options: Mapping[str, Any]) -> Sequence[TableSpec]:
    """``table`` with each of its requests whose options have values, in order; else with the last one."""
    complete = [
        request
        for request in table.requests
        if not any(_is_unset_option(name, options) for name in template.variable_names(request))
    ]
    return [replace(table, requests=(request,)) for request in complete or table.requests[-1:]]


def _is_unset_option(name: str, options: Mapping[str, Any]) -> bool:
    """Whether ``name`` is an option without a value."""
    return name in options and options[name] in (None, "")


def _resolve_incremental(table: TableSpec, options: Mapping[str, Any], name: str) -> TableSpec:
    """``table`` with the options in ``incremental`` filled in; a start or end without values is none.

    Raises:
        ConfigError: an option is no duration.
    """
    incremental = table.incremental
    if incremental is None:
        return table
    changes: dict[str, Any] = {
        key: template.render_text(text, options, "plain") if template.has_values(text, options) else None
        for key in ("start", "end")
        if (text := getattr(incremental, key)) is not None and template.variable_names(text)
    }
    for key, text in incremental.durations.items():
        try:
            changes[f"{key}_s"] = parse_duration(template.render_text(text, options, "plain"))
        except (SpecError, ValueError) as error:
            raise ConfigError(f"{name}: incremental.{key}: {error}") from error
    return replace(table, incremental=replace(incremental, **changes)) if changes else table


def _record_selector(table: TableSpec) -> RecordSelector:
    return RecordSelector(
        table.rows,
        table.format,
        table.name,
        nullable=table.rows == "$" and table.for_each is not None,  # the row of a parent may be missing
        more_paths=table.more_rows,
        rows_name=table.rows_name,
        names_path=table.names,
        positions=frozenset(
            int(each.source) for each in table.columns if each.source and each.source.isdigit()
        ),
        csv=table.csv,
    )


def _is_computed(column: ColumnDef) -> bool:
    source = column.source or ""
    return source.startswith("$") or bool(template.variable_names(source))
