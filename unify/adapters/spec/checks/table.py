"""Checks that the keys of a table are consistent, and that the variables in texts exist."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from datetime import datetime
from urllib.parse import urlsplit

from unify.adapters.spec import template
from unify.adapters.spec.checks.job import job_texts, validate_job
from unify.adapters.spec.checks.values import (
    validate_distinct_names,
    validate_error_rules,
    validate_variables,
)
from unify.adapters.spec.expressions import parse_expression
from unify.adapters.spec.formats import NUMBER_FORMATS
from unify.adapters.spec.model import AdapterSpec, TableSpec
from unify.adapters.spec.moments import parse_age
from unify.adapters.spec.paging import Paging
from unify.adapters.spec.parse import ProblemReport
from unify.adapters.spec.table_keys import DETECTED_CSV, ColumnDef, ForEach
from unify.config.yaml import NodePath

_NUMBER = re.compile(r"[0-9]+([.][0-9]+)?")
_NUMBER_TYPES = frozenset(
    [
        *("tinyint", "smallint", "integer", "int", "bigint", "utinyint", "usmallint", "uinteger", "ubigint"),
        *("float", "real", "double", "decimal", "numeric"),
    ]
)
_DAY_S = 86_400.0
_DAY_TYPES = frozenset(["date", "timestamp", "timestamptz", "timestamp with time zone"])
_TIME_TYPES = frozenset(
    ["varchar", "text", "string", "date", "time", "timestamp", "timestamptz", "timestamp with time zone"]
)


class TableValidator:
    """Reports the inconsistencies of the table at ``path`` of a spec."""

    def __init__(self, table: TableSpec, spec: AdapterSpec, path: NodePath, report: ProblemReport) -> None:
        self._table = table
        self._spec = spec
        self._path = path
        self._report = report
        self._paging = table.paging or spec.paging
        self._options = {option.name for option in spec.options}
        self._request = {
            "request": table.requests,
            "params": table.params,
            "headers": table.headers,
            "body": table.body,
            "form": table.form,
        }
        self._job_texts = job_texts(table.job)

    def validate(self) -> None:
        known = self._known_variables()
        values = set(self._table.job.values) if self._table.job is not None else set()
        for key, value in self._request.items():
            self._validate_variables(value, known and known | values, key)
        validate_job(self._table, known, self._path, self._report)
        self._validate_variables(self._table.where, self._options, "where")
        if self._table.condition is not None:
            self._validate_expression(self._table.condition, known, "where")
        self._validate_format()
        self._validate_body()
        self._validate_for_each()
        self._validate_columns(known and known | values)
        self._validate_kept_columns()
        self._validate_paging()
        self._validate_incremental()
        self._validate_refresh()
        self._validate_filters()
        validate_error_rules(self._table.errors, self._path, self._report)
        self._validate_origin()

    def _add(self, text: str, *steps: str) -> None:
        self._report.add_problem((*self._path, *steps), text)

    def _validate_variables(self, value: object, known: set[str] | None, *steps: str) -> None:
        is_body = steps == ("body",)
        validate_variables(value, (*self._path, *steps), known, self._report, body=is_body)

    def _known_variables(self) -> set[str] | None:
        """The variables of the request; None if the columns of ``for_each`` are not known."""
        known = self._options | {template.NOW_VARIABLE} | {each.column for each in self._table.filters}
        for_each = self._table.for_each or ForEach(columns=())
        for name in sorted(known & set(for_each.columns or ())):
            self._add(f"{name} is an option and a column of for_each; rename the column", "for_each")
        incremental = self._table.incremental
        if incremental is not None:
            known |= {"cursor", "until"}
        if self._paging.location != "query":
            names = _position_params(self._paging) | {self._paging.size_param or ""}
            if "cursor" in names & known:
                self._add("{cursor} is the cursor of incremental; use another cursor_param", "paging")
            known |= names - {""}
        return None if for_each.columns is None else known | set(for_each.columns)

    def _validate_format(self) -> None:
        format_, rows = self._table.format, self._table.rows
        if format_ == "xml" and (rows or "$") == "$":
            self._add(
                "xml requires rows: the path of the repeated element below the root, such as channel.item",
                "format",
            )
        if format_ in ("csv", "jsonl") and rows is not None:
            self._add(f"not allowed with format {format_}: each line is a row", "rows")
        if format_ != "csv" and self._table.csv != DETECTED_CSV:
            self._add(f"not allowed with format {format_}", "csv")

    def _validate_body(self) -> None:
        for key, value in (("body", self._table.body), ("form", self._table.form)):
            if value is not None and not self._table.sends_body:
                self._add("a GET request has no body; use POST /…, or set body_of_get: true", key)
        if self._table.body is not None and self._table.form is not None:
            self._add("expected body or form, not both", "form")

    def _validate_for_each(self) -> None:
        """Each row of ``for_each`` sends a request of its own; a batch of rows has no common values."""
        each = self._table.for_each
        if each is None or not each.columns:
            return
        columns = set(each.columns)
        if (
            not columns & _variables_in([*self._request.values(), *self._job_texts])
            and self._table.live is None
        ):
            names = ", ".join(f"{{{name}}}" for name in each.columns)
            self._add(f"the request uses none of {names}: every row would send the same request", "for_each")
        if each.batch is None:
            return
        if len(columns) > 1:
            self._add("a batch requires a for_each with one column", "for_each", "batch")
        for column in self._table.columns:
            if columns & set(template.variable_names(column.source or "")):
                text = "a batch has many values; use a path in the response"
                self._add(text, "columns", column.name, "from")

    def _validate_columns(self, known: set[str] | None) -> None:
        secrets = {option.name for option in self._spec.options if option.secret}
        names = [column.name for column in self._table.columns]
        validate_distinct_names(names, "column", (*self._path, "columns"), self._report)
        for column in self._table.columns:
            source = column.source or ""
            self._validate_variables(source, known, "columns", column.name, "from")
            if secrets & set(template.variable_names(source)):
                self._add("a secret option cannot be stored in a table", "columns", column.name, "from")
            self._validate_column_format(column)
            self._validate_computed_column(column, known, secrets)

    def _validate_computed_column(self, column: ColumnDef, known: set[str] | None, secrets: set[str]) -> None:
        given = [key for key in ("source", "sql", "value") if getattr(column, key) is not None]
        if len(given) > 1:
            self._add("expected one of from, sql and value", "columns", column.name)
        if isinstance(column.value, dict | list):
            self._add("expected a text, a number, true or false", "columns", column.name, "value")
        if column.sql is not None:
            self._validate_expression(column.sql, known, "columns", column.name, "sql")
            if secrets & set(template.variable_names(column.sql)):
                self._add("a secret option cannot be stored in a table", "columns", column.name, "sql")

    def _validate_expression(self, text: str, known: set[str] | None, *steps: str) -> None:
        try:
            variables = parse_expression(text).variables
        except ValueError as error:
            self._add(str(error), *steps)
            return
        for name in variables:
            self._validate_variables(f"{{{name}}}", known, *steps)

    def _validate_column_format(self, column: ColumnDef) -> None:
        if column.format is None or column.type is None:
            return
        base = "" if column.type.endswith("]") else column.type.lower().partition("(")[0].strip()
        is_number_format = column.format in NUMBER_FORMATS
        if base not in (_NUMBER_TYPES if is_number_format else _TIME_TYPES):
            kind = "number" if is_number_format else "timestamp"
            text = f"{column.format!r} is a {kind} format and does not apply to {column.type}"
            self._add(text, "columns", column.name, "format")
        elif base in _DAY_TYPES and "%" in column.format and not _has_directive(column.format, "dDjUWuxcsG"):
            text = f"{column.format!r} has no day, which a {base} needs"
            self._add(text, "columns", column.name, "format")

    def _validate_kept_columns(self) -> None:
        """``exclude`` and ``only`` keep the columns that the table requires."""
        table = self._table
        required: dict[str, tuple[str, ...]] = dict.fromkeys(table.key, ("key",))
        if table.incremental is not None:
            required.setdefault(table.incremental.cursor, ("incremental", "cursor"))
        for name, steps in required.items():
            if _matches_any(name, table.exclude):
                self._add(f"exclude removes the column {name}", *steps)
            elif table.only and name and not _matches_any(name, table.only):
                self._add(f"only does not keep the column {name}", *steps)

    def _validate_paging(self) -> None:
        paging, own = self._paging, self._table.paging is not None
        if own or self._path == ("tables", 0):  # the adapter's paging is reported once
            path = (*self._path, "paging") if own else ("paging",)
            for problem in _paging_problems(paging):
                self._report.add_problem(path, problem)
        if not own:
            return
        if paging.location == "body" and not self._table.sends_body:
            text = "a GET request has no body; use POST /…, set body_of_get: true, or remove this key"
            self._add(text, "paging", "in")
        names = _position_params(paging)
        if paging.location == "path" and not names & _variables_in(self._table.request_paths):
            missing = ", ".join(f"{{{name}}}" for name in sorted(names)) or "a variable of the page"
            self._add(f"the path of the request does not contain {missing}", "paging", "in")

    def _validate_incremental(self) -> None:
        incremental = self._table.incremental
        if incremental is None:
            return
        used = _variables_in([*self._request.values(), *self._job_texts])
        if incremental.param and "cursor" in used:
            self._add("expected param or {cursor} in the request, not both", "incremental", "param")
        if not incremental.param and "cursor" not in used and incremental.order != "desc":
            self._add(
                "the request does not send the cursor: set param, use {cursor} in params, or set order: desc",
                "incremental",
            )
        if incremental.window_s is not None and "until" not in used:
            self._add("a window requires {until} in params or body", "incremental", "window")
        if incremental.window_s is not None and incremental.start is None:
            self._add("a window requires start", "incremental", "window")
        is_date = incremental.format == "date" or (
            "%" in (incremental.format or "") and not _has_directive(incremental.format or "", "HIXTcsk")
        )
        if incremental.window_s is not None and incremental.window_s < _DAY_S and is_date:
            text = f"a window of less than a day requires a format with a time, not {incremental.format}"
            self._add(text, "incremental", "window")
        if incremental.gap_s and incremental.window_s is None:
            self._add("a gap requires a window", "incremental", "gap")
        for key, text in incremental.durations.items():
            self._validate_variables(text, self._options, "incremental", key)
        for key in ("start", "end"):
            self._validate_moment(key, getattr(incremental, key) or "", incremental.format)

    def _validate_moment(self, key: str, moment: str, time_format: str | None) -> None:
        self._validate_variables(moment, self._options, "incremental", key)
        if (
            moment
            and not template.variable_names(moment)
            and time_format in (None, "iso8601", "date")
            and not _is_timestamp_or_number(moment)
            and parse_age(moment) is None
        ):
            text = (
                f"{moment!r} is not a timestamp, such as 2015-01-01T00:00:00Z, or an age, such as 30 days ago"
            )
            self._add(text, "incremental", key)

    def _validate_refresh(self) -> None:
        table, strategy = self._table, self._table.refresh.strategy
        if strategy in ("merge", "merge_delete") and not table.key:
            self._add(f"{strategy} requires a key", "refresh", "strategy")
        if strategy == "merge_delete" and table.incremental is not None:
            self._add("merge_delete reads every row: not allowed with incremental", "refresh", "strategy")
        if strategy == "append" and table.incremental is None:
            text = "append requires incremental: otherwise each refresh adds every row again"
            self._add(text, "refresh", "strategy")
        is_partial = table.incremental is not None and strategy in (None, "append", "merge")
        if table.refresh.reload_s is not None and not is_partial:
            self._add("every refresh of this table reads everything", "refresh", "reload")
        if table.deleted is not None and not table.key:
            self._add("requires a key", "deleted")
        self._validate_deleted_request()
        for path in table.deleted.where if table.deleted is not None else ():
            if _matches_any(path, table.exclude) or _matches_any(path.replace(".", "_"), table.exclude):
                self._add("exclude removes this column; loads need it", "deleted", "where", path)
        is_refreshed = strategy or table.refresh.every_s or table.refresh.shrink != "hold"
        if table.live is not None and (is_refreshed or table.incremental):
            self._add("a live table is not stored: not allowed with refresh or incremental", "live")
        for each in table.filters:
            if each.required and table.live is None:
                self._add("only a live table can require a filter", "filters", each.column, "required")

    def _validate_deleted_request(self) -> None:
        table, deleted = self._table, self._table.deleted
        if deleted is None:
            return
        if not deleted.where and deleted.request is None:
            self._add("expected where or request", "deleted")
        if deleted.request is not None and table.incremental is None:
            self._add("requires incremental: any other load reads every row", "deleted", "request")
        if deleted.key and len(deleted.key) != len(table.key):
            self._add("expected a path for each column of the table's key", "deleted", "key")
        for key in ("request", "params"):
            value = getattr(deleted, key)
            if value is not None:
                self._validate_variables(value, self._known_variables(), "deleted", key)

    def _validate_filters(self) -> None:
        """Each filter can be sent: one parameter has one comparison, and paging has its own parameters."""
        paging_params = _position_params(self._paging) | {self._paging.size_param}
        for each in self._table.filters:
            ops = set(each.ops)
            if ops & {">", ">="} and ops & {"<", "<="}:
                text = (
                    "one parameter cannot express both ends of a range; "
                    'write param: {">=": since, "<=": until}'
                )
                self._add(text, "filters", each.column, "ops")
            if "like" in ops and each.format is not None:
                self._add("like compares texts: not allowed with format", "filters", each.column, "format")
            if each.param in paging_params:
                self._add(f"{each.param} is a parameter of paging", "filters", each.column, "param")

    def _validate_origin(self) -> None:
        """A full URL has the origin of the base URL, or an allowed one."""
        base = urlsplit(self._spec.base_url)
        if template.variable_names(self._spec.base_url):
            return
        for target in map(urlsplit, self._table.request_paths):
            origin = f"{target.scheme}://{target.netloc}"
            is_same = (target.scheme, target.netloc) == (base.scheme, base.netloc)
            known = (*self._spec.allowed_origins, *self._spec.credential_origins)
            if target.scheme and not is_same and origin not in known:
                home = f"{base.scheme}://{base.netloc}"
                self._add(f"{origin} is not the origin of base_url ({home}) or allowed", "request")


def _has_directive(time_format: str, letters: str) -> bool:
    """Whether a strftime format has one of the directives."""
    return any(each in letters for each in re.findall(r"%[-_0^#]?([A-Za-z])", time_format))


def _matches_any(name: str, globs: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name.lower(), glob.lower()) for glob in globs)


def _position_params(paging: Paging) -> set[str]:
    """The parameter that changes from page to page."""
    names = {"page": paging.page_param, "offset": paging.offset_param, "cursor": paging.cursor_param}
    return {names[paging.type]} if paging.type in names else set()


def _paging_problems(paging: Paging) -> list[str]:
    problems = []
    if paging.size_param and paging.size is None:
        problems.append("size_param requires size")
    if paging.short_page is not None and (paging.size_param is None or paging.until_empty):
        problems.append("short_page requires size_param and size, and not until_empty")
    if paging.type == "cursor" and not _is_one_given(
        paging.cursor_path, paging.cursor_column, paging.cursor_header
    ):
        problems.append("expected one of cursor_path, cursor_column and cursor_header")
    if paging.type == "next_url" and not _is_one_given(paging.path, paging.header):
        problems.append("expected one of path and header")
    return problems


def _is_one_given(*values: str | None) -> bool:
    return sum(value is not None for value in values) == 1


def _is_timestamp_or_number(text: str) -> bool:
    if _NUMBER.fullmatch(text):
        return True
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _variables_in(value: object) -> set[str]:
    return set(template.variable_names_in(value))
