"""Whether the parts of one table fit together: what its keys, each right for itself, cannot tell.

Which variables the texts of a spec may hold, and where.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from datetime import datetime
from urllib.parse import urlsplit

from unify.adapters.spec import formats, template
from unify.adapters.spec.formats import NUMBER_FORMATS
from unify.adapters.spec.model import (
    DETECTED_CSV,
    AdapterSpec,
    ColumnDef,
    ErrorRule,
    ForEach,
    Incremental,
    Paging,
    TableSpec,
)
from unify.adapters.spec.parse import ProblemReport
from unify.config.yaml import NodePath
from unify.text import did_you_mean

_NUMBER = re.compile(r"[0-9]+([.][0-9]+)?")
_NUMBER_TYPES = frozenset(
    [
        *("tinyint", "smallint", "integer", "int", "bigint", "utinyint", "usmallint", "uinteger", "ubigint"),
        *("float", "real", "double", "decimal", "numeric"),
    ]
)
_TEXT_TYPES = frozenset(["varchar", "text", "string", "date", "time", "timestamp", "timestamptz"]) | {
    "timestamp with time zone"
}


def validate_table(table: TableSpec, spec: AdapterSpec, key_path: NodePath, report: ProblemReport) -> None:
    if table.format == "xml" and (table.rows or "$") == "$":
        report.add_problem(
            (*key_path, "format"),
            "xml needs rows: where its repeated element is below the root, such as channel.item",
        )
    paging = table.paging or spec.paging
    known = known_variables(table, spec, paging, key_path, report)
    for path in table.request_paths:
        validate_variables(path, (*key_path, "request"), known, report)
    validate_variables(dict(table.params), (*key_path, "params"), known, report)
    validate_variables(dict(table.headers), (*key_path, "headers"), known, report)
    validate_variables(table.body, (*key_path, "body"), known, report, body=True)
    validate_variables(dict(table.form or {}), (*key_path, "form"), known, report)
    validate_variables(
        dict(table.where), (*key_path, "where"), {option.name for option in spec.options}, report
    )
    _validate_body(table, key_path, report)
    _validate_rows(table, key_path, report)
    _validate_for_each(table, (*key_path, "for_each"), report)
    _validate_columns(table, spec, known, key_path, report)
    _validate_paging(spec.paging if table.paging is None else table.paging, table, key_path, report)
    if table.incremental is not None:
        _validate_incremental(table, table.incremental, spec, (*key_path, "incremental"), report)
    _validate_refresh(table, key_path, report)
    validate_error_rules(table.errors, key_path, report)
    _validate_origin(table, spec, key_path, report)


def _validate_body(table: TableSpec, key_path: NodePath, report: ProblemReport) -> None:
    for key, value in (("body", table.body), ("form", table.form)):
        if value is not None and table.method == "GET":
            report.add_problem((*key_path, key), "a GET has no body; write the request as POST /…")
    if table.body is not None and table.form is not None:
        report.add_problem((*key_path, "form"), "expected body or form, not both")


def _validate_rows(table: TableSpec, key_path: NodePath, report: ProblemReport) -> None:
    if table.format in ("csv", "jsonl") and table.rows is not None:
        report.add_problem(
            (*key_path, "rows"), f"has no meaning with format {table.format}: its lines are the rows"
        )
    if table.format != "csv" and table.csv != DETECTED_CSV:
        report.add_problem((*key_path, "csv"), f"has no meaning with format {table.format}")


def _validate_for_each(table: TableSpec, key_path: NodePath, report: ProblemReport) -> None:
    """Every row of ``for_each`` asks for something of its own, and of a batch nobody says whose a row is."""
    each = table.for_each
    if each is None or not each.columns:
        return
    texts = [
        *table.request_paths,
        dict(table.params),
        dict(table.headers),
        table.body,
        dict(table.form or {}),
    ]
    asked = set(template.variable_names_in(texts))
    stored = {column.name: set(template.variable_names(column.source or "")) for column in table.columns}
    if not asked & set(each.columns) and table.live is None:
        named = ", ".join(f"{{{name}}}" for name in each.columns)
        report.add_problem(
            key_path, f"the request holds none of {named}, so that each row would ask for the same"
        )
    if each.batch is None:
        return
    if len(each.columns) > 1:
        report.add_problem((*key_path, "batch"), "a batch joins the values of one column; for_each has more")
    for name in (name for name, used in stored.items() if used & set(each.columns)):
        report.add_problem(
            (*key_path[:-1], "columns", name, "from"),
            "a batch has many values; take the column from the answer",
        )


def _validate_columns(
    table: TableSpec, spec: AdapterSpec, known: set[str] | None, key_path: NodePath, report: ProblemReport
) -> None:
    secret = {option.name for option in spec.options if option.secret}
    validate_distinct_names(
        [column.name for column in table.columns], "column", (*key_path, "columns"), report
    )
    for column in table.columns:
        here = (*key_path, "columns", column.name, "from")
        validate_variables(column.source or "", here, known, report)
        if secret & set(template.variable_names(column.source or "")):
            report.add_problem(here, "a secret option is never stored in a table")
        _validate_column_format(column, (*key_path, "columns", column.name, "format"), report)
    needed = dict.fromkeys(table.key, (*key_path, "key"))
    if table.incremental is not None:
        needed.setdefault(table.incremental.cursor, (*key_path, "incremental", "cursor"))
    for name, here in needed.items():
        if _matches_any(name, table.exclude):
            report.add_problem(here, f"the column {name} is left out by exclude")
        elif table.only and name and not _matches_any(name, table.only):
            report.add_problem(here, f"the column {name} is not among only")


def _validate_column_format(column: ColumnDef, key_path: NodePath, report: ProblemReport) -> None:
    """A format of numbers goes with a number, one of moments with a moment, a date or a text."""
    if column.format is None or column.type is None:
        return
    base = "" if column.type.endswith("]") else column.type.lower().partition("(")[0].strip()
    of_numbers = column.format in NUMBER_FORMATS
    if of_numbers != (base in _NUMBER_TYPES) and not (base in _TEXT_TYPES and not of_numbers):
        kind = "numbers" if of_numbers else "moments"
        report.add_problem(
            key_path, f"{column.format!r} is a format of {kind}, which {column.type} does not hold"
        )


def _matches_any(name: str, globs: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name.lower(), glob.lower()) for glob in globs)


def _validate_paging(paging: Paging, table: TableSpec, key_path: NodePath, report: ProblemReport) -> None:
    here: NodePath = (*key_path, "paging") if table.paging is not None else ("paging",)
    if table.paging is None and key_path != ("tables", 0):
        return  # the adapter's paging is checked once
    if paging.size_param and paging.size is None:
        report.add_problem(here, "size_param needs a size")
    sources = [key for key in (paging.cursor_path, paging.cursor_column, paging.cursor_header) if key]
    if paging.type == "cursor" and len(sources) != 1:
        report.add_problem(here, "expected cursor_path, cursor_column or cursor_header, one of them")
    if paging.type == "next_url" and (paging.path is None) == (paging.header is None):
        report.add_problem(here, "expected path or header, one of them")
    if table.paging is None:
        return
    if paging.location == "body" and table.method == "GET":
        report.add_problem(
            (*here, "in"), "a GET has no body; write the request as POST /…, or leave this out"
        )
    if paging.location == "path" and not _position_params(paging) & set(
        template.variable_names_in(list(table.request_paths))
    ):
        named = ", ".join(f"{{{name}}}" for name in sorted(_position_params(paging))) or "a page's number"
        report.add_problem((*here, "in"), f"the path of the request has no place for {named}")


def _position_params(paging: Paging) -> set[str]:
    """The name of what leads from page to page."""
    names = {"page": paging.page_param, "offset": paging.offset_param, "cursor": paging.cursor_param}
    return {names[paging.type]} if paging.type in names else set()


def _validate_incremental(
    table: TableSpec, incremental: Incremental, spec: AdapterSpec, key_path: NodePath, report: ProblemReport
) -> None:
    used = set(
        template.variable_names_in([table.path, dict(table.params), table.body, dict(table.form or {})])
    )
    if incremental.param and "cursor" in used:
        report.add_problem((*key_path, "param"), "expected param or {cursor} in the request, not both")
    if not incremental.param and "cursor" not in used and incremental.order != "desc":
        report.add_problem(
            key_path,
            "nothing tells the API where to begin: give param, or {cursor} in params, or order: desc",
        )
    if incremental.window_s is not None and "until" not in used:
        report.add_problem(
            (*key_path, "window"), "a window needs {until} in params or body: where a slice ends"
        )
    if incremental.window_s is not None and incremental.start is None:
        report.add_problem((*key_path, "window"), "a window needs a start")
    start = incremental.start or ""
    validate_variables(start, (*key_path, "start"), {option.name for option in spec.options}, report)
    if start and not template.variable_names(start) and incremental.format in (None, "iso8601", "date"):
        _validate_timestamp(start, (*key_path, "start"), report)


def _validate_timestamp(text: str, key_path: NodePath, report: ProblemReport) -> None:
    """Or a number, where the cursor is a growing one."""
    if _NUMBER.fullmatch(text):
        return
    try:
        datetime.fromisoformat(text)
    except ValueError:
        report.add_problem(key_path, f"{text!r} is no moment; write it like 2015-01-01T00:00:00Z")


def _validate_refresh(table: TableSpec, key_path: NodePath, report: ProblemReport) -> None:
    here = (*key_path, "refresh", "strategy")
    strategy = table.refresh.strategy
    if strategy in ("merge", "merge_delete") and not table.key:
        report.add_problem(here, f"{strategy} needs a key")
    if strategy == "merge_delete" and table.incremental is not None:
        report.add_problem(here, "merge_delete has to see every row, so it does not go with incremental")
    if strategy == "append" and table.incremental is None:
        report.add_problem(here, "append needs incremental; without it every refresh would double the rows")
    if table.live is not None and (strategy or table.refresh.every_s or table.incremental):
        report.add_problem(
            (*key_path, "live"), "a live table is never stored, so refresh and incremental mean nothing"
        )
    for each in table.filters:
        if each.required and table.live is None:
            report.add_problem(
                (*key_path, "filters", each.column, "required"), "only a live table can require a filter"
            )


_SUCCESSES = range(200, 300)


def validate_error_rules(rules: Sequence[ErrorRule], key_path: NodePath, report: ProblemReport) -> None:
    for index, rule in enumerate(rules):
        here = (*key_path, "errors", index)
        if rule.status is None and rule.body is None and not rule.where:
            report.add_problem(here, "expected status, body or where")
        elif rule.action == "skip" and rule.body is None and not rule.where and rule.status in _SUCCESSES:
            report.add_problem(here, f"skips every success with status {rule.status}; add body or where")


def _validate_origin(table: TableSpec, spec: AdapterSpec, key_path: NodePath, report: ProblemReport) -> None:
    """A request that is a full address goes where the base address does."""
    base = urlsplit(spec.base_url)
    if template.variable_names(spec.base_url):
        return
    for target in map(urlsplit, table.request_paths):
        origin = f"{target.scheme}://{target.netloc}"
        same = (target.scheme, target.netloc) == (base.scheme, base.netloc)
        if target.scheme and not same and origin not in spec.allowed_origins:
            report.add_problem(
                (*key_path, "request"), f"leads to {origin}, not to {base.scheme}://{base.netloc}"
            )


def validate_distinct_names(
    names: Sequence[str], noun: str, key_path: NodePath, report: ProblemReport
) -> None:
    folded = [name.lower() for name in names]
    for name in names:
        if folded.count(name.lower()) > 1:
            report.add_problem((*key_path, name), f"differs from another {noun} only in upper and lower case")


def known_variables(
    table: TableSpec, spec: AdapterSpec, paging: Paging, key_path: NodePath, report: ProblemReport
) -> set[str] | None:
    """The variables of a table's request; None where ``for_each`` does not tell its columns."""
    known = {option.name for option in spec.options}
    known |= {one.column for one in table.filters}
    each = table.for_each or ForEach(columns=())
    for name in sorted(known & set(each.columns or ())):
        report.add_problem(
            (*key_path, "for_each"), f"{name} is an option and a column of for_each; rename the column"
        )
    if table.incremental is not None:
        known |= {"cursor", "until"} if table.incremental.window_s else {"cursor"}
    if paging.location != "query":
        added = {name for name in _paging_variables(paging) if name}
        if "cursor" in added & known:
            report.add_problem(
                (*key_path, "paging"), "{cursor} belongs to incremental here; choose another cursor_param"
            )
        known |= added
    return None if each.columns is None else known | set(each.columns)


def _paging_variables(paging: Paging) -> tuple[str | None, ...]:
    match paging.type:
        case "page":
            return (paging.page_param, paging.size_param)
        case "offset":
            return (paging.offset_param, paging.size_param)
        case "cursor":
            return (paging.cursor_param, paging.size_param)
        case _:
            return (paging.size_param,)


def validate_variables(
    value: object, key_path: NodePath, known: set[str] | None, report: ProblemReport, *, body: bool = False
) -> None:
    """Every variable in every text of ``value`` is one of ``known`` (None: anything may be).

    ``body``  braces that are no variable are part of the text, as GraphQL has them.
    """
    match value:
        case str():
            _validate_text(value, key_path, known, report, body=body)
        case dict():
            for key, item in value.items():
                validate_variables(item, (*key_path, key), known, report, body=body)
        case list() | tuple():
            for index, item in enumerate(value):
                validate_variables(item, (*key_path, index), known, report, body=body)
        case _:
            return


def _validate_text(
    text: str, key_path: NodePath, known: set[str] | None, report: ProblemReport, *, body: bool
) -> None:
    for name in template.variable_names(text):
        if known is not None and name not in known:
            report.add_problem(key_path, _unknown_variable_text(name, known))
    stray = None if body else formats.find_stray_braces(text)
    if stray is not None:
        report.add_problem(
            key_path, f"{stray} is no variable; a variable is one name in braces, such as {{org}}"
        )


def _unknown_variable_text(name: str, known: set[str]) -> str:
    hint = did_you_mean(name, known)
    if hint:
        return f"unknown variable {{{name}}}{hint}"
    if name in ("cursor", "until"):
        return f"{{{name}}} belongs to incremental" + (" with a window" if name == "until" else "")
    listed = ", ".join(f"{{{each}}}" for each in sorted(known)) or "none"
    return f"unknown variable {{{name}}}; known here: {listed}"
