"""Whether the parts of one table fit together: what its keys, each right for itself, cannot tell."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from datetime import datetime
from urllib.parse import urlsplit

from unify.adapters import template
from unify.adapters.spec import (
    AdapterSpec,
    ColumnDef,
    ErrorRule,
    Incremental,
    Paging,
    TableSpec,
)
from unify.adapters.specreader import Report
from unify.adapters.specvariables import check_texts, known_in
from unify.numberforms import NUMBER_FORMS
from unify.yamlnodes import Place

_NUMBER = re.compile(r"[0-9]+([.][0-9]+)?")
_NUMBERS = frozenset(
    [
        *("tinyint", "smallint", "integer", "int", "bigint", "utinyint", "usmallint", "uinteger", "ubigint"),
        *("float", "real", "double", "decimal", "numeric"),
    ]
)
_TEXTS = frozenset(["varchar", "text", "string", "date", "time", "timestamp", "timestamptz"]) | {
    "timestamp with time zone"
}


def check_table(table: TableSpec, spec: AdapterSpec, place: Place, report: Report) -> None:
    if table.format == "xml" and (table.rows or "$") == "$":
        report.add(
            (*place, "format"),
            "xml needs rows: where its repeated element is below the root, such as channel.item",
        )
    paging = table.paging or spec.paging
    known = known_in(table, spec, paging, place, report)
    for path in table.paths:
        check_texts(path, (*place, "request"), known, report)
    check_texts(dict(table.params), (*place, "params"), known, report)
    check_texts(dict(table.headers), (*place, "headers"), known, report)
    check_texts(table.body, (*place, "body"), known, report, body=True)
    check_texts(dict(table.form or {}), (*place, "form"), known, report)
    check_texts(dict(table.where), (*place, "where"), {option.name for option in spec.options}, report)
    _body(table, place, report)
    _rows(table, place, report)
    _each(table, (*place, "for_each"), report)
    _columns(table, spec, known, place, report)
    _paging(spec.paging if table.paging is None else table.paging, table, place, report)
    if table.incremental is not None:
        _incremental(table, table.incremental, spec, (*place, "incremental"), report)
    _refresh(table, place, report)
    check_rules(table.errors, place, report)
    _origin(table, spec, place, report)


def _body(table: TableSpec, place: Place, report: Report) -> None:
    for key, value in (("body", table.body), ("form", table.form)):
        if value is not None and table.method == "GET":
            report.add((*place, key), "a GET has no body; write the request as POST /…")
    if table.body is not None and table.form is not None:
        report.add((*place, "form"), "expected body or form, not both")


def _rows(table: TableSpec, place: Place, report: Report) -> None:
    if table.format in ("csv", "jsonl") and table.rows is not None:
        report.add((*place, "rows"), f"has no meaning with format {table.format}: its lines are the rows")


def _each(table: TableSpec, place: Place, report: Report) -> None:
    """Every row of ``for_each`` asks for something of its own, and of a batch nobody says whose a row is."""
    each = table.for_each
    if each is None or not each.columns:
        return
    texts = [*table.paths, dict(table.params), dict(table.headers), table.body, dict(table.form or {})]
    asked = set(template.names_in(texts))
    stored = {column.name: set(template.names(column.source or "")) for column in table.columns}
    if not asked & set(each.columns) and table.live is None:
        named = ", ".join(f"{{{name}}}" for name in each.columns)
        report.add(place, f"the request holds none of {named}, so that each row would ask for the same")
    if each.batch is None:
        return
    if len(each.columns) > 1:
        report.add((*place, "batch"), "a batch joins the values of one column; for_each has more")
    for name in (name for name, used in stored.items() if used & set(each.columns)):
        report.add(
            (*place[:-1], "columns", name, "from"), "a batch has many values; take the column from the answer"
        )


def _columns(
    table: TableSpec, spec: AdapterSpec, known: set[str] | None, place: Place, report: Report
) -> None:
    secret = {option.name for option in spec.options if option.secret}
    alike([column.name for column in table.columns], "column", (*place, "columns"), report)
    for column in table.columns:
        here = (*place, "columns", column.name, "from")
        check_texts(column.source or "", here, known, report)
        if secret & set(template.names(column.source or "")):
            report.add(here, "a secret option is never stored in a table")
        _format(column, (*place, "columns", column.name, "format"), report)
    needed = dict.fromkeys(table.key, (*place, "key"))
    if table.incremental is not None:
        needed.setdefault(table.incremental.cursor, (*place, "incremental", "cursor"))
    for name, here in needed.items():
        if _matches(name, table.exclude):
            report.add(here, f"the column {name} is left out by exclude")
        elif table.only and name and not _matches(name, table.only):
            report.add(here, f"the column {name} is not among only")


def _format(column: ColumnDef, place: Place, report: Report) -> None:
    """A format of numbers goes with a number, one of moments with a moment, a date or a text."""
    if column.format is None or column.type is None:
        return
    base = "" if column.type.endswith("]") else column.type.lower().partition("(")[0].strip()
    of_numbers = column.format in NUMBER_FORMS
    if of_numbers != (base in _NUMBERS) and not (base in _TEXTS and not of_numbers):
        kind = "numbers" if of_numbers else "moments"
        report.add(place, f"{column.format!r} is a format of {kind}, which {column.type} does not hold")


def _matches(name: str, globs: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name.lower(), glob.lower()) for glob in globs)


def _paging(paging: Paging, table: TableSpec, place: Place, report: Report) -> None:
    here: Place = (*place, "paging") if table.paging is not None else ("paging",)
    if table.paging is None and place != ("tables", 0):
        return  # the adapter's paging is checked once
    if paging.size_param and paging.size is None:
        report.add(here, "size_param needs a size")
    sources = [key for key in (paging.cursor_path, paging.cursor_column, paging.cursor_header) if key]
    if paging.type == "cursor" and len(sources) != 1:
        report.add(here, "expected cursor_path, cursor_column or cursor_header, one of them")
    if table.paging is None:
        return
    if paging.place == "body" and table.method == "GET":
        report.add((*here, "in"), "a GET has no body; write the request as POST /…, or leave this out")
    if paging.place == "path" and not _leading(paging) & set(template.names_in(list(table.paths))):
        named = ", ".join(f"{{{name}}}" for name in sorted(_leading(paging))) or "a page's number"
        report.add((*here, "in"), f"the path of the request has no place for {named}")


def _leading(paging: Paging) -> set[str]:
    """The name of what leads from page to page."""
    names = {"page": paging.page_param, "offset": paging.offset_param, "cursor": paging.cursor_param}
    return {names[paging.type]} if paging.type in names else set()


def _incremental(
    table: TableSpec, incremental: Incremental, spec: AdapterSpec, place: Place, report: Report
) -> None:
    used = set(template.names_in([table.path, dict(table.params), table.body, dict(table.form or {})]))
    if incremental.param and "cursor" in used:
        report.add((*place, "param"), "expected param or {cursor} in the request, not both")
    if not incremental.param and "cursor" not in used and incremental.order != "desc":
        report.add(
            place, "nothing tells the API where to begin: give param, or {cursor} in params, or order: desc"
        )
    if incremental.window_s is not None and "until" not in used:
        report.add((*place, "window"), "a window needs {until} in params or body: where a slice ends")
    if incremental.window_s is not None and incremental.start is None:
        report.add((*place, "window"), "a window needs a start")
    start = incremental.start or ""
    check_texts(start, (*place, "start"), {option.name for option in spec.options}, report)
    if start and not template.names(start) and incremental.format in (None, "iso8601", "date"):
        _moment(start, (*place, "start"), report)


def _moment(text: str, place: Place, report: Report) -> None:
    """Or a number, where the cursor is a growing one."""
    if _NUMBER.fullmatch(text):
        return
    try:
        datetime.fromisoformat(text)
    except ValueError:
        report.add(place, f"{text!r} is no moment; write it like 2015-01-01T00:00:00Z")


def _refresh(table: TableSpec, place: Place, report: Report) -> None:
    here = (*place, "refresh", "strategy")
    strategy = table.refresh.strategy
    if strategy in ("merge", "merge_delete") and not table.key:
        report.add(here, f"{strategy} needs a key")
    if strategy == "merge_delete" and table.incremental is not None:
        report.add(here, "merge_delete has to see every row, so it does not go with incremental")
    if strategy == "append" and table.incremental is None:
        report.add(here, "append needs incremental; without it every refresh would double the rows")
    if table.live is not None and (strategy or table.refresh.every_s or table.incremental):
        report.add((*place, "live"), "a live table is never stored, so refresh and incremental mean nothing")
    for each in table.filters:
        if each.required and table.live is None:
            report.add((*place, "filters", each.column, "required"), "only a live table can require a filter")


def check_rules(rules: Sequence[ErrorRule], place: Place, report: Report) -> None:
    for index, rule in enumerate(rules):
        if rule.status is None and rule.body is None:
            report.add((*place, "errors", index), "which answer? give status or body, or both")


def _origin(table: TableSpec, spec: AdapterSpec, place: Place, report: Report) -> None:
    """A request that is a full address goes where the base address does."""
    base = urlsplit(spec.base_url)
    if template.names(spec.base_url):
        return
    for target in map(urlsplit, table.paths):
        origin = f"{target.scheme}://{target.netloc}"
        same = (target.scheme, target.netloc) == (base.scheme, base.netloc)
        if target.scheme and not same and origin not in spec.allowed_origins:
            report.add((*place, "request"), f"leads to {origin}, not to {base.scheme}://{base.netloc}")


def alike(names: Sequence[str], kind: str, place: Place, report: Report) -> None:
    folded = [name.lower() for name in names]
    for name in names:
        if folded.count(name.lower()) > 1:
            report.add((*place, name), f"differs from another {kind} only in upper and lower case")
